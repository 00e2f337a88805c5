"""The bootstrap intervals of a category, from the rows that go into its ledger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from adframe.metrics.bootstrap import image_intervals


def intervals_of(rows: Sequence[dict[str, Any]], *, seed: int) -> dict[str, list[float]]:
    """95% intervals [low, high] of the image metrics that have a value.

    Args:
        rows: of one category, as in the ledger.
        seed: of the bootstrap.
    """
    thresholds = {row["threshold"] for row in rows}
    found = image_intervals(
        scores=[row["score"] for row in rows],
        labels=[row["label"] for row in rows],
        subsets=[row["subset"] for row in rows],
        groups=[row["group"] for row in rows],
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        seed=seed,
    )
    return {name: [low, high] for name, (low, high) in found.items() if math.isfinite(low)}
