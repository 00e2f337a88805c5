"""Computes how much of each cell of a feature grid is annotated as defect."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from adframe.contracts import Geometry, Region
from adframe.ops.regions import union


def covered(regions: Iterable[Region], *, geometry: Geometry, grid: tuple[int, int]) -> np.ndarray:
    """Computes the share of each cell's area that lies in a region; cells beyond the frame contain no defect.

    Args:
        regions: annotated defects in the original frame; they may overlap.
        geometry: the network's view of that frame.
        grid: (h, w) cells over the view.

    Returns:
        (h, w) float32 in [0, 1]; exactly 0 where nothing is annotated.
    """
    top, left, height, width = geometry.view
    frame = union(regions, geometry.original)
    y0, x0 = max(top, 0), max(left, 0)
    inside = frame[y0 : max(top + height, 0), x0 : max(left + width, 0)]
    view = np.zeros((height, width), dtype=np.float32)
    view[y0 - top : y0 - top + inside.shape[0], x0 - left : x0 - left + inside.shape[1]] = inside
    return np.asarray(cv2.resize(view, (grid[1], grid[0]), interpolation=cv2.INTER_AREA))
