"""Draws the bootstrap of a category: its resampled images and all metrics of every resample."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.image import HALVES, Labelled, select_labelled
from adframe.metrics.probabilities import probability_resampled
from adframe.stats.bootstrap import RESAMPLES, RESAMPLING_SEED, multiplicities, strata_of
from adframe.stats.weighted_metrics import weighted_metrics

if TYPE_CHECKING:  # torchmetrics, which it needs, imports much that a page of results does not
    from adframe.metrics.pixel import PixelMetrics

_DECISIONS = ("f1", "accuracy", "balanced_accuracy", "precision", "recall", "fpr")

PredictionRow = dict[str, Any]


def drawn_metrics(rows: Sequence[PredictionRow], *, pixel: PixelMetrics) -> dict[str, np.ndarray]:
    """Computes image and pixel metrics on each resample of the images; all metrics share the resamples.

    Another category is drawn independently.

    Args:
        rows: prediction rows of one category.
        pixel: pixel metrics that hold the whole test split.

    Returns:
        (RESAMPLES,) float64 by metric name.
    """
    own = RESAMPLING_SEED + zlib.crc32(rows[0]["category"].encode())
    # Every row of a category has the same.
    threshold = rows[0]["threshold"]
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
        drawn |= _probability_draws(known)
    return drawn | pixel.resampled(resamples=RESAMPLES, seed=own)


def resample_weights(rows: Sequence[PredictionRow]) -> np.ndarray:
    """Draws how often each image counts in each resample, as `drawn_metrics` does.

    Args:
        rows: prediction rows of n labelled images of one category.

    Returns:
        (RESAMPLES, n) uint16.
    """
    subsets, conditions, paths = (
        np.array([row[key] for row in rows], dtype=str) for key in ("subset", "condition", "path")
    )
    return multiplicities(
        strata_of(np.array([bool(row["label"]) for row in rows]), subsets=subsets, conditions=conditions),
        groups=[row["group"] for row in rows],
        values=(paths,),
        resamples=RESAMPLES,
        seed=(RESAMPLING_SEED + zlib.crc32(rows[0]["category"].encode()),),
    )


def drawn_decisions(
    rows: Sequence[PredictionRow],
    *,
    threshold: float,
    seed: int = RESAMPLING_SEED,
    resamples: int | None = None,
) -> dict[str, np.ndarray]:
    """Computes `image/f1` and the other metrics of decisions at another threshold, on the resamples of
    `drawn_metrics`.

    Args:
        rows: prediction rows of one category.
        threshold: an image is called anomalous where `score > threshold`.
        seed: seed of the resamples; that of `drawn_metrics` by default.
        resamples: number of resamples; None uses that of a run.

    Returns:
        (resamples,) float64 by metric name.
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


def _probability_draws(rows: Sequence[PredictionRow]) -> dict[str, np.ndarray]:
    return probability_resampled(
        np.array([row["probability"] for row in rows]),
        labels=np.array([bool(row["label"]) for row in rows]),
        weights=resample_weights(rows),
    )


def _rows_with(rows: Sequence[PredictionRow], key: str) -> list[PredictionRow]:
    """Returns all rows if each has a value for `key`, otherwise none."""
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
    """Computes the metrics of `image_metrics` on resampled images.

    The order of the images does not matter. The threshold is held fixed, even if it was fitted.

    Args:
        scores: (n,) raw scores, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        groups: (n,) images of one part share a group; "" for an image on its own.
        threshold: an image is called anomalous where `score > threshold`; None leaves out the metrics of
            decisions.
        conditions: (n,) the light condition of each image, "" where unknown; None if no condition is known.
        reported: (n,) whether the thresholded map of each image has a positive pixel, or None.
        paths: (n,) paths of the images, so that the same images are drawn whatever their scores are; None
            identifies images by their scores.
        resamples: number of resamples.
        seed: seed of the draws.

    Returns:
        (resamples,) float64 by metric name.

    Raises:
        AdframeError: if a score is NaN or infinite, or the lengths differ.
    """
    known = select_labelled(scores, labels, subsets=subsets, conditions=conditions, reported=reported)
    if len(groups) != len(labels) or (paths is not None and len(paths) != len(labels)):
        raise AdframeError(
            f"{len(labels)} labels, {len(groups)} groups and {len(paths or groups)} paths: "
            "give one of each for every image"
        )
    names = () if paths is None else (np.array([paths[place] for place in known.places], dtype=str),)
    weights = multiplicities(
        strata_of(known.truth, subsets=known.subsets, conditions=known.conditions),
        groups=[groups[place] for place in known.places],
        values=(known.scores, *names),
        resamples=resamples,
        seed=(seed,),
    )
    return _weighted_table(known, weights, threshold=threshold)


def _weighted_table(
    known: Labelled, weights: np.ndarray, *, threshold: float | None
) -> dict[str, np.ndarray]:
    """Returns (resamples,) values of each metric of `image_metrics`."""
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
