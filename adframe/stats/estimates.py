"""Holds a number with its interval, and the difference of two numbers with its test."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the number; NaN where it is unknown.
        low: lower end of the interval; NaN where it is unknown.
        high: upper end of the interval; NaN where it is unknown.
        spread: standard deviation over seeds; NaN with fewer than two.
        seeds: number of seeds of which it is the mean.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    spread: float = math.nan
    seeds: int = 1

    @property
    def known(self) -> bool:
        """Tells whether the number is known."""
        return math.isfinite(self.value)


@dataclass(frozen=True, slots=True)
class Difference:
    """The second of two numbers minus the first, with its 95 % interval and test.

    Attributes:
        value: second minus first; NaN where one of them is unknown.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        p: two-sided p value of no difference, not corrected for other tests.

    Example:
        >>> Difference(0.25, 0.125, 0.5, 0.01).reversed
        Difference(value=-0.25, low=-0.5, high=-0.125, p=0.01)
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def reversed(self) -> Difference:
        """Returns first minus second."""
        return Difference(-self.value, -self.high, -self.low, self.p)

    @property
    def reach(self) -> float:
        """Returns half the width of the interval: about the smallest difference that these images could
        show.
        """
        return (self.high - self.low) / 2


UNKNOWN = Estimate(math.nan)
NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, math.nan)
