"""Computes scalar fields over the unit square: coordinates, smooth noise, signed distances, soft edges.

A field is (S, S) float32. Lengths are shares of the frame's side, so a scene looks the same at any size.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]
Rng: TypeAlias = np.random.Generator


def axes(side: int) -> tuple[Field, Field]:
    """Returns the coordinates of pixel centres.

    Args:
        side: side of the frame in pixels.

    Returns:
        y and x, both (side, side) in (0, 1).
    """
    line = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
    y, x = np.meshgrid(line, line, indexing="ij")
    return y, x


def clouds(rng: Rng, *, side: int, cells: int, across: int | None = None) -> Field:
    """Draws smooth noise about zero with a standard deviation near 0.7.

    The draws depend on the number of grains only, so the same generator gives the same clouds at any `side`.

    Args:
        rng: source of the draws.
        side: side of the frame in pixels.
        cells: number of grains down the frame.
        across: number of grains across it; None takes `cells`.

    Returns:
        (side, side) field.
    """
    seeds = rng.standard_normal((cells + 1, (across or cells) + 1), dtype=np.float32)
    return np.asarray(cv2.resize(seeds, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def blur_field(field: Field, *, radius: float) -> Field:
    """Blurs a field by a Gaussian; wide ones are computed on a reduced copy.

    Args:
        field: (S, S).
        radius: sigma as a share of the side.

    Returns:
        (S, S).
    """
    side = field.shape[0]
    sigma = radius * side
    shrink = max(1, int(sigma / 2))
    small = (max(8, side // shrink), max(8, side // shrink))
    out = cv2.resize(field, small, interpolation=cv2.INTER_AREA) if shrink > 1 else field
    out = cv2.GaussianBlur(out, (0, 0), max(0.3, sigma * small[0] / side), borderType=cv2.BORDER_REPLICATE)
    if shrink > 1:
        out = cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(out, dtype=np.float32)


def ramp(field: Field, *, low: float, high: float) -> Field:
    """Computes a smoothstep: 0 below `low`, 1 above `high` (reversed where `high` < `low`).

    Args:
        field: values of any shape.
        low: value that gives 0.
        high: value that gives 1.

    Returns:
        Values in [0, 1] of the same shape.
    """
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def cover(distance: Field, *, side: int) -> Field:
    """Computes the share of each pixel that lies inside a shape.

    Args:
        distance: (S, S) signed distance, negative inside.
        side: side of the frame in pixels.

    Returns:
        (S, S) in [0, 1].
    """
    return np.asarray(np.clip(0.5 - distance * side, 0, 1), dtype=np.float32)


def disc(y: Field, x: Field, *, centre: tuple[float, float], radius: float) -> Field:
    """Computes the signed distance to a disc.

    Args:
        y: coordinates.
        x: coordinates.
        centre: (y, x).
        radius: as a share of the side.

    Returns:
        The field, negative inside.
    """
    return np.asarray(np.hypot(y - centre[0], x - centre[1]) - radius, dtype=np.float32)


def box(
    y: Field, x: Field, *, centre: tuple[float, float], half: tuple[float, float], corner: float
) -> Field:
    """Computes the signed distance to a box with rounded corners.

    Args:
        y: coordinates.
        x: coordinates.
        centre: (y, x).
        half: half height and half width.
        corner: radius of the corners.

    Returns:
        The field, negative inside.
    """
    dy, dx = np.abs(y - centre[0]) - (half[0] - corner), np.abs(x - centre[1]) - (half[1] - corner)
    outside = np.hypot(np.maximum(dy, 0), np.maximum(dx, 0))
    return np.asarray(outside + np.minimum(np.maximum(dy, dx), 0) - corner, dtype=np.float32)


def capsule(
    y: Field, x: Field, *, start: tuple[float, float], end: tuple[float, float], radius: float
) -> Field:
    """Computes the signed distance to a stroke with round ends.

    Args:
        y: coordinates.
        x: coordinates.
        start: (y, x) of one end.
        end: (y, x) of the other end.
        radius: half of the width.

    Returns:
        The field, negative inside.
    """
    ay, ax = y - start[0], x - start[1]
    by, bx = end[0] - start[0], end[1] - start[1]
    along = np.clip((ay * by + ax * bx) / (by * by + bx * bx), 0, 1)
    return np.asarray(np.hypot(ay - along * by, ax - along * bx) - radius, dtype=np.float32)


def blob(rng: Rng, *, side: int, centre: tuple[float, float], radius: float, ragged: float = 0.35) -> Field:
    """Computes the approximate signed distance to an irregular, stretched patch.

    Args:
        rng: draws the shape.
        side: side of the frame in pixels.
        centre: (y, x).
        radius: mean radius.
        ragged: irregularity of the outline, 0 for none.

    Returns:
        The field, negative inside.
    """
    y, x = axes(side)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.6)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dy, dx = y - np.float32(centre[0]), x - np.float32(centre[1])
    along, over = c * dx + s * dy, c * dy - s * dx
    rough = clouds(rng, side=side, cells=max(4, min(48, int(1.6 / radius))))
    reach = np.hypot(along / np.float32(stretch), over * np.float32(stretch))
    return np.asarray(reach - radius * (1 + ragged * rough), dtype=np.float32)


def curve(rng: Rng, *, start: tuple[float, float], length: float, bend: float, steps: int = 48) -> Field:
    """Draws a smoothly winding line.

    Args:
        rng: source of the draws.
        start: (y, x) of its centre.
        length: as a share of the side.
        bend: amount of turning in radians.
        steps: number of points.

    Returns:
        (steps, 2) as (y, x).
    """
    turns = np.interp(np.linspace(0, 3, steps), np.arange(4), rng.normal(0, 1, 4))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turns) * (bend / steps)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0) * (length / steps)
    return np.asarray(path - path.mean(axis=0) + np.asarray(start), dtype=np.float32)


def stroke(path: Field, *, side: int, width: float) -> Field:
    """Draws a line; one that is thinner than a pixel is fainter.

    Args:
        path: (N, 2) as (y, x).
        side: side of the frame in pixels.
        width: as a share of the side.

    Returns:
        (side, side) coverage in [0, 1].
    """
    # OpenCV draws in sixteenths of a pixel.
    shift = 4
    pixels = np.round((path[:, ::-1] * side - 0.5) * 2**shift).astype(np.int32)
    thickness = max(1, round(width * side))
    layer = np.zeros((side, side), np.uint8)
    cv2.polylines(layer, [pixels], False, 255, thickness, cv2.LINE_AA, shift)
    faint = min(1.0, width * side / thickness)
    return np.asarray(layer, dtype=np.float32) * np.float32(faint / 255)
