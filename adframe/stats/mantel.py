"""Correlates two square tables of the same items: Spearman's rank correlation with Mantel's test."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Up to here all permutations are tried: 5,040.
_MAX_EXACT_ITEMS = 7


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation of the off-diagonal entries of two tables.

    Attributes:
        rho: Spearman's correlation in [-1, 1]; NaN where a table does not vary.
        p: two-sided p value of Mantel's permutation test; NaN with fewer than three items.
        least: smallest p value that is possible with this number of items.
        entries: number of pairs that are known in both tables.
    """

    rho: float
    p: float
    least: float
    entries: int


def mantel(first: np.ndarray, second: np.ndarray, *, permutations: int = 5000, seed: int = 0) -> Correlation:
    """Correlates two (k, k) tables over ordered pairs of different items.

    Pairs that share an item are not independent, so rows and columns of one table are permuted together
    (Mantel, Cancer Research 27, 1967; Legendre & Legendre, Numerical Ecology, 10.5). Up to seven items all
    permutations are tried, beyond that random ones; the given order is always included.

    Args:
        first: (k, k), NaN where unknown; the diagonal is not read.
        second: (k, k), NaN where unknown; the diagonal is not read.
        permutations: number of random permutations.
        seed: seed of random permutations.

    Returns:
        The correlation and its test.
    """
    count = len(first)
    observed = _rho(first, second, np.arange(count))
    entries = int(_pair_mask(first, second).sum())
    if count < 3 or not math.isfinite(observed):
        return Correlation(observed, math.nan, math.nan, entries)
    if count <= _MAX_EXACT_ITEMS:
        orders = [np.array(order) for order in itertools.permutations(range(count))]
    else:
        rng = np.random.default_rng(seed)
        orders = [np.arange(count), *(rng.permutation(count) for _ in range(permutations - 1))]
    found = np.array([_rho(first, second, order) for order in orders])
    extreme = np.abs(found[np.isfinite(found)]) >= abs(observed) - 1e-12
    return Correlation(observed, float(extreme.mean()), 1 / len(extreme), entries)


def _pair_mask(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    known: np.ndarray = np.isfinite(first) & np.isfinite(second) & ~np.eye(len(first), dtype=bool)
    return known


def _rho(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> float:
    moved = second[np.ix_(order, order)]
    known = _pair_mask(first, moved)
    a, b = first[known], moved[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.spearmanr(a, b).statistic)
