"""The region of interest that the training images show: where the product lies, on an even background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from adframe.contracts import Record
from adframe.data.roi import Regions, draw_polygons
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.transforms.synthesis.foreground import foreground_of

GRID = 256  # pixels of the longer side of the frame in which the region is found
SHOWN = 0.9  # share of the training images in which a product must be found
WHOLE = 0.95  # a region that covers more of the frame than this is the whole frame
Shape = list[list[float]]  # (x, y) of each corner, as shares of width and height


class AutoRoi(Regions):
    """The region in which the training images of a category show the product, one for all of its images.

    In each training image the part is found that stands out from an even background (`foreground_of`). The
    region is the union of these parts, with gaps filled and a margin added. It does not depend on the image
    that is inspected: an anomaly can never be cut away as background, which a mask of each image would do
    with whatever it misses of the product. A product that turns or moves has the union of its positions.

    The margin grows until each part lies inside the region of all other images, so that a new position of the
    product lies inside as well with probability n / (n + 1) for n training images. Where products turn and
    training images are few, the region therefore becomes large instead of wrong.

    A category is inspected as a whole where the part is not found in nine of ten images, as with textures and
    with products that reach over more than a tenth of the border, or where the region covers 95 % of the
    frame.

    Args:
        margin: smallest margin around the parts, as a share of the shorter side of the frame.
        images: most training images that are looked at, spread evenly over all.
        found: category -> polygons [[x, y], ...] as shares of width and height, [] for the whole frame; None
            before `find`.

    Raises:
        AdframeError: a number is out of range.

    Example:
        >>> roi = AutoRoi(found={"screw": [[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]], "leather": []})
        >>> roi.inside("screw", (2, 4)).astype(int).tolist(), roi.inside("leather", (2, 4))
        ([[0, 0, 1, 1], [0, 0, 1, 1]], None)
    """

    def __init__(
        self,
        *,
        margin: float = 0.05,
        images: int = 200,
        found: Mapping[str, Sequence[Shape]] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= margin < 0.5 or images < 2:
            raise AdframeError(f"roi.margin={margin} must lie in [0, 0.5), roi.images={images} be 2 or more")
        self.margin, self.images = margin, images
        self.found = None if found is None else {name: list(shapes) for name, shapes in found.items()}

    def find(self, records: Sequence[Record]) -> list[str]:
        """Finds the region of every category among the images, unless regions are known already.

        Args:
            records: the normal training images of a model.

        Returns:
            One line per category: what share of the frame is inspected, or why all of it is.

        Raises:
            AdframeError: an image cannot be read.
        """
        if self.found is not None:
            return []
        self.found, lines = {}, []
        for name in dict.fromkeys(record.category for record in records):
            self.found[name], line = self._region([each for each in records if each.category == name])
            lines.append(f"{name}: {line}")
        return lines

    def draw(self, category: str, size: tuple[int, int]) -> np.ndarray | None:
        """Draws the region.

        Args:
            category: name of the category.
            size: (H, W) of the original image.

        Returns:
            (H, W) bool, True inside; None where the category is inspected as a whole.

        Raises:
            AdframeError: the region has not been found yet.
        """
        if self.found is None:
            raise AdframeError("roi=auto: the region is found on training images, which were not read yet")
        shapes = self.found.get(category)
        return draw_shares(shapes, size) if shapes else None

    @property
    def named(self) -> list[str]:
        """Categories that have a region of their own."""
        return [name for name, shapes in (self.found or {}).items() if shapes]

    def _region(self, records: Sequence[Record]) -> tuple[list[Shape], str]:
        """Returns the polygons of one category, [] for the whole frame, and a line about them."""
        places = np.unique(np.linspace(0, len(records) - 1, self.images).round().astype(int))
        found = [_part_in(records[place]) for place in places]
        parts = [part for part in found if part is not None]
        if len(parts) < max(2, SHOWN * len(found)):
            return [], (
                f"roi=auto inspects the whole frame: a product on an even background was found in "
                f"{len(parts)} of {len(found)} training images"
            )
        height, width = parts[0].shape
        # Parts of images with another aspect ratio are brought to one frame, as shares of height and width.
        same = [cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST) for part in parts]
        region = _grown(same, margin=self.margin * min(height, width))
        share = float(region.mean())
        if share > WHOLE:
            return [], f"roi=auto inspects the whole frame: the products reach over {share:.0%} of it"
        shapes = _polygons(region)
        share = float(draw_shares(shapes, (height, width)).mean())
        return shapes, f"roi=auto inspects {share:.0%} of the frame, found on {len(found)} training images"


def draw_shares(shapes: Sequence[Shape], size: tuple[int, int]) -> np.ndarray:
    """Draws polygons that are given as shares of the frame.

    Args:
        shapes: the polygons.
        size: (H, W) of the frame in pixels.

    Returns:
        (H, W) bool.
    """
    height, width = size
    return draw_polygons([[(x * width, y * height) for x, y in shape] for shape in shapes], size)


def _part_in(record: Record) -> np.ndarray | None:
    """Returns (h, w) uint8, 1 on the product, at most `GRID` pixels long; None where none is found."""
    pixels = read_image(record.path, bits=record.bits)
    height, width = pixels.shape[:2]
    scale = GRID / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    unit = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    part = foreground_of(cv2.resize(unit, size, interpolation=cv2.INTER_AREA))
    return None if part is None else part.astype(np.uint8)


def _grown(parts: Sequence[np.ndarray], *, margin: float) -> np.ndarray:
    """Returns (h, w) bool: the union of (h, w) parts with the margin in pixels, or the larger one that takes
    each part into the region of the others; without holes.
    """
    counts = np.stack(parts).sum(0, dtype=np.int32)
    for part in parts:
        others = (counts - part > 0).astype(np.uint8)
        margin = max(margin, float(_distance_from(others)[part > 0].max()))
    # One pixel more, which simplified outlines may lose.
    union = (_distance_from((counts > 0).astype(np.uint8)) <= margin + 1).astype(np.uint8)
    outlines, _ = cv2.findContours(union, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled: Any = cv2.drawContours(np.zeros_like(union), outlines, -1, 1, cv2.FILLED)
    return np.asarray(filled > 0)


def _distance_from(mask: np.ndarray) -> np.ndarray:
    """Returns (h, w) float32: the distance of each pixel from the nearest one of a mask, 0 inside."""
    return np.asarray(cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _polygons(region: np.ndarray) -> list[Shape]:
    """Returns the outlines of (h, w) bool as shares of the frame."""
    height, width = region.shape
    # A pixel is a square: an outline through the centres of pixels would lose half of one on each side.
    enlarged = cv2.resize(region.astype(np.uint8), (4 * width, 4 * height), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    shapes = []
    for outline in outlines:
        corners = cv2.approxPolyDP(outline, epsilon=4.0, closed=True)[:, 0]  # one pixel of the region
        if len(corners) > 2:
            scaled = (corners + 0.5) / (4 * width, 4 * height)
            shapes.append([[round(float(x), 4), round(float(y), 4)] for x, y in scaled])
    return shapes
