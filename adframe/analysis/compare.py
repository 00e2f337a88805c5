"""The one comparison: settings pair by pair on the same images, with one correction and one rule.

A difference is significant if its p value by Holm's correction, over the whole family of comparisons that are
made together, is below 0.05, its interval does not contain zero, and every seed has its sign.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from adframe.analysis.settings import Setting, equally_many, mean_over_seeds
from adframe.results.frame import TestResult
from adframe.stats.bootstrap import LEVEL
from adframe.stats.estimates import NO_DIFFERENCE, Difference
from adframe.stats.significance import difference_of, holm

ALPHA = 0.05  # the family-wise error rate of every family of comparisons
_DIGITS = 6  # of draws, which are kept in float32: what differs beyond them is a tie


def is_significant(p: float, difference: Difference | None = None) -> bool:
    """Whether a result is significant: the one rule of every page, table and sentence.

    Args:
        p: p value, corrected for all comparisons that are made together; NaN where no test was made.
        difference: the difference that was tested; its interval must exclude zero too. None for a test
            that has no interval, such as McNemar's.
    """
    return p < ALPHA and (difference is None or difference.low * difference.high > 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much more of a metric `b` has than `a`.

    Attributes:
        a: the name of a setting.
        b: the name of another.
        where: a category, or `mean` over several.
        metric: such as `image/auroc`.
        difference: b minus a, its interval, and its own p value.
        adjusted: the p value by Holm's correction for all comparisons of the family.
        paired: whether the draws of both are of the same images in every resample.
        consistent: whether every seed has the sign of the difference.
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
        """Whether the difference is significant, by the rule of this module."""
        return self.consistent and is_significant(self.adjusted, self.difference)

    @property
    def reversed(self) -> Comparison:
        """The same with `a` and `b` exchanged."""
        return replace(self, a=self.b, b=self.a, difference=self.difference.reversed)


def compare(
    pairs: Sequence[tuple[Setting, Setting]],
    *,
    metrics: Sequence[str],
    over: Mapping[str, Sequence[str]],
) -> list[Comparison]:
    """Compares settings pair by pair; all comparisons that are made together are one family.

    Args:
        pairs: (a, b); a difference is that of b minus a.
        metrics: such as `image/auroc`.
        over: where -> the categories that are averaged there, such as `{"mean": ["screw", "tray"]}`.

    Returns:
        The comparisons by metric, then place, then pair; without those in which a metric is unknown.
    """
    found = [
        one
        for metric in metrics
        for where, categories in over.items()
        for a, b in pairs
        if (one := compare_pair(a, b, metric, where, categories)) is not None
    ]
    return adjusted(found)


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with p values that are corrected for their number, by Holm's method."""
    corrected = holm([one.difference.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, corrected, strict=True)]


def all_pairs(settings: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Every two settings, the earlier one first."""
    return list(itertools.combinations(settings, 2))


def compare_pair(
    a: Setting, b: Setting, metric: str, where: str, categories: Sequence[str]
) -> Comparison | None:
    """One comparison, without a correction; None where the metric is unknown in one of the categories."""
    parts = [part for name in categories if (part := _gain(a, b, name, metric)) is not None]
    if not categories or len(parts) < len(categories):
        return None
    drawn = np.mean(equally_many([part[0] for part in parts]), axis=0)
    difference = from_draws(drawn, value=float(np.mean([part[1] for part in parts])))
    sign = math.copysign(1, difference.value)
    consistent = _consistent(a, b, categories, metric, sign=sign)
    return Comparison(
        a.name,
        b.name,
        where,
        metric,
        difference,
        paired=all(part[2] for part in parts),
        consistent=consistent,
    )


def between(found: Sequence[Comparison], a: str, b: str, *, metric: str, where: str) -> Comparison | None:
    """The comparison of two settings, as b minus a, whichever was first when it was made."""
    for one in found:
        if (one.metric, one.where) == (metric, where):
            if (one.a, one.b) == (a, b):
                return one
            if (one.a, one.b) == (b, a):
                return one.reversed
    return None


def from_draws(drawn: np.ndarray, *, value: float) -> Difference:
    """A difference from its bootstrap draws.

    Where all draws lie on one side of zero, their number sets a floor to p (2/1001), which Holm's factor
    would lift over any level; there p is that of a normal with the draws' spread (Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, 2.4), and at most the floor.

    Args:
        drawn: (resamples,) draws of the difference.
        value: the difference that was seen.
    """
    ties = np.round(drawn.astype(np.float64), _DIGITS)
    p = difference_of(ties, value=value, level=LEVEL).p
    more = replace(difference_of(drawn, value=value, level=LEVEL), p=p)
    spread = float(np.std(drawn))
    if not math.isfinite(more.p) or not spread or np.any(ties <= 0) == np.any(ties >= 0):
        return more
    return replace(more, p=min(more.p, float(2 * stats.norm.sf(abs(value) / spread))))


def _gain(a: Setting, b: Setting, category: str, metric: str) -> tuple[np.ndarray, float, bool] | None:
    """What b has more than a in a category: (resamples,) draws, the value seen, whether they are paired.

    Seeds that both have are compared seed by seed. Where seeds or images differ, the draws are taken for
    independent, which is wider.
    """
    pairs = [
        (one, other)
        for one in a.tests.get(category, ())
        for other in b.tests.get(category, ())
        if one.is_paired_with(other)
    ]
    drawn = [(one.draws.get(metric), other.draws.get(metric)) for one, other in pairs]
    both = [(one, other) for one, other in drawn if one is not None and other is not None]
    if both and len(both) == len(drawn) and all(len(one) == len(other) for one, other in both):
        seen = [_value(other, metric) - _value(one, metric) for one, other in pairs]
        return mean_over_seeds([other - one for one, other in both]), float(np.mean(seen)), True
    one, other = a.draws(category, metric), b.draws(category, metric)
    if one is None or other is None:
        return None
    one, other = equally_many([one, other])
    apart = np.random.default_rng(0).permutation(len(other))  # whatever they have in common is not relied on
    seen_a, seen_b = a.values(category, metric), b.values(category, metric)
    return other[apart] - one, float(np.mean(seen_b) - np.mean(seen_a)), False


def _consistent(a: Setting, b: Setting, categories: Sequence[str], metric: str, *, sign: float) -> bool:
    values_a, values_b = ([each.values(name, metric) for name in categories] for each in (a, b))
    fewest = min(len(values) for values in [*values_a, *values_b])
    if fewest < 2:
        return True
    gains = [np.subtract(y[:fewest], x[:fewest]) for x, y in zip(values_a, values_b, strict=True)]
    return bool(np.all(np.mean(gains, axis=0) * sign > 0))


def _value(test: TestResult, metric: str) -> float:
    return test.values.get(metric, math.nan)


def unknown_pair(a: Setting, b: Setting, metric: str, where: str) -> Comparison:
    """A comparison of a metric that is unknown."""
    return Comparison(a.name, b.name, where, metric, NO_DIFFERENCE)
