"""Whether two square tables of the same things go together: Spearman's rank correlation, Mantel's test."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

_EXACT = 7  # things up to which every order is tried: 5,040


@dataclass(frozen=True, slots=True)
class Correlation:
    """Of the entries off the diagonal.

    Attributes:
        rho: Spearman's, NaN where a table does not vary.
        p: two-sided, by Mantel's permutations; NaN with fewer than three things.
        least: the smallest p that so few things can give.
        entries: pairs that were known in both tables.
    """

    rho: float
    p: float
    least: float
    entries: int


def mantel(first: np.ndarray, second: np.ndarray, *, permutations: int = 5000, seed: int = 0) -> Correlation:
    """Correlates two (k, k) tables over ordered pairs of different things.

    Pairs that share a thing are not independent, so rows and columns of one table are permuted
    together (Mantel, Cancer Research 27, 1967; Legendre & Legendre, Numerical Ecology, 10.5). All
    orders are tried up to seven things, else so many random ones, the given order always among them.

    Args:
        first: (k, k), NaN where not known; the diagonal is not read.
        second: likewise.
        permutations: at most, where not all are tried.
        seed: of random orders.
    """
    count = len(first)
    seen = _rho(first, second, np.arange(count))
    entries = int(_both(first, second).sum())
    if count < 3 or not math.isfinite(seen):
        return Correlation(seen, math.nan, math.nan, entries)
    if count <= _EXACT:
        orders = [np.array(order) for order in itertools.permutations(range(count))]
    else:
        rng = np.random.default_rng(seed)
        orders = [np.arange(count), *(rng.permutation(count) for _ in range(permutations - 1))]
    found = np.array([_rho(first, second, order) for order in orders])
    extreme = np.abs(found[np.isfinite(found)]) >= abs(seen) - 1e-12
    return Correlation(seen, float(extreme.mean()), 1 / len(extreme), entries)


def _both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    known: np.ndarray = np.isfinite(first) & np.isfinite(second) & ~np.eye(len(first), dtype=bool)
    return known


def _rho(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> float:
    moved = second[np.ix_(order, order)]
    known = _both(first, moved)
    a, b = first[known], moved[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.spearmanr(a, b).statistic)
