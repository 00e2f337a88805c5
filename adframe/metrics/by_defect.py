"""Computes metrics per defect type, and warnings about the accuracy of binned pixel metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adframe.contracts import GOOD
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics


def defect_metrics(rows: Sequence[dict[str, Any]], *, pixel: PixelMetrics) -> dict[str, dict[str, float]]:
    """Computes image and pixel metrics per defect type, and counts its images.

    Args:
        rows: prediction rows of one category.
        pixel: pixel metrics that hold the whole test split.

    Returns:
        By defect type: `images`, the number of its images, and metrics by name.
    """
    pixels = pixel.per_defect()
    found = {}
    for defect in sorted({row["defect"] for row in rows if row["label"] == 1}):
        part = [row for row in rows if row["defect"] == defect or row["subset"] == GOOD]
        images = image_metrics(
            scores=[row["score"] for row in part],
            labels=[row["label"] for row in part],
            # any name but GOOD will do; "anomaly" gets no prefix
            subsets=[GOOD if row["label"] == 0 else "anomaly" for row in part],
            threshold=part[0]["threshold"],
        )
        count = sum(row["defect"] == defect for row in rows)
        found[defect] = {"images": count} | images | pixels.get(defect, {})
    return found


def binning_warnings(bounds: dict[str, float]) -> list[str]:
    """Lists the pixel metrics that binning may have changed by more than 1e-4.

    Args:
        bounds: largest possible error by metric name, from `PixelMetrics.bound`.

    Returns:
        One line per metric.
    """
    notable = {name: value for name, value in bounds.items() if value > 1e-4}
    return [
        f"{name} comes from binned scores and may be off by up to {value:.1g}; raise metrics.max_bins"
        for name, value in notable.items()
    ]
