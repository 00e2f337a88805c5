"""Image metrics: how well raw scores rank images, and how good the decisions at a threshold are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adframe.contracts import GOOD, AdframeError
from adframe.metrics.curves import auroc, average_precision, f1_max, fpr_at_tpr
from adframe.metrics.subsets import own_line

_HALVES = ("logical", "structural")


def image_metrics(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    threshold: float | None,
) -> dict[str, float]:
    """All image metrics, and those of each subset with its name in front.

    A subset (LOCO: logical, structural) is judged against the good images. Where both of LOCO's are
    there, `image/auroc_subset_mean` is the official headline (`mvtec_loco_ad_evaluation`).

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        threshold: decides `score > threshold`; without it there are no decision metrics.

    Raises:
        AdframeError: a score is NaN or infinite.
    """
    raw, truth, names = _labelled(scores, labels, subsets)
    table = _measures(raw, truth, threshold)
    for subset in own_line(names.tolist()):
        part = (names == subset) | (names == GOOD)
        table |= {
            f"{subset}/{key}": value for key, value in _measures(raw[part], truth[part], threshold).items()
        }
    if all(f"{half}/image/auroc" in table for half in _HALVES):
        table["image/auroc_subset_mean"] = sum(table[f"{half}/image/auroc"] for half in _HALVES) / len(
            _HALVES
        )
    return table


def ranking_metrics(scores: np.ndarray, *, labels: np.ndarray) -> dict[str, float]:
    """AUROC, AP, best F1, and FPR where 95 % of the anomalous are found; NaN where a class is missing.

    Args:
        scores: (n,) finite raw scores, in their own precision.
        labels: (n,) bool, True for anomalous.
    """
    _, places = np.unique(scores, return_inverse=True)
    bins = int(places.max()) + 1 if len(places) else 0
    normal = np.bincount(places[~labels], minlength=bins)[::-1]
    anomalous = np.bincount(places[labels], minlength=bins)[::-1]
    return {
        "image/auroc": auroc(normal, anomalous),
        "image/ap": average_precision(normal, anomalous),
        "image/f1_max": f1_max(normal, anomalous)[0],
        "image/fpr95": fpr_at_tpr(normal, anomalous, tpr=0.95),
    }


def decision_metrics(decisions: np.ndarray, *, labels: np.ndarray) -> dict[str, float]:
    """What (n,) bool decisions are worth against (n,) bool labels.

    NaN where the class that a number is about is missing: recall, precision and F1 without
    anomalous images, FPR without normal ones. Precision is 0 where nothing is reported.
    """
    hits, alarms = int(np.sum(decisions & labels)), int(np.sum(decisions & ~labels))
    anomalous, normal = int(np.sum(labels)), int(np.sum(~labels))
    recall, fpr = _ratio(hits, anomalous), _ratio(alarms, normal)
    return {
        "image/f1": _ratio(2 * hits, hits + alarms + anomalous) if anomalous else math.nan,
        "image/accuracy": _ratio(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _ratio(hits, max(hits + alarms, 1)) if anomalous else math.nan,
        "image/recall": recall,
        "image/fpr": fpr,
    }


def _measures(scores: np.ndarray, labels: np.ndarray, threshold: float | None) -> dict[str, float]:
    ranking = ranking_metrics(scores, labels=labels)
    return ranking if threshold is None else ranking | decision_metrics(scores > threshold, labels=labels)


def _labelled(
    scores: Sequence[float] | np.ndarray, labels: Sequence[int | None], subsets: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,) float64, labels (n,) bool and subsets (n,) str of the images that have a label."""
    raw = np.asarray(scores, dtype=np.float64)
    if wrong := np.flatnonzero(~np.isfinite(raw)).tolist():
        raise AdframeError(f"image scores {wrong[:5]} are NaN or infinite ({len(wrong)} of {len(raw)})")
    known = [i for i, _ in enumerate(zip(raw, labels, subsets, strict=True)) if labels[i] is not None]
    truth = np.array([bool(labels[i]) for i in known], dtype=bool)
    return raw[known], truth, np.array([subsets[i] for i in known], dtype=str)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
