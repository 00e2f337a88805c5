"""Computes intervals of shares of images, and tests whether two shares differ.

These methods treat images as independent. Their intervals keep a width at 0 and at 1, where the bootstrap has
none.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from adframe.stats.intervals import Measured, Units, interval_of


def share_interval(part: int, whole: int, *, level: float = 0.95) -> tuple[float, float]:
    """Computes the interval of a share (Agresti & Coull, The American Statistician 52, 1998).

    It covers the true share at the nominal level near 0 and 1 as well, where Wilson's interval, of which it
    is an approximation, is too short (Brown, Cai & DasGupta, Statistical Science 16, 2001).

    Args:
        part: number of images with the property.
        whole: number of images.
        level: level of the interval, in (0, 1).

    Returns:
        Lower and upper end in [0, 1]; NaN without images.

    Example:
        >>> low, high = share_interval(20, 20)
        >>> round(low, 2), high
        (0.8, 1.0)
    """
    if not whole:
        return math.nan, math.nan
    share = part / whole
    # The same interval as that of recall, so that a page never shows two for one share.
    return interval_of(Measured("image/recall", share, np.array([share]), Units(whole, whole)), level=level)


def fisher(first: tuple[int, int], last: tuple[int, int]) -> float:
    """Computes the two-sided p value of equal shares by Fisher's exact test.

    Args:
        first: part and whole of the first share.
        last: part and whole of the last share, of other images.

    Returns:
        The p value; NaN where one share has no images.
    """
    if not first[1] or not last[1]:
        return math.nan
    table = [[part, whole - part] for part, whole in (first, last)]
    return float(stats.fisher_exact(table).pvalue)


def mcnemar(only_first: int, only_last: int) -> float:
    """Computes the two-sided exact p value that two classifiers of the same images are equally often right.

    McNemar, Psychometrika 12 (1947), by the binomial distribution: only images on which exactly one of them
    is right count.

    Args:
        only_first: number of images on which only the first is right.
        only_last: number of images on which only the last is right.

    Returns:
        The p value; 1 where there are no such images.
    """
    if not only_first + only_last:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_last).pvalue)


def excess_alarms_p(known: tuple[int, int], new: tuple[int, int]) -> float:
    """Computes the one-sided p value of at least this number of false alarms on new normal images.

    The number of m new draws that exceed the (j + 1)-th largest of n known ones has a beta-binomial
    distribution, whatever the distribution of the scores (exceedances; Gumbel & von Schelling, Annals of
    Mathematical Statistics 21, 1950). A threshold above that score has fewer exceedances, so that p errs on
    the safe side.

    Args:
        known: (j, n): j of the n normal images on which the threshold was chosen lie above it.
        new: (alarms, images) of the new normal images.

    Returns:
        The p value; NaN without new images, or if all known images lie above the threshold.
    """
    (above, count), (alarms, images) = known, new
    if not images or above >= count:
        return math.nan
    return float(stats.betabinom.sf(alarms - 1, images, above + 1, count - above))
