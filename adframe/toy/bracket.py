"""Draws a milled steel bracket on a rubber mat: one object in any pose, under a lamp that varies."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from adframe.toy.family import STRUCTURAL, Annotation, Fault, Painting, ProductFamily
from adframe.toy.fields import Field, Rng, axes, blob, box, capsule, clouds, cover, curve, disc, ramp, stroke
from adframe.toy.surface import Lamp, Piece, Pose, Surface, place_piece

STEEL = (0.60, 0.61, 0.63)
MAT = (0.155, 0.175, 0.20)
# The part's own frame as a share of the image.
SCALE = 0.92
HOLES = (((0.20, 0.27), 0.050, 0.026), ((0.76, 0.27), 0.050, 0.026), ((0.76, 0.76), 0.050, 0.026))
BORES = (((0.48, 0.27), 0.082),)


class _Blank(NamedTuple):
    """The part before its finish: relief, silhouette, distance to an edge, engraving."""

    height: Field
    cover: Field
    edge: Field  # positive inside
    engraved: Field


@lru_cache(maxsize=2)
def _blank(side: int) -> _Blank:
    y, x = axes(side)
    upright = box(y, x, centre=(0.48, 0.27), half=(0.40, 0.145), corner=0.06)
    foot = box(y, x, centre=(0.74, 0.50), half=(0.140, 0.375), corner=0.06)
    # The fillet lies in the inner corner only.
    inner = (x > 0.3) & (y < 0.7)
    blend = np.clip(0.5 + 0.5 * (foot - upright) / 0.10, 0, 1)
    fillet = foot * (1 - blend) + upright * blend - np.float32(0.10) * blend * (1 - blend)
    outline = np.where(inner, fillet, np.minimum(foot, upright))
    slot = capsule(y, x, start=(0.76, 0.47), end=(0.76, 0.57), radius=0.034)
    rims = [(disc(y, x, centre=c, radius=r), sink) for c, r, sink in HOLES]
    rims += [(disc(y, x, centre=c, radius=r), 0.010) for c, r in BORES] + [(slot, 0.010)]
    height = np.minimum(-outline, np.float32(0.016)) * np.float32(0.9)
    edge, inside = -outline, cover(outline, side=side)
    for rim, sink in rims:
        height = np.minimum(
            height, np.clip(rim, -0.01, sink) * np.float32(0.55) + np.float32(0.0144 - 0.55 * sink)
        )
        edge, inside = np.minimum(edge, rim), inside * (1 - cover(rim, side=side))
    engraved = np.zeros((side, side), np.uint8)
    font, big = cv2.FONT_HERSHEY_SIMPLEX, side / 512
    cv2.putText(
        engraved,
        "AF-12",
        (round(0.46 * side), round(0.69 * side)),
        font,
        0.62 * big,
        255,
        max(1, round(2 * big)),
        cv2.LINE_AA,
    )
    return _Blank(
        height.astype(np.float32),
        inside,
        edge.astype(np.float32),
        engraved.astype(np.float32) * np.float32(1 / 255),
    )


def _brush_blank(rng: Rng, side: int, light: Lamp, pose: Pose) -> Piece:
    """Brushes the blank along its foot: fine streaks, and a band of sheen that moves with pose and light."""
    blank = _blank(side)
    y, x = axes(side)
    streaks = clouds(rng, side=side, cells=360, across=2) + 0.6 * clouds(rng, side=side, cells=120, across=1)
    along = np.cos(light.azimuth - pose.angle)
    band = y + np.float32(0.45) * x - np.float32(0.75 + 0.5 * along + rng.normal(0, 0.05))
    sheen = np.exp(-np.square(band * 3.2)) * np.float32(0.32) + np.float32(0.035) * clouds(
        rng, side=side, cells=3
    )
    tone = 0.88 + np.float32(0.034) * streaks + sheen
    tone = tone * (1 - 0.6 * blank.engraved)
    steel = np.asarray(STEEL, dtype=np.float32) * (1 + rng.normal(0, 0.012) + rng.normal(0, 0.005, 3)).astype(
        np.float32
    )
    gloss = np.float32(0.16) + np.float32(0.03) * streaks
    return Piece(blank.height, blank.cover, tone[..., None] * steel, gloss)


def _on_part(fault: Fault, *, margin: float) -> tuple[float, float]:
    """Returns a random place (y, x) on the metal in the part's own frame, at least `margin` from any edge."""
    y, x = np.nonzero(_blank(64).edge > margin)
    pick = int(fault.rng.integers(len(y)))
    return (float(y[pick]) + 0.5) / 64, (float(x[pick]) + 0.5) / 64


def _scratched(piece: Piece, fault: Fault) -> Piece:
    """Scratches the part: a bright line with a dark burr next to it; barely longer than a streak when
    slight.
    """
    side = piece.cover.shape[0]
    start = _on_part(fault, margin=0.03)
    path = curve(fault.rng, start=start, length=fault.between(0.07, 0.42), bend=fault.rng.uniform(0, 0.9))
    width, depth = fault.between(0.0028, 0.008), np.float32(fault.between(0.09, 0.55))
    line = stroke(path, side=side, width=width)
    burr = stroke(path + np.float32(0.9 * width), side=side, width=width)
    albedo = piece.albedo * (1 + depth * line - 0.8 * depth * burr * (1 - line))[..., None]
    return replace(piece, albedo=albedo)


def _dented(piece: Piece, fault: Fault) -> Piece:
    """Dents the part: a dimple with a raised rim, visible only by its shading."""
    side = piece.cover.shape[0]
    radius = fault.between(0.020, 0.058) * fault.rng.uniform(0.85, 1.15)
    patch = blob(fault.rng, side=side, centre=_on_part(fault, margin=0.04), radius=radius, ragged=0.08)
    reach = np.clip(patch / np.float32(radius) + 1, 0, None)  # 0 in the middle, 1 at the rim
    dimple = np.exp(-1.8 * reach * reach) - 0.35 * np.exp(-12 * np.square(reach - 1.15))
    depth = np.float32(fault.between(0.05, 0.30) * radius)
    return replace(piece, height=(piece.height - depth * dimple).astype(np.float32))


def _tempered(piece: Piece, fault: Fault) -> Piece:
    """Overheats the part: temper colours from straw at the rim over brown to blue in the middle."""
    side = piece.cover.shape[0]
    radius = fault.between(0.05, 0.13)
    patch = blob(fault.rng, side=side, centre=_on_part(fault, margin=0.03), radius=radius, ragged=0.25)
    heat = ramp(patch, low=0.03, high=-radius)
    straw, brown, blue = (
        np.asarray(c, dtype=np.float32) for c in ((1.0, 0.83, 0.52), (0.74, 0.50, 0.42), (0.48, 0.55, 0.82))
    )
    warm, cold = ramp(heat, low=0.2, high=0.6)[..., None], ramp(heat, low=0.55, high=0.95)[..., None]
    tint = (straw * (1 - warm) + brown * warm) * (1 - cold) + blue * cold
    strength = np.float32(fault.between(0.10, 0.80)) * ramp(heat, low=0.0, high=0.25)[..., None]
    return replace(piece, albedo=piece.albedo * (1 - strength + strength * tint))


def _paint_mat(rng: Rng, side: int) -> Surface:
    grain = clouds(rng, side=side, cells=200)
    tone = 1 + 0.07 * grain + 0.05 * clouds(rng, side=side, cells=6)
    albedo = tone[..., None] * np.asarray(MAT, dtype=np.float32)
    flat = np.ones((side, side), np.float32)
    return Surface(grain * np.float32(0.0006), albedo.astype(np.float32), flat * np.float32(0.02), flat)


APPLY_FAULT = {"scratch": _scratched, "dent": _dented, "discolouration": _tempered}


def _paint_bracket(rng: Rng, side: int, light: Lamp, fault: Fault | None) -> Painting:
    centre = (0.5 + rng.uniform(-0.025, 0.025), 0.5 + rng.uniform(-0.025, 0.025))
    pose = Pose((float(centre[0]), float(centre[1])), float(rng.uniform(-0.24, 0.24)), SCALE)
    piece = _brush_blank(rng, side, light, pose)
    if fault is not None:
        piece = APPLY_FAULT[fault.kind](piece, fault)
    surface = _paint_mat(rng, side)
    place_piece(surface, piece=piece, pose=pose, light=light, depth=0.022)
    return Painting(surface)


BRACKET_KINDS = dict.fromkeys(APPLY_FAULT, STRUCTURAL)
BRACKET = ProductFamily(
    _paint_bracket, BRACKET_KINDS, lambda: tuple(Annotation(kind) for kind in BRACKET_KINDS)
)
