"""Draws a plain-woven cloth: a texture without a pose, whose faults are torn, loose or stained threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.toy.family import STRUCTURAL, Annotation, Fault, Painting, ProductFamily, spot
from adframe.toy.fields import Field, Rng, axes, blob, blur_field, clouds, curve, ramp, stroke
from adframe.toy.surface import Lamp, Surface, paint

# Number across the frame, in both directions.
THREADS = 26
# Threads drawn beyond the edge of the frame, so that a rotated cloth always covers it.
SPARE = 40
WARP, WEFT = (0.71, 0.66, 0.56), (0.37, 0.47, 0.57)
BACKING = (0.07, 0.07, 0.08)


@dataclass(frozen=True)
class _Threads:
    """One system of parallel threads: position across and along it in threads, (S, S), and each pixel's
    thread.
    """

    # Distance from the middle of the thread, in [-0.5, 0.5].
    offset: Field
    number: NDArray[np.int32]  # (S, S) int
    along: Field
    tone: Field  # (S, S) brightness of the thread
    width: Field  # (S, S) half width


def _threads(rng: Rng, across: Field, along: Field, side: int) -> _Threads:
    number = np.floor(across).astype(np.int32)
    of_thread = rng.normal(0, 1, (2, THREADS + 2 * SPARE)).astype(np.float32)
    slubs = clouds(rng, side=side, cells=14)
    tone = 1 + 0.035 * of_thread[0][number + SPARE] + 0.03 * slubs
    width = np.float32(0.46) + 0.012 * of_thread[1][number + SPARE] + 0.014 * slubs
    return _Threads(across - number - np.float32(0.5), number, along, tone, width)


def _cloth(rng: Rng, side: int) -> tuple[_Threads, _Threads]:
    """Draws warp (running down) and weft (running across) of one cloth: rotated, shifted, stretched."""
    y, x = axes(side)
    angle, pitch = rng.normal(0, 0.03), THREADS * rng.uniform(0.97, 1.03)
    shift = rng.uniform(0, 2, 2).astype(np.float32)
    c, s = np.float32(np.cos(angle) * pitch), np.float32(np.sin(angle) * pitch)
    u = c * x + s * y + shift[0] + np.float32(0.13) * clouds(rng, side=side, cells=4)
    v = c * y - s * x + shift[1] + np.float32(0.13) * clouds(rng, side=side, cells=4)
    return _threads(rng, u, v, side), _threads(rng, v, u, side)


@lru_cache(maxsize=1)
def _fibres() -> Field:
    """Returns a tile of spun, twisted fibre: long grains, slightly slanted. All cloth shares it, at other
    phases.
    """
    grain = np.random.default_rng(7).standard_normal((256, 256), dtype=np.float32)
    grain = np.stack([np.roll(row, i // 3) for i, row in enumerate(grain)])
    return np.asarray(cv2.GaussianBlur(grain, (0, 0), sigmaX=0.9, sigmaY=7), dtype=np.float32) * 4


def _spun(top: NDArray[np.bool_], warp: _Threads, weft: _Threads) -> Field:
    """Returns the fibre grain of the upper thread, along that thread."""
    offset, along = np.where(top, warp.offset, weft.offset), np.where(top, warp.along, weft.along)
    number = np.where(top, warp.number, weft.number)
    columns = (offset * 22 + 128 + number * 37 % 64).astype(np.float32)
    rows = ((along * 21 + number * 53) % 254).astype(np.float32)
    return np.asarray(cv2.remap(_fibres(), columns, rows, cv2.INTER_LINEAR), dtype=np.float32)


def _crown(threads: _Threads, other: _Threads, sign: Field, torn: Field | None) -> Field:
    """Returns the height of a thread system: round across, over and under along; -1 where there is no
    thread.
    """
    profile = 1 - np.square(threads.offset / threads.width)
    wave = sign * (1 - 4 * np.square(other.offset))
    height = np.sqrt(np.maximum(profile, 0)) + np.float32(0.75) * wave
    gone = profile <= 0
    if torn is not None:
        gone |= torn < 0
    return np.asarray(np.where(gone, np.float32(-1), height), dtype=np.float32)


def _frayed(fault: Fault, threads: _Threads, patch: Field) -> Field:
    """Shifts the distance to the patch by a random length for each thread, because threads break at different
    places.
    """
    ends = fault.rng.normal(0, 1, THREADS + 2 * SPARE).astype(np.float32)
    return np.asarray(patch + np.float32(0.4 / THREADS) * ends[threads.number + SPARE], dtype=np.float32)


def _woven(rng: Rng, side: int, warp: _Threads, weft: _Threads, fault: Fault | None) -> Surface:
    sign = np.where((warp.number + weft.number) % 2 == 0, 1, -1).astype(np.float32)
    torn_warp = torn_weft = None
    if fault is not None and fault.kind == "hole":
        radius = fault.between(0.55, 2.6) / THREADS
        patch = blob(fault.rng, side=side, centre=spot(fault.rng, margin=0.12), radius=radius, ragged=0.15)
        torn_warp, torn_weft = _frayed(fault, warp, patch), _frayed(fault, weft, patch)
        # A thin place first: one system is broken, the other still holds.
        if fault.severity < 0.35:
            torn_weft = None
    high, low = _crown(warp, weft, sign, torn_warp), _crown(weft, warp, -sign, torn_weft)
    top = high > low
    height = np.maximum(high, low)
    dye = (1 + rng.normal(0, 0.010, (2, 3))).astype(np.float32)
    colours = np.asarray([WARP, WEFT], dtype=np.float32) * dye
    tone = np.where(top, warp.tone, weft.tone) * (1 + np.float32(0.07) * _spun(top, warp, weft))
    tone *= 0.42 + 0.62 * ramp(height, low=-0.55, high=1.3)
    albedo = colours[np.where(top, 0, 1)] * tone[..., None]
    albedo[height < -0.9] = BACKING
    relief = np.maximum(height, np.float32(-0.6)) * np.float32(0.26 / THREADS)
    gloss = np.full_like(height, 0.035)
    return Surface(relief, albedo, gloss, np.ones_like(height))


def _loose_thread(surface: Surface, fault: Fault, light: Lamp) -> None:
    """Adds a thread end on the cloth: from a short fibre of the cloth's own colour to a long one of another
    colour.
    """
    side, rng = surface.side, fault.rng
    width = fault.between(0.15, 0.42) / THREADS
    length = fault.between(0.10, 0.55)
    path = curve(rng, start=spot(rng, margin=0.25), length=length, bend=rng.uniform(3, 8))
    line = stroke(path, side=side, width=width)
    ly, lx, _ = light.direction
    shade = stroke(path - 0.6 * width * np.array([ly, lx], dtype=np.float32), side=side, width=1.3 * width)
    surface.lamp *= 1 - 0.6 * blur_field(shade, radius=0.3 * width) * (1 - line)
    own = np.asarray(WARP if rng.uniform() < 0.5 else WEFT) * fault.between(1.0, 1.2)
    strange = np.asarray([(0.84, 0.81, 0.74), (0.20, 0.22, 0.27), (0.62, 0.20, 0.17)][int(rng.integers(3))])
    colour = own + (strange - own) * ramp(np.full(1, fault.severity, np.float32), low=0.35, high=0.75)[0]
    paint(surface, colour=(colour[0], colour[1], colour[2]), alpha=line)
    round_top = np.sqrt(blur_field(line, radius=0.25 * width)) * np.float32(0.5 * width)
    surface.height = surface.height * (1 - line) + round_top


def _stain(surface: Surface, fault: Fault) -> None:
    """Adds a soaked patch that is darker at its rim, where it dried."""
    rng = fault.rng
    radius = fault.between(0.035, 0.13) * rng.uniform(0.8, 1.2)
    patch = blob(rng, side=surface.side, centre=spot(rng, margin=0.2), radius=radius)
    alpha = ramp(patch, low=0.012, high=-0.016) * (0.75 + 0.25 * ramp(np.abs(patch), low=0.02, high=0.0))
    colour = [(0.30, 0.22, 0.13), (0.16, 0.15, 0.14), (0.42, 0.26, 0.16)][int(rng.integers(3))]
    strength = np.float32(fault.between(0.16, 0.95))
    # The cloth takes the colour, but its threads remain visible.
    soaked = np.asarray(colour, dtype=np.float32) * np.float32(1.6)
    surface.albedo *= 1 - strength * alpha[..., None] * (1 - soaked)


def _paint_weave(rng: Rng, side: int, light: Lamp, fault: Fault | None) -> Painting:
    warp, weft = _cloth(rng, side)
    surface = _woven(rng, side, warp, weft, fault)
    if fault is not None and fault.kind == "loose_thread":
        _loose_thread(surface, fault, light)
    elif fault is not None and fault.kind == "stain":
        _stain(surface, fault)
    return Painting(surface)


WEAVE_KINDS = {"hole": STRUCTURAL, "loose_thread": STRUCTURAL, "stain": STRUCTURAL}
WEAVE = ProductFamily(_paint_weave, WEAVE_KINDS, lambda: tuple(Annotation(kind) for kind in WEAVE_KINDS))
