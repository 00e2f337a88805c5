"""The bootstrap of a category: its resampled images, and all its numbers of every draw."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.image import HALVES, Labelled, select_labelled
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.probabilities import probability_resampled
from adframe.stats.bootstrap import RESAMPLES, kinds, multiplicities
from adframe.stats.weighted_metrics import weighted_metrics

_DECISIONS = ("f1", "accuracy", "balanced_accuracy", "precision", "recall", "fpr")

PredictionRow = dict[str, Any]


def drawn_metrics(rows: Sequence[PredictionRow], *, pixel: PixelMetrics, seed: int) -> dict[str, np.ndarray]:
    """Image and pixel metrics of each resample, (RESAMPLES,) by name; each resample draws the same
    images for all of them. Another category draws independently.

    Args:
        rows: of one category, as in the ledger.
        pixel: as the test left it.
        seed: of the run.
    """
    own = seed + zlib.crc32(rows[0]["category"].encode())
    threshold = rows[0]["threshold"]  # one a category
    drawn = _image_draws(
        rows, scores=[row["score"] for row in rows], threshold=threshold, seed=own, resamples=RESAMPLES
    )
    if local := _rows_with(rows, "by_zones"):
        by_zones = _image_draws(
            local,
            scores=[float(row["by_zones"]) for row in local],
            threshold=0.5,
            seed=own,
            resamples=RESAMPLES,
        )
        drawn |= {f"zones/image/{name}": by_zones[f"image/{name}"] for name in _DECISIONS}
    if known := [row for row in _rows_with(rows, "probability") if row["label"] is not None]:
        drawn |= _probability_draws(known, seed=own)
    return drawn | pixel.resampled(resamples=RESAMPLES, seed=own)


def drawn_decisions(
    rows: Sequence[PredictionRow], *, threshold: float, seed: int, resamples: int | None = None
) -> dict[str, np.ndarray]:
    """`image/f1` and the other numbers of decisions at another threshold, on the draws of `drawn_metrics`.

    Args:
        rows: of one category, as in the ledger.
        threshold: decides `score > threshold`.
        seed: of the run.
        resamples: how many draws; None: as many as a run makes.
    """
    own = seed + zlib.crc32(rows[0]["category"].encode())
    count = RESAMPLES if resamples is None else resamples
    scores = [row["score"] for row in rows]
    drawn = _image_draws(rows, scores=scores, threshold=threshold, seed=own, resamples=count)
    return {f"image/{name}": drawn[f"image/{name}"] for name in _DECISIONS}


def _image_draws(
    rows: Sequence[PredictionRow], *, scores: list[float], threshold: float | None, seed: int, resamples: int
) -> dict[str, np.ndarray]:
    return image_resampled(
        scores=scores,
        labels=[row["label"] for row in rows],
        subsets=[row["subset"] for row in rows],
        conditions=[row["condition"] for row in rows],
        groups=[row["group"] for row in rows],
        reported=[row["reported"] for row in rows] if _rows_with(rows, "reported") else None,
        paths=[row["path"] for row in rows],
        threshold=threshold,
        resamples=resamples,
        seed=seed,
    )


def _probability_draws(rows: Sequence[PredictionRow], *, seed: int) -> dict[str, np.ndarray]:
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


def _rows_with(rows: Sequence[PredictionRow], key: str) -> list[PredictionRow]:
    """All rows if each has a value, else none."""
    return list(rows) if all(row[key] is not None for row in rows) else []


def image_resampled(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    groups: Sequence[str],
    threshold: float | None,
    conditions: Sequence[str] | None = None,
    reported: Sequence[bool] | None = None,
    paths: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int,
) -> dict[str, np.ndarray]:
    """All that `image_metrics` gives, on resampled images: (resamples,) values each.

    The order of the images changes nothing. The threshold is held fixed, whatever it rests on.

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        threshold: decides `score > threshold`; without it there are no decision metrics.
        conditions: (n,) how each was photographed; "" where that is not known.
        reported: (n,) whether the thresholded map of each has a positive pixel.
        paths: (n,) of the images, that the same ones are drawn whatever their scores are; without
            them images are told apart by their scores.
        resamples: how many to draw.
        seed: of the draws.

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
    """
    known = select_labelled(scores, labels, subsets=subsets, conditions=conditions, reported=reported)
    if len(groups) != len(labels) or (paths is not None and len(paths) != len(labels)):
        raise AdframeError(
            f"{len(labels)} labels, {len(groups)} groups and {len(paths or groups)} paths: "
            "give one of each for every image"
        )
    names = () if paths is None else (np.array([paths[place] for place in known.places], dtype=str),)
    weights = multiplicities(
        kinds(known.truth, subsets=known.subsets, conditions=known.conditions),
        groups=[groups[place] for place in known.places],
        values=(known.scores, *names),
        resamples=resamples,
        seed=(seed,),
    )
    return _weighted_table(known, weights, threshold=threshold)


def _weighted_table(known: Labelled, weights: np.ndarray, *, threshold: float | None) -> dict[str, np.ndarray]:
    """As `image_metrics`, (resamples,) values each."""
    table: dict[str, np.ndarray] = {}
    for selection in known.selections():
        rows = known.rows(selection)
        table |= selection.prefix_keys(
            weighted_metrics(
                known.scores[rows],
                labels=known.truth[rows],
                weights=weights[:, rows],
                threshold=threshold,
                reported=None if known.reported is None else known.reported[rows],
            )
        )
    if all(half in table for half in HALVES):
        table["image/auroc_subset_mean"] = np.mean([table[half] for half in HALVES], axis=0)
    return table
