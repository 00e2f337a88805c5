"""Shapes to fill: every one a polygon, so that they are sized, turned and drawn in one way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import AdframeError, unknown

SHAPES = ("ellipse", "rectangle", "polygon", "line")
_BITS = 4  # of a pixel's fraction that OpenCV draws with


def outline(
    shape: str, *, area: float, aspect: float, degrees: float, generator: np.random.Generator
) -> np.ndarray:
    """Corners of a shape around (0, 0).

    Args:
        shape: one of `SHAPES`.
        area: pixels.
        aspect: width to height before turning; a line is ten times as long.
        degrees: by which it is turned.
        generator: draws the corners of a polygon.

    Returns:
        (n, 2) float64 of (x, y).
    """
    corners = _corners(shape, generator) * [math.sqrt(aspect), 1 / math.sqrt(aspect)]
    if shape == "line":
        corners = corners * [math.sqrt(10), 1 / math.sqrt(10)]
    angle = math.radians(degrees)
    turned = corners @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    resized: np.ndarray = turned * math.sqrt(area / _area(turned))
    return resized


def filled(corners: np.ndarray, *, centre: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: 1 inside the shape, soft at its edge.

    Args:
        corners: (n, 2) of (x, y), as `outline` gives them.
        centre: (y, x) in pixels.
        size: (H, W).
    """
    canvas = np.zeros(size, np.uint8)
    places = np.round((corners + np.array([centre[1], centre[0]])) * 2**_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [places], 255, cv2.LINE_AA, _BITS)
    return canvas.astype(np.float32) / 255


def box_of(alpha: np.ndarray, *, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of what is not 0 in (H, W), with a margin where there is room; empty for nothing."""
    left, top, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return (
        slice(max(0, top - margin), min(alpha.shape[0], top + height + margin)),
        slice(max(0, left - margin), min(alpha.shape[1], left + width + margin)),
    )


def chosen_shapes(key: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names of shapes, checked."""
    for name in names:
        if name not in SHAPES:
            raise AdframeError(unknown("shape", name, SHAPES, where=f"in {key}"))
    if not names:
        raise AdframeError(f"{key}=[] is not possible; {key} must name one or more of {', '.join(SHAPES)}")
    return tuple(names)


def _corners(shape: str, generator: np.random.Generator) -> np.ndarray:
    if shape in ("rectangle", "line"):
        return np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    if shape == "ellipse":
        turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        return np.stack([np.cos(turns), np.sin(turns)], axis=1)
    count = int(generator.integers(5, 10))
    turns = 2 * math.pi * (np.arange(count) + generator.uniform(-0.4, 0.4, count)) / count
    radii = generator.uniform(0.4, 1, count)
    return np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)


def _area(corners: np.ndarray) -> float:
    """Of a polygon that does not cross itself (Gauss's shoelace formula)."""
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
