"""Every variant against every other: differences with their intervals, and p corrected for their number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from adframe.analysis.studies.settings import LEVEL, Variant, gain_draws
from adframe.results.names import MEAN
from adframe.stats.significance import Difference, difference_of, holm

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Contrast:
    """What `b` has more than `a` of a metric.

    Attributes:
        a: a variant's name.
        b: another's.
        where: a class, or `mean` over all.
        metric: such as `image/auroc`.
        more: the difference, its interval, its own p.
        holm: p corrected for all that were compared with it.
        same_images: whether draws are paired.
        steady: whether every seed has the same sign.
    """

    a: str
    b: str
    where: str
    metric: str
    more: Difference
    holm: float
    same_images: bool
    steady: bool

    @property
    def shown(self) -> bool:
        """Whether there is more than chance in it."""
        return self.holm < ALPHA and self.steady

    @property
    def reach(self) -> float:
        """Half the interval's width: about the least difference that could have shown by itself."""
        return (self.more.high - self.more.low) / 2


def contrasts(
    variants: Sequence[Variant], *, wheres: Sequence[str], metrics: Sequence[str], classes: Sequence[str]
) -> list[Contrast]:
    """All pairs of variants, one family for Holm's correction.

    Args:
        variants: in order; `a` stands before `b`.
        wheres: classes, or `mean`.
        metrics: to compare.
        classes: that the mean is over.
    """
    found = [
        one
        for metric in metrics
        for where in wheres
        for a, b in itertools.combinations(variants, 2)
        if (one := _contrast(a, b, where, metric, classes=classes))
    ]
    corrected = holm([one.more.p for one in found])
    return [replace(one, holm=p) for one, p in zip(found, corrected, strict=True)]


def between(found: Sequence[Contrast], a: str, b: str, *, metric: str, where: str) -> Contrast | None:
    """What `b` has more than `a`, whichever came first."""
    for one in found:
        if (one.metric, one.where) == (metric, where):
            if (one.a, one.b) == (a, b):
                return one
            if (one.a, one.b) == (b, a):
                less = Difference(-one.more.value, -one.more.high, -one.more.low, one.more.p)
                return replace(one, a=a, b=b, more=less)
    return None


def tested(drawn: np.ndarray, *, value: float) -> Difference:
    """A difference from its bootstrap draws.

    Where all draws lie on one side of zero their number sets a floor to p (2/1001), which Holm's factor would
    lift over any level; there p is that of a normal with the draws' spread (Davison & Hinkley, Bootstrap
    Methods and their Application, 1997, 2.4), and at most the floor.
    """
    more = difference_of(drawn, value=value, level=LEVEL)
    spread = float(np.std(drawn))
    if not math.isfinite(more.p) or not spread or np.any(drawn <= 0) == np.any(drawn >= 0):
        return more
    return replace(more, p=min(more.p, float(2 * stats.norm.sf(abs(value) / spread))))


def _contrast(a: Variant, b: Variant, where: str, metric: str, *, classes: Sequence[str]) -> Contrast | None:
    names = list(classes) if where == MEAN else [where]
    parts = [part for name in names if (part := gain_draws(a, b, name, metric)) is not None]
    if not names or len(parts) < len(names):
        return None
    drawn = np.mean([part[0] for part in parts], axis=0)
    more = tested(drawn, value=float(np.mean([part[1] for part in parts])))
    steady = _steady(a, b, names, metric, sign=math.copysign(1, more.value))
    return Contrast(a.name, b.name, where, metric, more, math.nan, all(part[2] for part in parts), steady)


def _steady(a: Variant, b: Variant, names: Sequence[str], metric: str, *, sign: float) -> bool:
    seeds_a, seeds_b = ([each.seeds(name, metric) for name in names] for each in (a, b))
    fewest = min(len(values) for values in [*seeds_a, *seeds_b])
    if fewest < 2:
        return True
    gains = np.mean(
        [np.subtract(y[:fewest], x[:fewest]) for x, y in zip(seeds_a, seeds_b, strict=True)], axis=0
    )
    return bool(np.all(gains * sign > 0))
