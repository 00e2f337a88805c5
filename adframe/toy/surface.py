"""A surface under a lamp: relief, colour and gloss in, a picture of it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from adframe.toy.fields import Field, blurred

AMBIENT = 0.42  # share of the light that comes from everywhere


@dataclass(frozen=True)
class Light:
    """Where the lamp stands, in radians: `azimuth` in the picture (0 right, pi/2 down), `elevation`."""

    azimuth: float
    elevation: float

    @cached_property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector to the lamp as (y, x, z)."""
        flat = float(np.cos(self.elevation))
        return (
            flat * float(np.sin(self.azimuth)),
            flat * float(np.cos(self.azimuth)),
            float(np.sin(self.elevation)),
        )


@dataclass(frozen=True)
class Pose:
    """Where a piece lies: its frame's centre (y, x), its angle in radians, its frame's side."""

    centre: tuple[float, float]
    angle: float
    scale: float


@dataclass(frozen=True)
class Piece:
    """A part drawn once in its own unit frame, ready to be laid anywhere."""

    height: Field  # (S, S) above the floor that it lies on
    cover: Field  # (S, S) in [0, 1]
    albedo: Field  # (S, S, 3)
    gloss: Field  # (S, S)


@dataclass
class Surface:
    """What the lamp meets, (S, S) each; `height` in shares of the side."""

    height: Field
    albedo: Field  # (S, S, 3)
    gloss: Field
    lamp: Field  # share of the lamp's light that arrives: cast shadows

    @property
    def side(self) -> int:
        return int(self.height.shape[0])

    def copy(self) -> Surface:
        """A deep copy, so that a fault spoils it and not its twin."""
        return Surface(self.height.copy(), self.albedo.copy(), self.gloss.copy(), self.lamp.copy())


def paint(surface: Surface, *, colour: tuple[float, float, float], alpha: Field) -> None:
    """Lay an opaque or thin coat of `colour` over the surface where `alpha` (S, S) says so."""
    a = alpha[..., None]
    surface.albedo *= 1 - a
    surface.albedo += a * np.asarray(colour, dtype=np.float32)


def photograph(surface: Surface, *, light: Light) -> Field:
    """Lambert's cosine law and a highlight: (S, S, 3), where a level white surface is near 1."""
    slope = 0.5 * surface.side
    gx = cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, ksize=1, scale=slope)
    gy = cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, ksize=1, scale=slope)
    ly, lx, lz = light.direction
    inverse = 1 / np.sqrt(1 + gx * gx + gy * gy)
    diffuse = np.maximum((lz - gx * lx - gy * ly) * inverse, 0) * np.float32(1 / lz)
    half = np.array([ly, lx, lz + 1]) / np.sqrt(2 + 2 * lz)
    shine = np.maximum((half[2] - gx * np.float32(half[1]) - gy * np.float32(half[0])) * inverse, 0)
    for _ in range(4):  # to the power of 16
        shine *= shine
    level = AMBIENT + (1 - AMBIENT) * diffuse * surface.lamp
    glint = surface.gloss * shine * surface.lamp
    return np.asarray(surface.albedo * level[..., None] + glint[..., None], dtype=np.float32)


def _window(pose: Pose, side: int, margin: float) -> tuple[slice, slice]:
    reach = 0.72 * pose.scale + margin
    low = [max(0, int((c - reach) * side)) for c in pose.centre]
    high = [min(side, int((c + reach) * side) + 1) for c in pose.centre]
    return slice(low[0], high[0]), slice(low[1], high[1])


def laid(layer: Field, *, pose: Pose, side: int, window: tuple[slice, slice]) -> Field:
    """A layer of a piece's own frame, turned and moved to where `pose` puts it in the frame's `window`."""
    own = layer.shape[0]
    rows, columns = window
    gain = own / (side * pose.scale)
    c, s = np.cos(pose.angle) * gain, np.sin(pose.angle) * gain
    y0 = rows.start + 0.5 - pose.centre[0] * side
    x0 = columns.start + 0.5 - pose.centre[1] * side
    middle = own / 2 - 0.5
    matrix = np.array([[c, s, c * x0 + s * y0 + middle], [-s, c, c * y0 - s * x0 + middle]])
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layer, matrix, shape, flags=flags), dtype=np.float32)


def place(surface: Surface, *, piece: Piece, pose: Pose, light: Light, depth: float = 0.02) -> None:
    """Lay a piece on the surface, with the shadow that its `depth` casts."""
    side = surface.side
    window = _window(pose, side, 3 * depth)
    ly, lx, lz = light.direction
    fall = depth / max(lz, 0.3)
    behind = replace(pose, centre=(pose.centre[0] - ly * fall, pose.centre[1] - lx * fall))
    cast = laid(piece.cover, pose=behind, side=side, window=window)
    cast = np.asarray(cv2.GaussianBlur(cast, (0, 0), max(0.4, 0.45 * depth * side)), dtype=np.float32)
    a = laid(piece.cover, pose=pose, side=side, window=window)
    lamp = surface.lamp[window] * (1 - np.float32(0.75) * cast)
    surface.lamp[window] = lamp * (1 - a) + a
    surface.height[window] += a * (
        laid(piece.height, pose=pose, side=side, window=window) - surface.height[window]
    )
    surface.gloss[window] += a * (
        laid(piece.gloss, pose=pose, side=side, window=window) - surface.gloss[window]
    )
    colour = laid(piece.albedo, pose=pose, side=side, window=window)
    surface.albedo[window] += a[..., None] * (colour - surface.albedo[window])


def footprint(piece: Piece, *, pose: Pose, side: int) -> Field:
    """Where the piece lies: coverage (side, side) in [0, 1]."""
    out = np.zeros((side, side), np.float32)
    window = _window(pose, side, 0.0)
    out[window] = laid(piece.cover, pose=pose, side=side, window=window)
    return out


def hollows(surface: Surface, *, radius: float, strength: float) -> None:
    """Darken what lies lower than its surroundings: light from everywhere reaches it less."""
    deep = np.clip(blurred(surface.height, radius=radius) - surface.height, 0, None) * np.float32(strength)
    surface.albedo *= (1 / (1 + deep))[..., None]
