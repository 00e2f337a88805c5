"""Compares settings pair by pair on the same images, with one correction and one rule for significance.

A difference is significant if its p value, corrected by Holm's method for all comparisons that are made
together (the family), is below 0.05. The intervals of a family are simultaneous: Bonferroni's level, and
where Holm's correction shows the sign of a difference, its interval ends at zero at the latest (Guilbaud,
Biometrical Journal 50, 2008). So an interval excludes zero exactly where the difference is significant.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import special

from adframe.analysis.settings import Setting
from adframe.stats.estimates import NO_DIFFERENCE, Difference
from adframe.stats.intervals import (
    DifferenceOf,
    Interval,
    MeanOf,
    SeedError,
    compare_with_zero,
    interval_of,
)
from adframe.stats.significance import holm

ALPHA = 0.05  # the family-wise error rate of every family of comparisons
_POWER_QUANTILE = 0.8416  # the normal quantile of a power of 80 %


def is_significant(p: float) -> bool:
    """Returns whether a result is significant; every page, table and sentence uses this rule.

    Args:
        p: p value, corrected for all comparisons that are made together; NaN where no test was made.

    Returns:
        True for a significant result; False where `p` is NaN.

    Example:
        >>> is_significant(0.01), is_significant(math.nan)
        (True, False)
    """
    return p < ALPHA


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of a metric between the settings `a` and `b`.

    Attributes:
        a: name of the first setting.
        b: name of the second setting.
        where: a category, or `mean` over several.
        metric: such as `image/auroc`.
        difference: `b` minus `a` as a share in [-1, 1], with its uncorrected p value and its interval, which
            is simultaneous with those of the family after the correction.
        adjusted: p value after Holm's correction for all comparisons of the family; NaN without one.
        paired: whether the bootstrap draws of both belong to the same images in every resample.
        number: the difference at every level; None where only `difference` is known.
        family: number of comparisons that are corrected together.

    Example:
        >>> difference = Difference(0.02, 0.01, 0.03, p=0.002)
        >>> comparison = Comparison("resnet", "vit", "mean", "image/auroc", difference, adjusted=0.004)
        >>> comparison.significant, comparison.reversed.difference.value
        (True, -0.02)
    """

    a: str
    b: str
    where: str
    metric: str
    difference: Difference
    adjusted: float = math.nan
    paired: bool = True
    number: Interval | None = None
    family: int = 1

    @property
    def significant(self) -> bool:
        """Whether the difference is significant by the rule of this module."""
        return is_significant(self.adjusted)

    @property
    def detectable(self) -> float:
        """The size of a difference that this comparison would find with a probability of 80 %."""
        needed = float(special.ndtri(1 - ALPHA / self.family / 2))
        return self.difference.reach * (1 + _POWER_QUANTILE / needed)

    @property
    def reversed(self) -> Comparison:
        """The same comparison with `a` and `b` exchanged."""
        return replace(self, a=self.b, b=self.a, difference=self.difference.reversed)


def compare_settings(
    pairs: Sequence[tuple[Setting, Setting]],
    *,
    metrics: Sequence[str],
    over: Mapping[str, Sequence[str]],
) -> list[Comparison]:
    """Compares settings pair by pair; all comparisons of one call are one family.

    Args:
        pairs: (a, b); a difference is that of b minus a.
        metrics: names of metrics, such as `image/auroc`.
        over: name of a place -> the categories that are averaged there, such as
            `{"mean": ["screw", "tray"]}`.

    Returns:
        The comparisons by metric, then place, then pair. Those with an unknown metric are left out.
    """
    found = [
        comparison
        for metric in metrics
        for where, categories in over.items()
        for a, b in pairs
        if (comparison := compare_pair(a, b, metric, where, categories)) is not None
    ]
    return correct_by_holm(found)


def correct_by_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Corrects the p values of comparisons for their number by Holm's method, and their intervals with them.

    Args:
        comparisons: one family; a p value may be NaN.

    Returns:
        The same comparisons in the same order, with `adjusted` set and simultaneous intervals.
    """
    pairs = [(each.number, each.difference) for each in comparisons]
    return [
        replace(each, difference=difference, adjusted=p, family=_family_size(pairs))
        for each, (difference, p) in zip(comparisons, _corrected(pairs), strict=True)
    ]


def compare_together(numbers: Sequence[Interval | None]) -> list[tuple[Difference, float]]:
    """Compares differences with zero as one family.

    Args:
        numbers: the differences; None for one that is not tested.

    Returns:
        For each number, the difference with its simultaneous interval and uncorrected p value, and the p
        value after Holm's correction; NaN for one that is not tested.
    """
    return _corrected(
        [(each, NO_DIFFERENCE if each is None else compare_with_zero(each)) for each in numbers]
    )


def _corrected(family: Sequence[tuple[Interval | None, Difference]]) -> list[tuple[Difference, float]]:
    """Corrects p values by Holm's method, and intervals where the difference is known at every level."""
    size = _family_size(family)
    return [
        (difference if number is None else simultaneous(number, difference, adjusted=p, family=size), p)
        for (number, difference), p in zip(family, holm([each.p for _, each in family]), strict=True)
    ]


def _family_size(family: Sequence[tuple[Interval | None, Difference]]) -> int:
    """Returns the number of tests that were made; 1 where there was none."""
    return max(sum(math.isfinite(each.p) for _, each in family), 1)


def simultaneous(number: Interval, difference: Difference, *, adjusted: float, family: int) -> Difference:
    """Replaces the interval of a difference by one that holds together with the others of its family.

    Args:
        number: the difference at every level.
        difference: the same with its uncorrected p value.
        adjusted: p value after Holm's correction for the family.
        family: number of differences in the family.

    Returns:
        The difference with its simultaneous 95% interval.
    """
    low, high = interval_of(number, level=1 - ALPHA / family)
    if is_significant(adjusted):
        low, high = (max(low, 0.0), high) if difference.value > 0 else (low, min(high, 0.0))
    return replace(difference, low=low, high=high)


def all_pairs(settings: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Lists every pair of settings.

    Args:
        settings: the settings.

    Returns:
        The pairs; the setting that comes earlier in `settings` is the first of its pair.
    """
    return list(itertools.combinations(settings, 2))


def compare_pair(
    a: Setting, b: Setting, metric: str, where: str, categories: Sequence[str]
) -> Comparison | None:
    """Compares two settings by one metric, without a correction.

    Args:
        a: the first setting.
        b: the second setting; the difference is b minus a.
        metric: such as `image/auroc`.
        where: name of the place in the result: a category, or `mean`.
        categories: the categories over which the difference is averaged.

    Returns:
        The comparison; None where there is no category, or the metric is unknown in one of them.
    """
    parts = [part for name in categories if (part := _category_difference(a, b, name, metric)) is not None]
    if not categories or len(parts) < len(categories):
        return None
    seeds = _seed_error(*(each.values_by_seed(metric, categories) for each in (a, b)))
    number = MeanOf(parts, seeds)
    return Comparison(
        a.name,
        b.name,
        where,
        metric,
        compare_with_zero(number),
        paired=all(part.paired for part in parts),
        number=number,
    )


def find_comparison(
    comparisons: Sequence[Comparison], a: str, b: str, *, metric: str, where: str
) -> Comparison | None:
    """Finds the comparison of two settings, in whichever order they were compared.

    Args:
        comparisons: the comparisons to search.
        a: name of a setting.
        b: name of another setting.
        metric: such as `image/auroc`.
        where: a category, or `mean`.

    Returns:
        The comparison as b minus a; None where these settings were not compared.
    """
    for each in comparisons:
        if (each.metric, each.where) == (metric, where):
            if (each.a, each.b) == (a, b):
                return each
            if (each.a, each.b) == (b, a):
                return each.reversed
    return None


def _category_difference(a: Setting, b: Setting, category: str, metric: str) -> DifferenceOf | None:
    """Returns b minus a in a category; None where a draw is missing."""
    first, second = a.measured(category, metric), b.measured(category, metric)
    if first is None or second is None:
        return None
    # Another number of resamples draws other images.
    paired = len(first.drawn) == len(second.drawn) and a.tests[category][0].is_paired_with(
        b.tests[category][0]
    )
    return DifferenceOf(first, second, paired)


def _seed_error(a: Mapping[int, float], b: Mapping[int, float]) -> SeedError | None:
    """Returns the error of a difference of means over seeds; with one seed it cannot be estimated."""
    if a.keys() == b.keys():
        return SeedError.of([b[seed] - a[seed] for seed in a])
    return SeedError.of_difference(SeedError.of(list(a.values())), SeedError.of(list(b.values())))
