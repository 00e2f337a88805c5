"""The bootstrap of a category: its images drawn anew, and all its numbers of every draw."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adframe.metrics.bootstrap import image_resampled, interval, kinds, multiplicities
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.probabilities import probability_resampled

LEVEL = 0.95
RESAMPLES = 1000
_DECISIONS = ("f1", "accuracy", "balanced_accuracy", "precision", "recall", "fpr")

Row = dict[str, Any]


def drawn_metrics(rows: Sequence[Row], *, pixel: PixelMetrics, seed: int) -> dict[str, np.ndarray]:
    """Image and pixel metrics of each resample, (RESAMPLES,) by name; each resample draws the same
    images for all of them. Another category draws independently.

    Args:
        rows: of one category, as in the ledger.
        pixel: as the test left it.
        seed: of the run.
    """
    own = seed + zlib.crc32(rows[0]["category"].encode())
    threshold = rows[0]["threshold"]  # one a category
    drawn = _image(rows, scores=[row["score"] for row in rows], threshold=threshold, seed=own)
    if local := _with(rows, "by_zones"):
        by_zones = _image(local, scores=[float(row["by_zones"]) for row in local], threshold=0.5, seed=own)
        drawn |= {f"zones/image/{name}": by_zones[f"image/{name}"] for name in _DECISIONS}
    if known := [row for row in _with(rows, "probability") if row["label"] is not None]:
        drawn |= _probabilities(known, seed=own)
    return drawn | pixel.resampled(resamples=RESAMPLES, seed=own)


def drawn_decisions(rows: Sequence[Row], *, threshold: float, seed: int) -> dict[str, np.ndarray]:
    """`image/f1` and the other numbers of decisions at another threshold, on the draws of `drawn_metrics`."""
    own = seed + zlib.crc32(rows[0]["category"].encode())
    drawn = _image(rows, scores=[row["score"] for row in rows], threshold=threshold, seed=own)
    return {f"image/{name}": drawn[f"image/{name}"] for name in _DECISIONS}


def intervals_of(drawn: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """95 % intervals [low, high] of the metrics that have a value in every draw."""
    found = {name: interval(values, level=LEVEL) for name, values in drawn.items()}
    return {name: [low, high] for name, (low, high) in found.items() if math.isfinite(low)}


def mean_of(categories: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean over categories in each draw, of the metrics that all of them have."""
    names = [name for name in categories[0] if all(name in each for each in categories)]
    return {name: np.mean([each[name] for each in categories], axis=0) for name in names}


def _image(
    rows: Sequence[Row], *, scores: list[float], threshold: float | None, seed: int
) -> dict[str, np.ndarray]:
    return image_resampled(
        scores=scores,
        labels=[row["label"] for row in rows],
        subsets=[row["subset"] for row in rows],
        conditions=[row["condition"] for row in rows],
        groups=[row["group"] for row in rows],
        reported=[row["reported"] for row in rows] if _with(rows, "reported") else None,
        paths=[row["path"] for row in rows],
        threshold=threshold,
        resamples=RESAMPLES,
        seed=seed,
    )


def _probabilities(rows: Sequence[Row], *, seed: int) -> dict[str, np.ndarray]:
    labels = np.array([bool(row["label"]) for row in rows])
    subsets, conditions, paths = (
        np.array([row[key] for row in rows], dtype=str) for key in ("subset", "condition", "path")
    )
    weights = multiplicities(
        kinds(labels, subsets=subsets, conditions=conditions),
        groups=[row["group"] for row in rows],
        values=(paths,),
        resamples=RESAMPLES,
        seed=(seed,),
    )
    return probability_resampled(
        np.array([row["probability"] for row in rows]), labels=labels, weights=weights
    )


def _with(rows: Sequence[Row], key: str) -> list[Row]:
    """All rows if each has a value, else none."""
    return list(rows) if all(row[key] is not None for row in rows) else []
