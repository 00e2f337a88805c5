"""What a category's numbers are made of: its defect types, and how exact its pixel metrics are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adframe.contracts import GOOD
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics


def defect_metrics(rows: Sequence[dict[str, Any]], *, pixel: PixelMetrics) -> dict[str, dict[str, float]]:
    """Image and pixel metrics by defect type, and how many images each has.

    Args:
        rows: of one category, as in the ledger.
        pixel: as the test left it.
    """
    pixels = pixel.per_defect()
    found = {}
    for defect in sorted({row["defect"] for row in rows if row["label"] == 1}):
        part = [row for row in rows if row["defect"] == defect or row["subset"] == GOOD]
        images = image_metrics(
            scores=[row["score"] for row in part],
            labels=[row["label"] for row in part],
            subsets=[GOOD if row["label"] == 0 else "anomaly" for row in part],  # no line of its own
            threshold=part[0]["threshold"],
        )
        count = sum(row["defect"] == defect for row in rows)
        found[defect] = {"images": count} | images | pixels.get(defect, {})
    return found


def binning_warnings(bounds: dict[str, float]) -> list[str]:
    """Which pixel metrics binning may have moved by more than 1e-4, and by how much at most."""
    worth = {name: value for name, value in bounds.items() if value > 1e-4}
    return [
        f"{name} comes from binned scores and may be off by up to {value:.1g}; raise metrics.max_bins"
        for name, value in worth.items()
    ]
