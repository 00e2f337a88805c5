"""Image metrics: how well raw scores rank images, and how good the decisions at a threshold are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.curves import auroc, average_precision, f1_max, fpr_at_tpr
from adframe.metrics.subsets import ImageSelection, condition_selections, subset_selections
from adframe.stats.weighted_metrics import finite_scores

# the mean of these two is the headline number of MVTec LOCO
HALVES = ("logical/image/auroc", "structural/image/auroc")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Holds the n labelled images among those that were passed in.

    Attributes:
        places: positions of these images among all images that were passed in.
        scores: (n,) float64, finite raw scores.
        truth: (n,) bool, True for anomalous images.
        subsets: (n,) str, the subset of each image.
        conditions: (n,) str, the light condition of each image; "" where unknown.
        reported: (n,) bool, whether the thresholded map has a positive pixel; None where no map was
            thresholded.
    """

    places: list[int]
    scores: np.ndarray
    truth: np.ndarray
    subsets: np.ndarray
    conditions: np.ndarray
    reported: np.ndarray | None

    def selections(self) -> list[ImageSelection]:
        """Lists the selections that are reported: all images, then each subset, then each condition."""
        subsets, conditions = self.subsets.tolist(), self.conditions.tolist()
        return [ImageSelection(), *subset_selections(subsets), *condition_selections(conditions)]

    def rows(self, selection: ImageSelection) -> np.ndarray:
        """Marks the images that belong to a selection.

        Args:
            selection: all images, one subset or one condition.

        Returns:
            (n,) bool.
        """
        pairs = zip(self.subsets.tolist(), self.conditions.tolist(), strict=True)
        return np.array(
            [selection.includes(subset=name, condition=light) for name, light in pairs], dtype=bool
        )


def image_metrics(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    threshold: float | None,
    conditions: Sequence[str] | None = None,
    reported: Sequence[bool] | None = None,
) -> dict[str, float]:
    """Computes all image metrics, and those of each subset and condition with its name as prefix.

    A subset (LOCO: logical, structural) is compared with the good images, a condition (AD 2: lights) with the
    good images that were photographed in it. Where both subsets of LOCO are present,
    `image/auroc_subset_mean` is the official headline number (`mvtec_loco_ad_evaluation`).

    Args:
        scores: (n,) raw scores, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        threshold: an image is called anomalous where `score > threshold`; None leaves out the metrics of
            decisions.
        conditions: (n,) the light condition of each image, "" where unknown; None if no condition is known.
        reported: (n,) whether the thresholded map of each image has a positive pixel; adds `image/class_f1`,
            the F1 of these decisions (MVTec AD 2's class F1). None leaves it out.

    Returns:
        Metrics by name; a metric is NaN where it is not defined.

    Raises:
        AdframeError: if a score is NaN or infinite, or the lengths differ.
    """
    known = select_labelled(scores, labels, subsets=subsets, conditions=conditions, reported=reported)
    table: dict[str, float] = {}
    for selection in known.selections():
        rows = known.rows(selection)
        reported_here = None if known.reported is None else known.reported[rows]
        table |= selection.prefix_keys(
            _metrics_of(known.scores[rows], known.truth[rows], threshold, reported=reported_here)
        )
    if all(half in table for half in HALVES):
        table["image/auroc_subset_mean"] = sum(table[half] for half in HALVES) / len(HALVES)
    return table


def ranking_metrics(scores: np.ndarray, *, labels: np.ndarray) -> dict[str, float]:
    """Computes AUROC, AP, the best F1, and the false-positive rate at 95 % recall.

    Args:
        scores: (n,) finite raw scores. They keep their dtype, because a conversion could create ties.
        labels: (n,) bool, True for anomalous images.

    Returns:
        Metrics by name, in [0, 1]; NaN where there are no normal or no anomalous images.
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
    """Computes F1, accuracy, balanced accuracy, precision, recall and false-positive rate of decisions.

    Args:
        decisions: (n,) bool, True where an image is called anomalous.
        labels: (n,) bool, True for anomalous images.

    Returns:
        Metrics by name, in [0, 1]. Recall, precision and F1 are NaN without anomalous images, the
        false-positive rate without normal ones. Precision is 0 where no image is called anomalous.
    """
    hits, alarms = int(np.sum(decisions & labels)), int(np.sum(decisions & ~labels))
    anomalous, normal = int(np.sum(labels)), int(np.sum(~labels))
    recall, fpr = _ratio_or_nan(hits, anomalous), _ratio_or_nan(alarms, normal)
    return {
        "image/f1": _ratio_or_nan(2 * hits, hits + alarms + anomalous) if anomalous else math.nan,
        "image/accuracy": _ratio_or_nan(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _ratio_or_nan(hits, max(hits + alarms, 1)) if anomalous else math.nan,
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
    """Selects the images that have a label; arguments and errors are those of `image_metrics`.

    Args:
        scores: (n,) raw scores.
        labels: (n,) labels, None where unknown.
        subsets: (n,) subsets.
        conditions: (n,) light conditions, or None.
        reported: (n,) decisions by thresholded maps, or None.

    Returns:
        The labelled images in the order in which they were passed in.

    Raises:
        AdframeError: if a score is NaN or infinite, or the lengths differ.
    """
    raw = finite_scores(scores)
    lights = [""] * len(raw) if conditions is None else conditions
    decisions = [False] * len(raw) if reported is None else reported
    sizes = {"labels": labels, "subsets": subsets, "conditions": lights, "decisions": decisions}
    if wrong := [f"{len(given)} {name}" for name, given in sizes.items() if len(given) != len(raw)]:
        raise AdframeError(f"{len(raw)} scores but {', '.join(wrong)}: give one of each for every image")
    places = [place for place, label in enumerate(labels) if label is not None]
    return Labelled(
        places=places,
        scores=raw[places],
        truth=np.array([bool(labels[place]) for place in places], dtype=bool),
        subsets=np.array([subsets[place] for place in places], dtype=str),
        conditions=np.array([lights[place] for place in places], dtype=str),
        reported=None
        if reported is None
        else np.array([bool(decisions[place]) for place in places], dtype=bool),
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


def _ratio_or_nan(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
