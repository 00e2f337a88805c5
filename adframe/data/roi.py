"""Regions of interest: the part of an image that is inspected; the rest is neither learned nor scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adframe.errors import AdframeError
from adframe.io.images import read_image

FILL = 0.5  # share of the full range that pixels outside have: mid grey
Box = Sequence[int]  # left, top, right, bottom; right and bottom are excluded
Polygon = Sequence[Sequence[float]]  # (x, y) of each corner


class Regions(ABC):
    """The inspected regions of categories, each drawn once for every size of image.

    Example:
        >>> class Left(Regions):
        ...     def draw(self, category, size):
        ...         return np.arange(size[1])[None].repeat(size[0], 0) < 1
        >>> Left().inside("screw", (1, 3)).tolist()
        [[True, False, False]]
    """

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, tuple[int, int]], np.ndarray | None] = {}

    @abstractmethod
    def draw(self, category: str, size: tuple[int, int]) -> np.ndarray | None:
        """Draws the region.

        Args:
            category: name of the category.
            size: (H, W) of the original image.

        Returns:
            (H, W) bool, True inside; None where the category is inspected as a whole.
        """

    def inside(self, category: str, size: tuple[int, int]) -> np.ndarray | None:
        """Returns the region.

        Args:
            category: name of the category.
            size: (H, W) of the original image.

        Returns:
            (H, W) bool, True inside; None where the category is inspected as a whole.

        Raises:
            AdframeError: the region cannot be drawn for an image of this size.
        """
        key = (category, size)
        if key not in self._drawn:
            self._drawn[key] = self.draw(category, size)
        return self._drawn[key]


class Roi(Regions):
    """A region of interest in pixels of the original images, the same for all of them or one per category.

    Exactly one of `mask`, `boxes` and `polygons` is given: a value for all categories, or a mapping of
    categories to values; a category without a value is inspected as a whole.

    Args:
        mask: path of a picture of the size of the images; pixels above half of its range are inside.
        boxes: [[left, top, right, bottom], ...]; right and bottom are excluded.
        polygons: [[[x, y], ...], ...].

    Raises:
        AdframeError: none or several are given, or a value has another shape.

    Example:
        >>> roi = Roi(boxes=[[1, 0, 3, 2]])
        >>> roi.inside("screw", (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0]]
    """

    def __init__(
        self,
        *,
        mask: str | Path | Mapping[str, str | Path] | None = None,
        boxes: Sequence[Box] | Mapping[str, Sequence[Box]] | None = None,
        polygons: Sequence[Polygon] | Mapping[str, Sequence[Polygon]] | None = None,
    ) -> None:
        super().__init__()
        given = {"mask": mask, "boxes": boxes, "polygons": polygons}
        kinds = [kind for kind, value in given.items() if value is not None]
        if len(kinds) != 1:
            raise AdframeError("roi: give exactly one of roi.mask=, roi.boxes= and roi.polygons=")
        self._kind = kinds[0]
        self._given: Any = given[self._kind]
        for value in self._values:
            _check(self._kind, value)

    def draw(self, category: str, size: tuple[int, int]) -> np.ndarray | None:
        """Draws the region.

        Args:
            category: name of the category.
            size: (H, W) of the original image.

        Returns:
            (H, W) bool, True inside; None where the category is inspected as a whole.

        Raises:
            AdframeError: the region has no pixel in the image, or a mask cannot be read or has another size.
        """
        value = self._given
        if isinstance(value, Mapping):
            value = value.get(category)
        drawn = None if value is None else _draw(self._kind, value, size)
        if drawn is not None and not drawn.any():
            raise AdframeError(f"roi.{self._kind}: no pixel of an image of {size[1]}x{size[0]} is inside")
        return drawn

    @property
    def named(self) -> list[str]:
        """Categories that have a region of their own; [] where all have the same."""
        return list(self._given) if isinstance(self._given, Mapping) else []

    @cached_property
    def _values(self) -> list[Any]:
        return list(self._given.values()) if isinstance(self._given, Mapping) else [self._given]


def fill_outside(pixels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Replaces the pixels outside of a region by mid grey.

    Args:
        pixels: (H, W, 3) uint8, uint16, or float in [0, 1].
        inside: (H, W) bool.

    Returns:
        A copy of the same type.
    """
    top = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1
    filled = pixels.copy()
    filled[~inside] = np.array(FILL * top).astype(pixels.dtype)
    return filled


def draw_polygons(polygons: Sequence[Polygon], size: tuple[int, int]) -> np.ndarray:
    """Fills polygons, which contain their border.

    Args:
        polygons: (x, y) of the corners of each, in pixels.
        size: (H, W) of the frame.

    Returns:
        (H, W) bool, True inside of any.
    """
    drawn = np.zeros(size, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, [np.rint(np.array(polygon)).astype(np.int32)], 1)
    return drawn.astype(bool)


def _check(kind: str, value: Any) -> None:
    if kind == "mask":
        return
    if kind == "boxes":
        fits = bool(value) and all(
            _is_numbers(box, 4) and box[0] < box[2] and box[1] < box[3] for box in value
        )
        what = "boxes [left, top, right, bottom]"
    else:
        fits = bool(value) and all(
            len(polygon) > 2 and all(_is_numbers(corner, 2) for corner in polygon) for polygon in value
        )
        what = "polygons of three corners [x, y] or more"
    if not fits:
        raise AdframeError(f"roi.{kind}={value} must be a list of {what}")


def _is_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == count
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
    )


def _draw(kind: str, value: Any, size: tuple[int, int]) -> np.ndarray:
    if kind == "mask":
        pixels = read_image(Path(value))
        if pixels.shape[:2] != size:
            raise AdframeError(
                f"roi.mask={value} has {pixels.shape[1]}x{pixels.shape[0]} pixels, and the images have "
                f"{size[1]}x{size[0]}"
            )
        return np.asarray(pixels.max(axis=2) > np.iinfo(pixels.dtype).max / 2)
    if kind == "polygons":
        return draw_polygons(value, size)
    drawn = np.zeros(size, bool)
    for box in value:
        left, top, right, bottom = (max(0, round(each)) for each in box)
        drawn[top:bottom, left:right] = True
    return drawn
