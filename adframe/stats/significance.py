"""Tests across categories, and the correction of several tests.

Differences within a category are tested by their intervals (`intervals.compare_with_zero`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from adframe.errors import AdframeError


def wilcoxon(values_a: Sequence[float], values_b: Sequence[float]) -> float:
    """Computes the two-sided p value of Wilcoxon's signed-rank test, one pair per category (Demsar, JMLR 7,
    2006, 3.1.3).

    Pairs with NaN are left out, and pairs without a difference too, as in Wilcoxon's test. With fewer than
    six pairs that differ, p cannot be below 0.05.

    Args:
        values_a: values of the first run, one per category.
        values_b: values of the second run, in the same order.

    Returns:
        The p value; NaN without any pair, 1 where no pair differs.

    Raises:
        AdframeError: if the lengths differ.
    """
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if len(a) != len(b):
        raise AdframeError(f"{len(a)} values and {len(b)} values: give a pair for every category")
    known = np.isfinite(a) & np.isfinite(b)
    # Equal differences of AUROCs must tie, whatever their last bits are.
    differences = np.round(b[known] - a[known], 12)
    if not len(differences):
        return math.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p values for multiple tests (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: p values in any order; NaN stands for a test that was not made and does not count.

    Returns:
        Adjusted p values in the same order; NaN stays NaN.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(value) for value in adjusted]
