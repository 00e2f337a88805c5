"""Computes the points of ROC and precision-recall curves; the figures draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = Sequence[float] | NDArray[np.floating]
Labels = Sequence[int | None] | NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of n points in [0, 1] x [0, 1] and its area.

    Attributes:
        x: (n,) float64 abscissae.
        y: (n,) float64 ordinates.
        area: area under the curve, in [0, 1].
    """

    x: Floats
    y: Floats
    area: float


def roc_points(scores: Scores, labels: Labels) -> Curve | None:
    """Computes the ROC curve: recall over false-positive rate. Its area is the AUROC.

    Args:
        scores: (n,) raw scores, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; None or -1 unknown. Unknown labels and scores that are not finite
            are left out.

    Returns:
        The curve, or None where fewer than two classes are present.
    """
    known, truth = usable(scores, labels)
    if len(np.unique(truth)) < 2:
        return None
    from sklearn.metrics import auc, roc_curve  # half a second, which a run needs only at its end

    x, y, _ = roc_curve(truth, known)
    return Curve(x, y, float(auc(x, y)))


def roc_of_rows(rows: Sequence[Mapping[str, Any]]) -> Curve | None:
    """Computes the ROC curve of prediction rows.

    Args:
        rows: rows with the keys `score` and `label`.

    Returns:
        The curve, or None where fewer than two classes are present.
    """
    return roc_points([row["score"] for row in rows], [row["label"] for row in rows])


def pr_points(scores: Scores, labels: Labels) -> Curve | None:
    """Computes the precision-recall curve from recall 0 upwards. Its area is the average precision, a sum of
    steps and not of trapezoids.

    Args:
        scores: (n,) raw scores, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; None or -1 unknown. Unknown labels and scores that are not finite
            are left out.

    Returns:
        Precision over recall, or None where fewer than two classes are present.
    """
    known, truth = usable(scores, labels)
    if len(np.unique(truth)) < 2:
        return None
    from sklearn.metrics import average_precision_score, precision_recall_curve  # as above

    precision, recall, _ = precision_recall_curve(truth, known, drop_intermediate=True)
    area = float(average_precision_score(truth, known))
    return Curve(recall[::-1], precision[::-1], area)


def bin_edges(scores: Scores, *, bins: int = 30) -> Floats:
    """Computes histogram edges that span all finite scores.

    Args:
        scores: (n,) raw scores; those that are not finite are left out.
        bins: number of bins of equal width.

    Returns:
        (bins + 1,) float64 edges; (2,) edges of one bin of width 1 around constant scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if not high - low > 1e-9 * max(1.0, abs(low), abs(high)):
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, bins + 1)


def usable(scores: Scores, labels: Labels) -> tuple[Floats, NDArray[np.int64]]:
    """Selects the images that have a label and a finite score.

    Args:
        scores: (n,) raw scores.
        labels: (n,) 0 or 1; None or -1 unknown.

    Returns:
        (m,) float64 scores and (m,) int64 labels.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.array([-1 if label is None else int(label) for label in labels], dtype=np.int64)
    keep = np.isfinite(values) & (truth >= 0)
    return values[keep], truth[keep]
