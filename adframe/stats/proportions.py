"""Shares of images: their intervals, and whether two of them differ by more than chance.

These take images for independent, and keep a width at 0 and at 1, where the bootstrap has none.
"""

from __future__ import annotations

import math

from scipy import stats


def wilson(part: int, whole: int, *, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a share (Wilson, JASA 22, 1927); NaN of no image at all."""
    if not whole:
        return math.nan, math.nan
    z, share = float(stats.norm.ppf((1 + level) / 2)), part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    # At the ends rounding would leave the share itself outside.
    return middle - half if part else 0.0, middle + half if part < whole else 1.0


def newcombe(first: tuple[int, int], last: tuple[int, int], *, level: float = 0.95) -> tuple[float, float]:
    """The interval of the last share minus the first (Newcombe, Statistics in Medicine 17, 1998, method 10).

    Args:
        first: part and whole.
        last: likewise, of other images.
        level: of the interval.
    """
    if not first[1] or not last[1]:
        return math.nan, math.nan
    a, b = first[0] / first[1], last[0] / last[1]
    (a_low, a_high), (b_low, b_high) = (wilson(*each, level=level) for each in (first, last))
    return b - a - math.hypot(b - b_low, a_high - a), b - a + math.hypot(b_high - b, a - a_low)


def fisher(first: tuple[int, int], last: tuple[int, int]) -> float:
    """The two-sided p of equal shares (Fisher's exact test); NaN where one is of no image at all."""
    if not first[1] or not last[1]:
        return math.nan
    table = [[part, whole - part] for part, whole in (first, last)]
    return float(stats.fisher_exact(table).pvalue)


def mcnemar(only_first: int, only_last: int) -> float:
    """The two-sided exact p that two judges of the same images are equally often right.

    McNemar, Psychometrika 12 (1947), by the binomial distribution: only images count that one judges
    rightly and the other does not. 1 where there are none.
    """
    if not only_first + only_last:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_last).pvalue)


def more_alarms(known: tuple[int, int], new: tuple[int, int]) -> float:
    """The one-sided p of so many alarms or more on new normal images, if they are like the known ones.

    How many of m new draws exceed the (j + 1)-th largest of n known ones follows a beta-binomial
    distribution, whatever the scores' own (exceedances; Gumbel & von Schelling, Annals of Mathematical
    Statistics 21, 1950). A threshold above that score has fewer, so p errs to the safe side.

    Args:
        known: of n normal images that the threshold was chosen on, j lie above it: (j, n).
        new: alarms and images.
    """
    (above, count), (alarms, images) = known, new
    if not images or above >= count:
        return math.nan
    return float(stats.betabinom.sf(alarms - 1, images, above + 1, count - above))
