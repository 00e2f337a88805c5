"""Draws shapes; each is a polygon, so that all are sized, rotated and filled in one way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import AdframeError, unknown

SHAPES = ("ellipse", "rectangle", "polygon", "line")
# Bits of a pixel's fraction with which OpenCV draws.
_FRACTION_BITS = 4


def outline(
    shape: str, *, area: float, aspect: float, degrees: float, generator: np.random.Generator
) -> np.ndarray:
    """Computes the corners of a shape around (0, 0).

    Args:
        shape: one of `SHAPES`.
        area: in pixels.
        aspect: width divided by height before rotation; a line is ten times as long.
        degrees: angle of rotation.
        generator: draws the corners of a polygon.

    Returns:
        (n, 2) float64 of (x, y).
    """
    corners = _unit_corners(shape, generator) * [math.sqrt(aspect), 1 / math.sqrt(aspect)]
    if shape == "line":
        corners = corners * [math.sqrt(10), 1 / math.sqrt(10)]
    angle = math.radians(degrees)
    rotated = corners @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    resized: np.ndarray = rotated * math.sqrt(area / _polygon_area(rotated))
    return resized


def fill_outline(corners: np.ndarray, *, centre: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Fills a shape with soft edges.

    Args:
        corners: (n, 2) of (x, y), as returned by `outline`.
        centre: (y, x) in pixels.
        size: (H, W).

    Returns:
        (H, W) float32, 1 inside the shape.
    """
    canvas = np.zeros(size, np.uint8)
    places = np.round((corners + np.array([centre[1], centre[0]])) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [places], 255, cv2.LINE_AA, _FRACTION_BITS)
    return canvas.astype(np.float32) / 255


def box_of(alpha: np.ndarray, *, margin: int = 0) -> tuple[slice, slice]:
    """Returns the bounding box of non-zero values.

    Args:
        alpha: (H, W).
        margin: pixels added on every side where there is room.

    Returns:
        Slices of rows and columns, empty where all values are 0.
    """
    left, top, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return (
        slice(max(0, top - margin), min(alpha.shape[0], top + height + margin)),
        slice(max(0, left - margin), min(alpha.shape[1], left + width + margin)),
    )


def checked_shapes(key: str, names: Sequence[str]) -> tuple[str, ...]:
    """Checks names of shapes.

    Args:
        key: place of the names in the configuration.
        names: names of shapes.

    Returns:
        The names.

    Raises:
        AdframeError: if a name is unknown, or there is none.
    """
    for name in names:
        if name not in SHAPES:
            raise AdframeError(unknown("shape", name, SHAPES, where=f"in {key}"))
    if not names:
        raise AdframeError(f"{key}=[] is not possible; name at least one of {', '.join(SHAPES)}")
    return tuple(names)


def _unit_corners(shape: str, generator: np.random.Generator) -> np.ndarray:
    if shape in ("rectangle", "line"):
        return np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    if shape == "ellipse":
        turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        return np.stack([np.cos(turns), np.sin(turns)], axis=1)
    count = int(generator.integers(5, 10))
    turns = 2 * math.pi * (np.arange(count) + generator.uniform(-0.4, 0.4, count)) / count
    radii = generator.uniform(0.4, 1, count)
    return np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)


def _polygon_area(corners: np.ndarray) -> float:
    """Returns the area of a polygon that does not cross itself (Gauss's shoelace formula)."""
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
