"""How well each defect type is found, against all good images of its category."""

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
