"""A number with its interval, and the difference of two with its test."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval.

    Attributes:
        value: the number; NaN where it is unknown.
        low: lower end of the interval; NaN where it is unknown.
        high: upper end of the interval; NaN where it is unknown.
        spread: standard deviation over seeds; NaN with fewer than two.
        seeds: how many seeds it is the mean of.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    spread: float = math.nan
    seeds: int = 1

    @property
    def known(self) -> bool:
        """Whether the number is known."""
        return math.isfinite(self.value)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the second of two numbers is than the first.

    Attributes:
        value: second minus first; NaN where one of them is unknown.
        low: lower end of the 95% interval.
        high: upper end of the 95% interval.
        p: two-sided p value of no difference, of this difference alone.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def reversed(self) -> Difference:
        """First minus second."""
        return Difference(-self.value, -self.high, -self.low, self.p)

    @property
    def reach(self) -> float:
        """Half the width of the interval: about the smallest difference that these images could show."""
        return (self.high - self.low) / 2


UNKNOWN = Estimate(math.nan)
NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, math.nan)
