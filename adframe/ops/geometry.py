"""Puts a heatmap back into the original frame."""

from __future__ import annotations

import cv2
import numpy as np

from adframe.contracts import Geometry


def restore(heatmap: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Resizes a heatmap to the view it was computed on and pastes it into the original frame.

    Pixels outside the view or the region of interest get the heatmap's minimum, so that they are not called
    anomalous. Without this step a centre crop costs 20 points of sPRO.

    Args:
        heatmap: (h, w) float32, on any grid that covers the view.
        geometry: size of the image and the view on it, in original pixels.

    Returns:
        (H0, W0) float32.
    """
    height, width = geometry.original
    top, left, view_height, view_width = geometry.view
    contiguous = np.ascontiguousarray(heatmap)
    view = cv2.resize(contiguous, (view_width, view_height), interpolation=cv2.INTER_LINEAR)
    if (top, left, view_height, view_width) == (0, 0, height, width):
        return _outside_lowered(view, geometry)
    canvas = np.full((height, width), heatmap.min(), dtype=np.float32)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + view_height, height), min(left + view_width, width)
    canvas[y0:y1, x0:x1] = view[y0 - top : y1 - top, x0 - left : x1 - left]
    return _outside_lowered(canvas, geometry)


def _outside_lowered(frame: np.ndarray, geometry: Geometry) -> np.ndarray:
    return frame if geometry.inside is None else np.where(geometry.inside, frame, frame.min())
