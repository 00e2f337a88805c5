"""Draws the five parts of the kit, each once in its own unit frame: bolt, gear, washer, nut, ring."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adframe.toy.fields import Field, axes, box, cover, disc
from adframe.toy.surface import Piece

Real: TypeAlias = NDArray[np.floating[Any]]

STEEL, BRASS = (0.66, 0.67, 0.69), (0.80, 0.62, 0.29)
NYLON, RUBBER = (0.86, 0.84, 0.78), (0.085, 0.085, 0.09)
# side of the part's own frame as a share of the image's side
SCALES = {"bolt": 0.30, "gear": 0.205, "washer": 0.175, "nut": 0.165, "ring": 0.20}
PARTS = tuple(SCALES)


def _toned(albedo: Field, tone: Real) -> Field:
    return np.asarray(albedo * tone[..., None], dtype=np.float32)


def _piece(
    side: int, distance: Field, relief: Field, colour: tuple[float, float, float], gloss: float
) -> Piece:
    grain = np.random.default_rng(5).standard_normal((side, side), dtype=np.float32)
    albedo = (1 + np.float32(0.025) * grain)[..., None] * np.asarray(colour, dtype=np.float32)
    gloss_layer = np.full((side, side), gloss, np.float32)
    return Piece(
        relief.astype(np.float32), cover(distance.astype(np.float32), side=side), albedo, gloss_layer
    )


def _edge(distance: Real, width: float, rise: float) -> Field:
    """Returns a rounded edge that rises from the floor to `rise` over `width` behind the outline."""
    t = np.clip(-distance / width, 0, 1)
    return np.asarray(rise * np.sqrt(1 - np.square(1 - t)), dtype=np.float32)


def _bolt(side: int) -> Piece:
    y, x = axes(side)
    head = box(y, x, centre=(0.145, 0.5), half=(0.095, 0.155), corner=0.025)
    collar = box(y, x, centre=(0.255, 0.5), half=(0.018, 0.185), corner=0.012)
    shank = box(y, x, centre=(0.60, 0.5), half=(0.36, 0.082), corner=0.03)
    distance = np.minimum(np.minimum(head, collar), shank)
    turns = np.cos((y + 0.06 * x) * np.float32(2 * np.pi * 19)) * ((y > 0.36) & (shank < 0))
    round_shank = np.sqrt(np.maximum(1 - np.square((x - 0.5) / 0.085), 0))
    facets = 1 - 0.35 * np.maximum(np.abs(x - 0.5) - 0.075, 0) / 0.08
    relief = np.where(head < 0, 0.024 * facets, np.where(collar < 0, 0.024, 0.020 * round_shank))
    piece = _piece(side, distance, (relief + 0.0018 * turns).astype(np.float32), STEEL, 0.30)
    return Piece(piece.height, piece.cover, _toned(piece.albedo, 1 + 0.16 * turns), piece.gloss)


def _gear(side: int) -> Piece:
    y, x = axes(side)
    around = np.arctan2(y - 0.5, x - 0.5)
    teeth = np.clip(np.cos(around * 14) * 2.2, -1, 1)
    distance = np.hypot(y - 0.5, x - 0.5) - np.float32(0.425) - 0.048 * teeth
    bore = disc(y, x, centre=(0.5, 0.5), radius=0.105)
    hub = np.abs(disc(y, x, centre=(0.5, 0.5), radius=0.185)) - 0.03
    web = np.abs(disc(y, x, centre=(0.5, 0.5), radius=0.29)) - 0.055
    relief = _edge(distance, 0.05, 0.016) - _edge(web, 0.03, 0.006) + _edge(hub, 0.03, 0.003)
    return _piece(side, np.maximum(distance, -bore), relief, NYLON, 0.05)


def _washer(side: int) -> Piece:
    y, x = axes(side)
    rim, bore = disc(y, x, centre=(0.5, 0.5), radius=0.47), disc(y, x, centre=(0.5, 0.5), radius=0.235)
    distance = np.maximum(rim, -bore)
    piece = _piece(side, distance, _edge(distance, 0.04, 0.006), STEEL, 0.22)
    around = np.arctan2(y - 0.5, x - 0.5)
    # Turned on a lathe, so it reflects in two fans.
    sheen = 1 + 0.20 * np.cos(2 * around + 0.6)
    return Piece(piece.height, piece.cover, _toned(piece.albedo, sheen), piece.gloss)


def _nut(side: int) -> Piece:
    y, x = axes(side)
    dy, dx = y - 0.5, x - 0.5
    turns = np.arange(3, dtype=np.float32) * np.float32(np.pi / 3)
    hexagon = np.max([np.abs(np.cos(t) * dx + np.sin(t) * dy) for t in turns], axis=0) - np.float32(0.41)
    bore = disc(y, x, centre=(0.5, 0.5), radius=0.215)
    distance = np.maximum(hexagon, -bore)
    crown = np.clip((np.hypot(dy, dx) - 0.37) / 0.10, 0, 1) * 0.012
    relief = _edge(distance, 0.045, 0.022) - crown
    return _piece(side, distance, relief, BRASS, 0.28)


def _ring(side: int) -> Piece:
    y, x = axes(side)
    distance = np.abs(disc(y, x, centre=(0.5, 0.5), radius=0.41)) - np.float32(0.07)
    return _piece(side, distance, _edge(distance, 0.07, 0.014), RUBBER, 0.20)


DRAW = {"bolt": _bolt, "gear": _gear, "washer": _washer, "nut": _nut, "ring": _ring}


@lru_cache(maxsize=16)
def part(name: str, *, side: int) -> Piece:
    """Draws a part of the kit in its own frame. The result is cached and must not be changed.

    Args:
        name: one of `PARTS`.
        side: side of the frame in pixels.

    Returns:
        The part.
    """
    return DRAW[name](side)


@lru_cache(maxsize=16)
def covered_share(name: str) -> float:
    """Computes the share of the image that one part covers.

    Args:
        name: one of `PARTS`.

    Returns:
        A share in (0, 1).
    """
    return float(part(name, side=128).cover.mean()) * SCALES[name] ** 2
