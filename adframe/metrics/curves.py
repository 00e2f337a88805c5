"""Ranking measures of pixels or images, from counts at falling scores.

`normal` and `anomalous` are (n,) counts: how many there are at each score, or in each bin of
scores, from the highest to the lowest. Between bins all is exact. Within a bin scores count as
tied, and a tie is a straight piece of the curve; `area_error` says how far off that can be.
"""

from __future__ import annotations

import math

import numpy as np


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Area under the ROC curve, ties counting half; NaN where one class is missing."""
    if not normal.sum() or not anomalous.sum():
        return math.nan
    above = np.cumsum(anomalous) - anomalous / 2  # anomalous ranked above each normal
    return float(np.sum(normal * above) / normal.sum() / anomalous.sum())


def average_precision(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Sum of precision times gain in recall, as `sklearn.metrics.average_precision_score`."""
    if not normal.sum() or not anomalous.sum():
        return math.nan
    found = np.cumsum(anomalous)
    precision = found / np.maximum(found + np.cumsum(normal), 1)
    return float(np.sum(anomalous * precision) / anomalous.sum())


def f1_max(normal: np.ndarray, anomalous: np.ndarray) -> tuple[float, int]:
    """The best F1 of any threshold, and the lowest bin that is above it; (NaN, -1) for a missing class."""
    if not normal.sum() or not anomalous.sum():
        return math.nan, -1
    found = np.cumsum(anomalous)
    f1 = 2 * found / (found + np.cumsum(normal) + anomalous.sum())
    best = int(np.argmax(f1))
    return float(f1[best]), best


def fpr_at_tpr(normal: np.ndarray, anomalous: np.ndarray, *, tpr: float) -> float:
    """The smallest share of normals above a threshold that finds `tpr` of the anomalous; no interpolation."""
    if not normal.sum() or not anomalous.sum():
        return math.nan
    enough = np.cumsum(anomalous) >= tpr * anomalous.sum()
    return float(np.cumsum(normal)[np.argmax(enough)] / normal.sum())


def area_below(width: np.ndarray, height: np.ndarray, *, limit: float) -> float:
    """Area under a curve up to x = `limit`, over `limit` (`pro_curve_util.trapezoid`, official AU-PRO).

    Args:
        width: (n,) steps in x, >= 0, adding up to 1 >= limit.
        height: (n,) steps in y at the same time; each step is a straight line from where the last ended.
        limit: in (0, 1]; the step that crosses it counts up to it.
    """
    inside, share = _before_limit(width, limit)
    middle = np.cumsum(height) - height + height * share / 2
    return float(min(np.sum(inside * middle) / limit, 1.0))  # the sum may round to just above one


def area_error(width: np.ndarray, height: np.ndarray, *, limit: float) -> float:
    """How far `area_below` can be from the area under the curve that the steps stand for.

    That curve is monotone and meets both ends of every step; inside a step, w wide and h high, it
    may be any monotone path from corner to corner. With a share s of the width before the limit
    (1 but for the step that crosses it) such a path covers between 0 and s w h, the straight line
    s w h s / 2, so the error is at most s w h (1 - s / 2): half the rectangle where s = 1.
    """
    inside, share = _before_limit(width, limit)
    return float(np.sum(inside * height * (1 - share / 2)) / limit)


def _before_limit(width: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """How much of each step lies before the limit, and that as a share of the step."""
    start = np.cumsum(width) - width
    inside = np.clip(limit - start, 0.0, width)
    share = np.divide(inside, width, out=np.ones_like(width), where=width > 0)
    return inside, share
