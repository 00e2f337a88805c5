"""Compares settings pair by pair on the same images, with one correction and one rule for significance.

A difference is significant if its p value, corrected by Holm's method for all comparisons that are made
together (the family), is below 0.05, its interval does not contain zero, and every seed has its sign.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from adframe.analysis.settings import Setting, cut_to_shortest, mean_over_seeds
from adframe.stats.bootstrap import LEVEL
from adframe.stats.estimates import Difference
from adframe.stats.significance import difference_of, holm

ALPHA = 0.05  # the family-wise error rate of every family of comparisons
_DRAW_DIGITS = 6  # draws are stored as float32: a smaller difference between two draws is a tie


def is_significant(p: float, difference: Difference | None = None) -> bool:
    """Returns whether a result is significant; every page, table and sentence uses this rule.

    Args:
        p: p value, corrected for all comparisons that are made together; NaN where no test was made.
        difference: the difference that was tested; its interval must exclude zero as well. None for a test
            without an interval, such as McNemar's.

    Returns:
        True for a significant result; False where `p` is NaN.

    Example:
        >>> is_significant(0.01), is_significant(0.01, Difference(0.02, -0.01, 0.05, p=0.01))
        (True, False)
    """
    return p < ALPHA and (difference is None or difference.low * difference.high > 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of a metric between the settings `a` and `b`.

    Attributes:
        a: name of the first setting.
        b: name of the second setting.
        where: a category, or `mean` over several.
        metric: such as `image/auroc`.
        difference: `b` minus `a` as a share in [-1, 1], with its interval and its uncorrected p value.
        adjusted: p value after Holm's correction for all comparisons of the family; NaN without one.
        paired: whether the bootstrap draws of both belong to the same images in every resample.
        consistent: whether the difference has the same sign in every seed.

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
    consistent: bool = True

    @property
    def significant(self) -> bool:
        """Whether the difference is significant by the rule of this module."""
        return self.consistent and is_significant(self.adjusted, self.difference)

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
    """Corrects the p values of comparisons for their number by Holm's method.

    Args:
        comparisons: one family; a p value may be NaN.

    Returns:
        The same comparisons in the same order, with `adjusted` set.
    """
    corrected = holm([each.difference.p for each in comparisons])
    return [replace(each, adjusted=p) for each, p in zip(comparisons, corrected, strict=True)]


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
    drawn = np.mean(cut_to_shortest([draws for draws, _, _ in parts]), axis=0)
    difference = difference_from_draws(drawn, value=float(np.mean([value for _, value, _ in parts])))
    return Comparison(
        a.name,
        b.name,
        where,
        metric,
        difference,
        paired=all(paired for _, _, paired in parts),
        consistent=_every_seed_agrees(a, b, categories, metric, sign=math.copysign(1, difference.value)),
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


def difference_from_draws(drawn: np.ndarray, *, value: float) -> Difference:
    """Computes a difference with its interval and p value from its bootstrap draws.

    Where all draws lie on one side of zero, their number limits p to 2/1001 or more, and Holm's factor would
    lift that above any level. There p is that of a normal distribution with the standard deviation of the
    draws (Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 2.4), but not above the
    p value of the draws.

    Args:
        drawn: (resamples,) draws of the difference.
        value: the difference on the test images themselves.

    Returns:
        The difference with its 95 % interval and its two-sided p value.
    """
    # Rounding makes a tie of two float32 draws that differ by rounding errors only.
    rounded = np.round(drawn.astype(np.float64), _DRAW_DIGITS)
    p = difference_of(rounded, value=value, level=LEVEL).p
    difference = replace(difference_of(drawn, value=value, level=LEVEL), p=p)
    deviation = float(np.std(drawn))
    on_both_sides = np.any(rounded <= 0) == np.any(rounded >= 0)
    if not math.isfinite(p) or not deviation or on_both_sides:
        return difference
    return replace(difference, p=min(p, float(2 * stats.norm.sf(abs(value) / deviation))))


def _category_difference(
    a: Setting, b: Setting, category: str, metric: str
) -> tuple[np.ndarray, float, bool] | None:
    """Returns b minus a in a category: (resamples,) draws, the value, whether the draws are paired.

    Seeds that both settings have are compared seed by seed. Where seeds or images differ, the draws are
    treated as independent, which gives a wider interval.
    """
    pairs = [
        (test_a, test_b)
        for test_a in a.tests.get(category, ())
        for test_b in b.tests.get(category, ())
        if test_a.is_paired_with(test_b)
    ]
    drawn = [(test_a.draws.get(metric), test_b.draws.get(metric)) for test_a, test_b in pairs]
    known = [(draws_a, draws_b) for draws_a, draws_b in drawn if draws_a is not None and draws_b is not None]
    if known and len(known) == len(drawn) and all(len(draws_a) == len(draws_b) for draws_a, draws_b in known):
        values = [
            test_b.values.get(metric, math.nan) - test_a.values.get(metric, math.nan)
            for test_a, test_b in pairs
        ]
        differences = mean_over_seeds([draws_b - draws_a for draws_a, draws_b in known])
        return differences, float(np.mean(values)), True
    draws_a, draws_b = a.draws(category, metric), b.draws(category, metric)
    if draws_a is None or draws_b is None:
        return None
    draws_a, draws_b = cut_to_shortest([draws_a, draws_b])
    # The two may share resamples by accident; a fixed permutation makes them independent.
    order = np.random.default_rng(0).permutation(len(draws_b))
    value = float(np.mean(b.values(category, metric)) - np.mean(a.values(category, metric)))
    return draws_b[order] - draws_a, value, False


def _every_seed_agrees(
    a: Setting, b: Setting, categories: Sequence[str], metric: str, *, sign: float
) -> bool:
    """Returns whether b minus a has the given sign in every seed that both have."""
    values_a, values_b = ([each.values(name, metric) for name in categories] for each in (a, b))
    seeds = min(len(values) for values in [*values_a, *values_b])
    if seeds < 2:
        return True
    by_category = [
        np.subtract(of_b[:seeds], of_a[:seeds]) for of_a, of_b in zip(values_a, values_b, strict=True)
    ]
    return bool(np.all(np.mean(by_category, axis=0) * sign > 0))
