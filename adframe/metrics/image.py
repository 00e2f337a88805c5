"""Image metrics: how well raw scores rank images, and how good the decisions at a threshold are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.curves import auroc, average_precision, f1_max, fpr_at_tpr
from adframe.metrics.subsets import ImageSelection, condition_selections, subset_selections
from adframe.stats.weighted_metrics import finite

HALVES = ("logical/image/auroc", "structural/image/auroc")  # LOCO's headline is their mean


@dataclass(frozen=True, slots=True)
class Labelled:
    """The n images that have a label."""

    places: list[int]  # of these images among all that were given
    scores: np.ndarray  # (n,) float64, finite
    truth: np.ndarray  # (n,) bool, True for anomalous
    subsets: np.ndarray  # (n,) str
    conditions: np.ndarray  # (n,) str
    reported: np.ndarray | None  # (n,) bool

    def selections(self) -> list[ImageSelection]:
        """All images, the subsets, the conditions."""
        subsets, conditions = self.subsets.tolist(), self.conditions.tolist()
        return [ImageSelection(), *subset_selections(subsets), *condition_selections(conditions)]

    def rows(self, selection: ImageSelection) -> np.ndarray:
        """(n,) bool: the images that count in a selection."""
        pairs = zip(self.subsets.tolist(), self.conditions.tolist(), strict=True)
        return np.array([selection.includes(subset=name, condition=light) for name, light in pairs], dtype=bool)


def image_metrics(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    threshold: float | None,
    conditions: Sequence[str] | None = None,
    reported: Sequence[bool] | None = None,
) -> dict[str, float]:
    """All image metrics, and those of each subset and condition with its name in front.

    A subset (LOCO: logical, structural) is judged against the good images, a condition (AD 2: lights)
    against the good ones photographed in it. Where both of LOCO's subsets are there,
    `image/auroc_subset_mean` is the official headline (`mvtec_loco_ad_evaluation`).

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        threshold: decides `score > threshold`; without it there are no decision metrics.
        conditions: (n,) how each was photographed; "" where that is not known.
        reported: (n,) whether the thresholded map of each has a positive pixel; adds `image/class_f1`,
            the F1 of these decisions (MVTec AD 2's class F1).

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
    """
    known = select_labelled(scores, labels, subsets=subsets, conditions=conditions, reported=reported)
    table: dict[str, float] = {}
    for selection in known.selections():
        rows = known.rows(selection)
        told = None if known.reported is None else known.reported[rows]
        table |= selection.prefix_keys(_metrics_of(known.scores[rows], known.truth[rows], threshold, reported=told))
    if all(half in table for half in HALVES):
        table["image/auroc_subset_mean"] = sum(table[half] for half in HALVES) / len(HALVES)
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
    recall, fpr = _share(hits, anomalous), _share(alarms, normal)
    return {
        "image/f1": _share(2 * hits, hits + alarms + anomalous) if anomalous else math.nan,
        "image/accuracy": _share(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _share(hits, max(hits + alarms, 1)) if anomalous else math.nan,
        "image/recall": recall,
        "image/fpr": fpr,
    }


def select_labelled(
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    *,
    subsets: Sequence[str],
    conditions: Sequence[str] | None,
    reported: Sequence[bool] | None,
) -> Labelled:
    """The images that have a label. Args and errors are those of `image_metrics`."""
    raw = finite(scores)
    lights = [""] * len(raw) if conditions is None else conditions
    told = [False] * len(raw) if reported is None else reported
    sizes = {"labels": labels, "subsets": subsets, "conditions": lights, "decisions": told}
    if wrong := [f"{len(given)} {name}" for name, given in sizes.items() if len(given) != len(raw)]:
        raise AdframeError(f"{len(raw)} scores but {', '.join(wrong)}: give one of each for every image")
    places = [place for place, label in enumerate(labels) if label is not None]
    return Labelled(
        places=places,
        scores=raw[places],
        truth=np.array([bool(labels[place]) for place in places], dtype=bool),
        subsets=np.array([subsets[place] for place in places], dtype=str),
        conditions=np.array([lights[place] for place in places], dtype=str),
        reported=None if reported is None else np.array([bool(told[place]) for place in places], dtype=bool),
    )


def _metrics_of(
    scores: np.ndarray, labels: np.ndarray, threshold: float | None, *, reported: np.ndarray | None
) -> dict[str, float]:
    table = ranking_metrics(scores, labels=labels)
    if threshold is not None:
        table |= decision_metrics(scores > threshold, labels=labels)
    if reported is not None:
        table["image/class_f1"] = decision_metrics(reported, labels=labels)["image/f1"]
    return table


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
