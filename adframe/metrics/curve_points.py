"""Curves of raw scores against labels: the numbers. `plots` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

Scores = Sequence[float] | NDArray[np.floating]
Labels = Sequence[int | None] | NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of n points in [0, 1] x [0, 1], and the area that sums it up."""

    x: Floats  # (n,)
    y: Floats  # (n,)
    area: float


def roc(scores: Scores, labels: Labels) -> Curve | None:
    """False-positive rate against recall; the area is AUROC.

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous, None or -1 unknown (left out, as scores that are not finite).

    Returns:
        None where there is no curve: fewer than two classes.
    """
    known, truth = usable(scores, labels)
    if len(np.unique(truth)) < 2:
        return None
    x, y, _ = roc_curve(truth, known)
    return Curve(x, y, float(auc(x, y)))


def roc_of(rows: Sequence[Mapping[str, Any]]) -> Curve | None:
    """The ROC curve of rows with a `score` and a `label`; None where there are fewer than two classes."""
    return roc([row["score"] for row in rows], [row["label"] for row in rows])


def pr(scores: Scores, labels: Labels) -> Curve | None:
    """Recall against precision, from recall 0 upwards; the area is average precision (steps, no trapezoids).

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous, None or -1 unknown (left out, as scores that are not finite).

    Returns:
        None where there is no curve: fewer than two classes.
    """
    known, truth = usable(scores, labels)
    if len(np.unique(truth)) < 2:
        return None
    precision, recall, _ = precision_recall_curve(truth, known, drop_intermediate=True)
    area = float(average_precision_score(truth, known))
    return Curve(recall[::-1], precision[::-1], area)


def bin_edges(scores: Scores, *, bins: int = 30) -> Floats:
    """Edges (bins + 1,) that hold every finite score; constant scores get a bin of width 1 around them."""
    values = np.asarray(scores, dtype=np.float64)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if not high - low > 1e-9 * max(1.0, abs(low), abs(high)):
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, bins + 1)


def usable(scores: Scores, labels: Labels) -> tuple[Floats, NDArray[np.int64]]:
    """Scores and labels of those images that have a label and a finite score."""
    values = np.asarray(scores, dtype=np.float64)
    truth = np.array([-1 if label is None else int(label) for label in labels], dtype=np.int64)
    keep = np.isfinite(values) & (truth >= 0)
    return values[keep], truth[keep]
