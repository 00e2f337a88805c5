"""Image metrics of many resamples at once: running sums, along sorted scores, of images' weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.errors import AdframeError

_PIECE = 1 << 21  # counts that are worked on at once: 16 MB an array, whatever the number of images


def weighted_metrics(
    scores: np.ndarray,
    *,
    labels: np.ndarray,
    weights: np.ndarray,
    threshold: float | None = None,
    reported: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """As `image.measures`, of every resample.

    Args:
        scores: (n,) finite raw scores.
        labels: (n,) bool, True for anomalous.
        weights: (resamples, n) how often each image counts.
        threshold: decides `score > threshold`.
        reported: (n,) bool, decisions of another kind.

    Returns:
        (resamples,) float64 by name; NaN where a class is missing.
    """
    falling, starts = np.argsort(-scores, kind="stable"), np.zeros(0, np.intp)
    if len(scores):
        starts = np.unique(-scores[falling], return_index=True)[1]  # the first image of each distinct score
    pieces = []
    for piece in _pieces(weights):
        normal, anomalous = (_tallies(piece * side, falling, starts) for side in (~labels, labels))
        found = _ranking(normal, anomalous)
        if threshold is not None:
            found |= _decisions(piece, reported=scores > threshold, labels=labels)
        if reported is not None:
            found["image/class_f1"] = _decisions(piece, reported=reported, labels=labels)["image/f1"]
        pieces.append(found)
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}


def _pieces(weights: np.ndarray) -> Iterator[np.ndarray]:
    """Some resamples at a time, as int64, in which no sum overflows."""
    step = max(_PIECE // max(weights.shape[1], 1), 1)
    for start in range(0, max(len(weights), 1), step):
        yield weights[start : start + step].astype(np.int64)


def _tallies(counts: np.ndarray, falling: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(resamples, distinct scores) counts from the highest score to the lowest."""
    ranked = counts[:, falling]
    return ranked if len(starts) == len(falling) else np.add.reduceat(ranked, starts, axis=1)


def _ranking(normal: np.ndarray, anomalous: np.ndarray) -> dict[str, np.ndarray]:
    """`curves.py` for (resamples, scores) counts, along the last axis."""
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


def _decisions(weights: np.ndarray, *, reported: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """`decision_metrics` of each resample."""
    hits, alarms = weights @ (reported & labels), weights @ (reported & ~labels)
    anomalous, normal = weights @ labels, weights @ ~labels
    recall, fpr = _ratio(hits, anomalous), _ratio(alarms, normal)
    undefined = np.where(anomalous > 0, 0.0, math.nan)  # without anomalous images there is nothing to report
    return {
        "image/f1": _ratio(2 * hits, hits + alarms + anomalous) + undefined,
        "image/accuracy": _ratio(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _ratio(hits, np.maximum(hits + alarms, 1)) + undefined,
        "image/recall": recall,
        "image/fpr": fpr,
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0)
    return shares


def finite(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n,) float64, or an error that says which scores cannot be ranked."""
    raw = np.asarray(scores, dtype=np.float64)
    if wrong := np.flatnonzero(~np.isfinite(raw)).tolist():
        raise AdframeError(f"image scores {wrong[:5]} are NaN or infinite ({len(wrong)} of {len(raw)})")
    return raw
