"""Computes ranking measures of pixels or images from counts at falling scores.

`normal` and `anomalous` are (n,) counts at each score, or in each bin of scores, from the highest to the
lowest. Between bins everything is exact. Scores within a bin count as tied, and a tie is a straight piece of
the curve; `area_error` bounds the error.
"""

from __future__ import annotations

import math

import numpy as np


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Computes the area under the ROC curve; ties count half.

    Args:
        normal: (n,) counts of normals by falling score.
        anomalous: (n,) counts of anomalous ones by falling score.

    Returns:
        A value in [0, 1]; NaN where one class is missing.
    """
    if not normal.sum() or not anomalous.sum():
        return math.nan
    # Anomalous ranked above each normal.
    above = np.cumsum(anomalous) - anomalous / 2
    return float(np.sum(normal * above) / normal.sum() / anomalous.sum())


def average_precision(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Sums precision times gain in recall, as `sklearn.metrics.average_precision_score`.

    Args:
        normal: (n,) counts of normals by falling score.
        anomalous: (n,) counts of anomalous ones by falling score.

    Returns:
        A value in [0, 1]; NaN where one class is missing.
    """
    if not normal.sum() or not anomalous.sum():
        return math.nan
    found = np.cumsum(anomalous)
    precision = found / np.maximum(found + np.cumsum(normal), 1)
    return float(np.sum(anomalous * precision) / anomalous.sum())


def f1_max(normal: np.ndarray, anomalous: np.ndarray) -> tuple[float, int]:
    """Finds the best F1 over all thresholds.

    Args:
        normal: (n,) counts of normals by falling score.
        anomalous: (n,) counts of anomalous ones by falling score.

    Returns:
        The F1 and the lowest bin above the threshold; (NaN, -1) where one class is missing.
    """
    if not normal.sum() or not anomalous.sum():
        return math.nan, -1
    found = np.cumsum(anomalous)
    f1 = 2 * found / (found + np.cumsum(normal) + anomalous.sum())
    best = int(np.argmax(f1))
    return float(f1[best]), best


def fpr_at_tpr(normal: np.ndarray, anomalous: np.ndarray, *, tpr: float) -> float:
    """Finds the smallest false-positive rate of a threshold with at least the given recall, without
    interpolation.

    Args:
        normal: (n,) counts of normals by falling score.
        anomalous: (n,) counts of anomalous ones by falling score.
        tpr: recall in (0, 1].

    Returns:
        A value in [0, 1]; NaN where one class is missing.
    """
    if not normal.sum() or not anomalous.sum():
        return math.nan
    enough = np.cumsum(anomalous) >= tpr * anomalous.sum()
    return float(np.cumsum(normal)[np.argmax(enough)] / normal.sum())


def area_below(width: np.ndarray, height: np.ndarray, *, limit: float) -> float:
    """Computes the area under a curve up to x = `limit`, divided by `limit` (`pro_curve_util.trapezoid`,
    official AU-PRO).

    Args:
        width: (n,) steps in x, >= 0, with sum 1.
        height: (n,) steps in y; each step is a straight line from the end of the previous one.
        limit: in (0, 1]; the step that crosses it counts up to it.

    Returns:
        A value in [0, 1].
    """
    inside, share = _before_limit(width, limit)
    middle = np.cumsum(height) - height + height * share / 2
    # The sum may round to just above one.
    return float(min(np.sum(inside * middle) / limit, 1.0))


def area_error(width: np.ndarray, height: np.ndarray, *, limit: float) -> float:
    """Bounds the distance of `area_below` from the area under the curve before binning.

    That curve is monotone and meets both ends of every step; inside a step of width w and height h, it may be
    any monotone path from corner to corner. With a share s of the width before the limit (1 except for the
    step that crosses it) such a path covers between 0 and s w h, the straight line covers s w h s / 2, so the
    error is at most s w h (1 - s / 2): half of the rectangle where s = 1.

    Args:
        width: as in `area_below`.
        height: as in `area_below`.
        limit: as in `area_below`.

    Returns:
        The largest possible absolute error.
    """
    inside, share = _before_limit(width, limit)
    return float(np.sum(inside * height * (1 - share / 2)) / limit)


def _before_limit(width: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the part of each step before the limit, in x and as a share of the step."""
    start = np.cumsum(width) - width
    inside = np.clip(limit - start, 0.0, width)
    share = np.divide(inside, width, out=np.ones_like(width), where=width > 0)
    return inside, share
