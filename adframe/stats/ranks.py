"""Compares many methods over many categories by their ranks (Demsar, JMLR 7, 2006, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Ranking:
    """Average ranks of methods, and which of them can be told apart.

    Attributes:
        ranks: name of the method -> average rank over categories, 1 is best; in ascending order.
        categories: number of categories.
        p: p value of Friedman's test that all methods are equal; NaN with fewer than three methods or fewer
            than two categories.
        critical: difference of average ranks above which two methods differ by Nemenyi's test.
        groups: methods that do not differ, from the best to the worst: the largest such groups of two
            methods or more.
    """

    ranks: Mapping[str, float]
    categories: int
    p: float
    critical: float
    groups: Sequence[tuple[str, ...]]


def rank_methods(values: Mapping[str, Sequence[float]], *, alpha: float = 0.05) -> Ranking:
    """Ranks methods in every category and averages the ranks.

    Args:
        values: name of the method -> its metric in every category, larger is better, in the same order of the
            categories and without NaN; two methods or more.
        alpha: level of Nemenyi's test, which corrects for all pairs.

    Returns:
        The ranking; equal values share the mean of their ranks.

    Example:
        >>> ranking = rank_methods({"a": [0.9, 0.8], "b": [0.7, 0.8], "c": [0.1, 0.2]})
        >>> dict(ranking.ranks)
        {'a': 1.25, 'b': 1.75, 'c': 3.0}
    """
    names = list(values)
    # Equal values must tie, whatever their last bits are.
    table = np.round(np.array([values[name] for name in names], np.float64), 12)
    means = stats.rankdata(-table, axis=0).mean(1)
    order = np.argsort(means, kind="stable")
    count, categories = table.shape
    p = math.nan
    if count > 2 and categories > 1:
        p = 1.0 if np.ptp(table, axis=0).max() == 0 else float(stats.friedmanchisquare(*table).pvalue)
    # The table of Nemenyi's test holds quantiles of the studentised range over the square root of 2.
    quantile = float(stats.studentized_range.ppf(1 - alpha, count, math.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(count * (count + 1) / (6 * categories))
    ranks = {names[place]: float(means[place]) for place in order}
    return Ranking(ranks, categories, p, critical, _groups(list(ranks.items()), critical))


def _groups(ranks: Sequence[tuple[str, float]], critical: float) -> list[tuple[str, ...]]:
    """Finds the largest runs of neighbouring ranks whose ends differ by the critical difference at most."""
    found: list[tuple[str, ...]] = []
    end = 0
    for start, (_, first) in enumerate(ranks):
        last = max(place for place, (_, rank) in enumerate(ranks) if rank - first <= critical)
        if last > start and last >= end + bool(found):
            found.append(tuple(name for name, _ in ranks[start : last + 1]))
            end = last
    return found
