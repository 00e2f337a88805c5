"""Measures the size of an annotated defect and its distance from the border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.contracts import Region
from adframe.ops.regions import bounding_box, union


@dataclass(frozen=True, slots=True)
class Extent:
    """All annotated defects of one image together.

    Attributes:
        area: share of the image's pixels that any region covers, in (0, 1].
        border: smallest distance of such a pixel from the border, as a share of the shorter side.
    """

    area: float
    border: float


def extent(regions: Sequence[Region] | None, *, frame: tuple[int, int]) -> Extent | None:
    """Measures the annotated defects of an image.

    A pixel in the outermost row or column has distance 0.

    Args:
        regions: in the original frame; they may overlap. None where there is no ground truth.
        frame: (H, W) of that frame.

    Returns:
        Size and distance; None where nothing is annotated.

    Raises:
        AdframeError: if a region is empty or reaches beyond the frame.
    """
    if not regions:
        return None
    covered = np.count_nonzero(union(regions, frame)) / (frame[0] * frame[1])
    nearest = min(_border_distance(region, frame) for region in regions)
    return Extent(area=covered, border=nearest / min(frame))


def _border_distance(region: Region, frame: tuple[int, int]) -> int:
    """Returns the pixels between a region and the nearest side; its mask need not touch the sides of its
    box.
    """
    box = bounding_box(region, frame)
    ends = []
    for axis, size in enumerate(frame):
        there = np.flatnonzero(region.mask.any(axis=1 - axis)) + box[axis].start
        ends += [int(there[0]), size - 1 - int(there[-1])]
    return min(ends)
