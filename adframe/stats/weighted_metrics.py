"""Computes image metrics of many resamples at once, from cumulative sums of image weights along sorted
scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.errors import AdframeError

# Counts per chunk: 16 MB per array, whatever the number of images.
_CHUNK_COUNTS = 1 << 21


def weighted_metrics(
    scores: np.ndarray,
    *,
    labels: np.ndarray,
    weights: np.ndarray,
    threshold: float | None = None,
    reported: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Computes the metrics of `metrics.image.image_metrics` on every resample.

    Args:
        scores: (n,) finite raw scores.
        labels: (n,) bool, True for anomalous images.
        weights: (resamples, n) how often each image counts.
        threshold: an image is called anomalous where `score > threshold`; None leaves out the metrics of
            decisions.
        reported: (n,) bool, decisions by thresholded maps, for `image/class_f1`; None leaves it out.

    Returns:
        (resamples,) float64 by metric name; NaN where a class is missing.
    """
    falling, starts = np.argsort(-scores, kind="stable"), np.zeros(0, np.intp)
    if len(scores):
        # The first image of each distinct score.
        starts = np.unique(-scores[falling], return_index=True)[1]
    pieces = []
    for piece in _integer_weight_chunks(weights):
        normal, anomalous = (_counts_by_score(piece * side, falling, starts) for side in (~labels, labels))
        found = _ranking_metrics(normal, anomalous)
        if threshold is not None:
            found |= _decision_metrics(piece, reported=scores > threshold, labels=labels)
        if reported is not None:
            found["image/class_f1"] = _decision_metrics(piece, reported=reported, labels=labels)["image/f1"]
        pieces.append(found)
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}


def _integer_weight_chunks(weights: np.ndarray) -> Iterator[np.ndarray]:
    """Yields some resamples at a time, as int64, in which no sum overflows."""
    step = max(_CHUNK_COUNTS // max(weights.shape[1], 1), 1)
    for start in range(0, max(len(weights), 1), step):
        yield weights[start : start + step].astype(np.int64)


def _counts_by_score(counts: np.ndarray, falling: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Returns (resamples, distinct scores) counts from the highest score to the lowest."""
    ranked = counts[:, falling]
    return ranked if len(starts) == len(falling) else np.add.reduceat(ranked, starts, axis=1)


def _ranking_metrics(normal: np.ndarray, anomalous: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the metrics of `metrics/curves.py` for (resamples, scores) counts, along the last axis."""
    alarms, found = np.cumsum(normal, axis=1), np.cumsum(anomalous, axis=1)
    names = ("image/auroc", "image/ap", "image/f1_max", "image/fpr95")
    if not normal.any() or not anomalous.any():
        return {name: np.full(len(normal), math.nan) for name in names}
    negatives, positives = alarms[:, -1], found[:, -1]
    area = np.sum(normal * (found - anomalous / 2), axis=1) / negatives / positives
    precision = found / np.maximum(found + alarms, 1)
    best = np.max(2 * found / (found + alarms + positives[:, None]), axis=1)
    enough = np.argmax(found >= 0.95 * positives[:, None], axis=1)[:, None]
    return {
        "image/auroc": area,
        "image/ap": np.sum(anomalous * precision, axis=1) / positives,
        "image/f1_max": best,
        "image/fpr95": np.take_along_axis(alarms, enough, axis=1)[:, 0] / negatives,
    }


def _decision_metrics(
    weights: np.ndarray, *, reported: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Computes the metrics of `metrics.image.decision_metrics` for each resample."""
    hits, alarms = weights @ (reported & labels), weights @ (reported & ~labels)
    anomalous, normal = weights @ labels, weights @ ~labels
    recall, fpr = _safe_ratio(hits, anomalous), _safe_ratio(alarms, normal)
    # Without anomalous images there is nothing to find.
    undefined = np.where(anomalous > 0, 0.0, math.nan)
    return {
        "image/f1": _safe_ratio(2 * hits, hits + alarms + anomalous) + undefined,
        "image/accuracy": _safe_ratio(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _safe_ratio(hits, np.maximum(hits + alarms, 1)) + undefined,
        "image/recall": recall,
        "image/fpr": fpr,
    }


def _safe_ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0)
    return shares


def finite_scores(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Converts scores to float64 and checks them.

    Args:
        scores: (n,) raw scores.

    Returns:
        (n,) float64.

    Raises:
        AdframeError: if a score is NaN or infinite; the message has the positions.
    """
    raw = np.asarray(scores, dtype=np.float64)
    if wrong := np.flatnonzero(~np.isfinite(raw)).tolist():
        raise AdframeError(f"image scores {wrong[:5]} are NaN or infinite ({len(wrong)} of {len(raw)})")
    return raw
