"""Models a surface under a lamp: relief, colour and gloss in, an image of it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from adframe.toy.fields import Field, blur_field

# Share of the light that comes from all directions.
AMBIENT = 0.42


@dataclass(frozen=True)
class Lamp:
    """The position of the lamp.

    Attributes:
        azimuth: angle in the image plane in radians: 0 right, pi/2 down.
        elevation: angle above it in radians.

    Example:
        >>> [round(value, 3) for value in Lamp(azimuth=0.0, elevation=0.0).direction]
        [0.0, 1.0, 0.0]
    """

    azimuth: float
    elevation: float

    @cached_property
    def direction(self) -> tuple[float, float, float]:
        """Returns the unit vector to the lamp as (y, x, z)."""
        flat = float(np.cos(self.elevation))
        return (
            flat * float(np.sin(self.azimuth)),
            flat * float(np.cos(self.azimuth)),
            float(np.sin(self.elevation)),
        )


@dataclass(frozen=True)
class Pose:
    """The position of a piece in the image.

    Attributes:
        centre: (y, x) of the centre of its frame, as shares of the side.
        angle: rotation in radians.
        scale: side of its frame as a share of the image's.
    """

    centre: tuple[float, float]
    angle: float
    scale: float


@dataclass(frozen=True)
class Piece:
    """A part that is drawn once in its own unit frame, and can be placed anywhere.

    Attributes:
        height: (S, S) above the floor it lies on.
        cover: (S, S) coverage in [0, 1].
        albedo: (S, S, 3).
        gloss: (S, S).
    """

    height: Field
    cover: Field
    albedo: Field
    gloss: Field


@dataclass
class Surface:
    """The surface under the lamp.

    Attributes:
        height: (S, S) in shares of the side.
        albedo: (S, S, 3).
        gloss: (S, S).
        lamp: (S, S), share of the lamp's light that arrives; below 1 in shadows.

    Example:
        >>> flat = np.zeros((8, 8), np.float32)
        >>> surface = Surface(flat, np.ones((8, 8, 3), np.float32), flat, flat + 1)
        >>> float(photograph(surface, light=Lamp(0.0, 1.0)).mean().round(3))
        1.0
    """

    height: Field
    albedo: Field
    gloss: Field
    lamp: Field

    @property
    def side(self) -> int:
        """Returns the side in pixels."""
        return int(self.height.shape[0])

    def copy(self) -> Surface:
        """Returns a deep copy, so that a fault changes it and not its twin."""
        return Surface(self.height.copy(), self.albedo.copy(), self.gloss.copy(), self.lamp.copy())


def paint(surface: Surface, *, colour: tuple[float, float, float], alpha: Field) -> None:
    """Paints an opaque or transparent coat on the surface.

    Args:
        surface: changed in place_piece.
        colour: RGB in [0, 1].
        alpha: (S, S) opacity in [0, 1].
    """
    a = alpha[..., None]
    surface.albedo *= 1 - a
    surface.albedo += a * np.asarray(colour, dtype=np.float32)


def photograph(surface: Surface, *, light: Lamp) -> Field:
    """Renders the surface with Lambert's cosine law and a highlight.

    Args:
        surface: the surface.
        light: position of the lamp.

    Returns:
        (S, S, 3), near 1 for a level white surface.
    """
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


def lay_layer(layer: Field, *, pose: Pose, side: int, window: tuple[slice, slice]) -> Field:
    """Moves a layer of a piece's own frame to its place in the image.

    Args:
        layer: (S, S) or (S, S, 3).
        pose: position of the piece.
        side: side of the image in pixels.
        window: rows and columns of the image to compute.

    Returns:
        The layer inside the window.
    """
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


def place_piece(surface: Surface, *, piece: Piece, pose: Pose, light: Lamp, depth: float = 0.02) -> None:
    """Places a piece on the surface, with its shadow.

    Args:
        surface: changed in place_piece.
        piece: the piece.
        pose: its position.
        light: position of the lamp.
        depth: height of the piece that casts the shadow, as a share of the side.
    """
    side = surface.side
    window = _window(pose, side, 3 * depth)
    ly, lx, lz = light.direction
    fall = depth / max(lz, 0.3)
    behind = replace(pose, centre=(pose.centre[0] - ly * fall, pose.centre[1] - lx * fall))
    cast = lay_layer(piece.cover, pose=behind, side=side, window=window)
    cast = np.asarray(cv2.GaussianBlur(cast, (0, 0), max(0.4, 0.45 * depth * side)), dtype=np.float32)
    a = lay_layer(piece.cover, pose=pose, side=side, window=window)
    lamp = surface.lamp[window] * (1 - np.float32(0.75) * cast)
    surface.lamp[window] = lamp * (1 - a) + a
    surface.height[window] += a * (
        lay_layer(piece.height, pose=pose, side=side, window=window) - surface.height[window]
    )
    surface.gloss[window] += a * (
        lay_layer(piece.gloss, pose=pose, side=side, window=window) - surface.gloss[window]
    )
    colour = lay_layer(piece.albedo, pose=pose, side=side, window=window)
    surface.albedo[window] += a[..., None] * (colour - surface.albedo[window])


def footprint(piece: Piece, *, pose: Pose, side: int) -> Field:
    """Draws the area that a piece covers.

    Args:
        piece: the piece.
        pose: its position.
        side: side of the image in pixels.

    Returns:
        (side, side) coverage in [0, 1].
    """
    out = np.zeros((side, side), np.float32)
    window = _window(pose, side, 0.0)
    out[window] = lay_layer(piece.cover, pose=pose, side=side, window=window)
    return out


def darken_hollows(surface: Surface, *, radius: float, strength: float) -> None:
    """Darkens places that are lower than their surroundings, because less ambient light reaches them.

    Args:
        surface: changed in place.
        radius: size of the surroundings (sigma), as a share of the side.
        strength: factor of the effect.
    """
    deep = np.clip(blur_field(surface.height, radius=radius) - surface.height, 0, None) * np.float32(strength)
    surface.albedo *= (1 / (1 + deep))[..., None]
