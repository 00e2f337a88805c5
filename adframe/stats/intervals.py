"""Computes intervals of metrics, of their means and of their differences, with coverage that was measured.

A percentile bootstrap interval is too short with few images, and has no width where a metric is 1. The
intervals of this module use the bootstrap draws only for variances and correlations:

* A metric that counts images (recall, AUROC, AP, F1, ...) has the interval of a share (Agresti & Coull, The
  American Statistician 52, 1998) with an effective number of units. A unit is a part, or an image on its
  own. The number of units is divided by the design effect: the variance of the draws over that of a share
  (Korn & Graubard, Survey Methodology 24, 1998). Few errors say little about the design effect, so it is
  shrunk towards 1, the more the fewer errors there are. `_units_of_share` has the number of units of each
  metric: that of AUROC is from Hanley and McNeil's variance (Newcombe, Statistics in Medicine 25, 2006,
  method 5), that of AP follows Boyd, Eng & Page (ECML PKDD 2013).
* A pixel metric has the interval of a share, too. Its number of units is the one that explains the variance
  of the draws, and the t quantile is corrected for skewness beyond that of a share (Johnson, JASA 73, 1978).
* Means over categories and differences combine the intervals of their parts (MOVER: Zou & Donner, Statistics
  in Medicine 27, 2008; Newcombe's intervals of differences of two shares are special cases). The correlation
  of two runs on the same images is that of their draws. A mean of many parts is about normally distributed
  where its parts are not; its interval is the more symmetric the more parts there are. An error that differs
  between seeds is one more part.
* The p value of a difference is the level at which its interval ends at zero.

`benchmarks/coverage.py` measures the coverage; docs/metrics.md has its table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from adframe.stats.estimates import NO_DIFFERENCE, Difference

LEVEL = 0.95
Ends = tuple[np.ndarray, np.ndarray]
# Number of errors that weigh as much as the design effect 1.
_SHRINKAGE = 4.0
# Units on which two runs count as different beyond those that were observed. Agresti & Min (Statistics in
# Medicine 24, 2005) add one; with half a unit the coverage of differences was closer to nominal.
_EXTRA_DISCORDANT = 0.5
# The test images overestimate these, because they choose or interpolate along a curve. The draws do so again,
# but less. The factors are those of simulated test sets; the lower end allows for the bias.
_BIAS_FACTORS = {"image/ap": 2.0, "image/f1_max": 2.5}
# Number of unseen images in the variance of a pixel metric.
_UNSEEN_IMAGES = 3.0
# Metrics of one class, or of the reported images. With five of them the interval of a share covers less than
# 93 % at some shares; with one unit fewer it does not.
_FEW_UNITS = ("image/recall", "image/fpr", "image/precision")
# The units of a ranking metric are a cautious number, for values near 1. Two runs are seldom both
# overestimated so much, so that their difference allows more units.
_RANKING = ("image/auroc", "image/auroc_subset_mean", "image/ap", "image/f1_max")
_MORE_IN_DIFFERENCES = 1.5
# Draws are stored as float32.
_ROUNDING = 1e-7
# Few seeds may be close together by chance. Then Satterthwaite's formula finds far too many degrees of
# freedom; so it takes the variance of seeds to be at least this multiple of that of images.
_LEAST_SEED_VARIANCE = 2.0
_HIGHER_SIDE = 8.0  # largest normal quantile at which p values are looked for: p is never below 1e-15
_QUANTILES = np.linspace(0, _HIGHER_SIDE, 641)


class Interval(Protocol):
    """A number whose interval is known at every level."""

    @property
    def value(self) -> float:
        """The number itself."""

    @property
    def bias(self) -> float:
        """How far the number is expected to be above the true one."""

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals.

        Args:
            quantiles: (k,) normal quantiles >= 0, such as 1.96 for the level 0.95.

        Returns:
            (k,) lower and (k,) upper ends.
        """


@dataclass(frozen=True, slots=True)
class Units:
    """The number of independent units of a test: photographed parts, or images on their own.

    Attributes:
        normal: units with normal images.
        anomalous: units with anomalous images.
    """

    normal: int
    anomalous: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of one test with its bootstrap draws.

    Attributes:
        metric: name with any prefix, such as `image/auroc` or `logical/image/auroc`.
        value: the metric on the test images, in [0, 1].
        drawn: (resamples,) draws.
        units: the independent units on which it was measured.
        called: units that are called anomalous, for `image/precision`; NaN where unknown.

    Example:
        >>> perfect = Measured("image/auroc", 1.0, np.ones(1000), Units(normal=20, anomalous=40))
        >>> low, high = interval_of(perfect)
        >>> round(low, 2), high
        (0.92, 1.0)
    """

    metric: str
    value: float
    drawn: np.ndarray
    units: Units
    called: float = math.nan

    @property
    def known(self) -> bool:
        """Whether the metric and its interval are defined."""
        return bool(math.isfinite(self.value) and len(self.drawn) and np.isfinite(self.drawn).all())

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends in [0, 1].
        """
        return self._ends(quantiles)

    def _ends(self, quantiles: np.ndarray, *, more_units: float = 1.0) -> Ends:
        """The interval; `more_units` multiplies the number of units of a ranking metric."""
        if self.name == "image/fpr95":
            return self._fpr95_ends(quantiles)
        if self.name.startswith("pixel/"):
            return self._pixel_ends(quantiles)
        return self._image_ends(quantiles, more_units=more_units if self.name in _RANKING else 1.0)

    @property
    def name(self) -> str:
        """The name of the metric without a prefix."""
        return "/".join(self.metric.split("/")[-2:])

    @property
    def bias(self) -> float:
        """How far the metric is expected to be above the true one."""
        excess = float(np.mean(self.drawn, dtype=np.float64)) - self.value
        return _BIAS_FACTORS.get(self.name, 0.0) * max(excess, 0.0)

    @property
    def deviation(self) -> float:
        """The standard deviation of the draws, corrected for the small number of units."""
        factor = 1 - 1 / max(self._fewest, 2)
        return float(np.std(self.drawn, dtype=np.float64)) / math.sqrt(factor)

    @property
    def _fewest(self) -> int:
        """The number of units of the class that limits what is known."""
        name = self.metric.split("/")[-1]
        one_class = {"recall": self.units.anomalous, "fpr": self.units.normal}
        both = [count for count in (self.units.normal, self.units.anomalous) if count]
        return one_class.get(name, min(both, default=1))

    def _image_ends(self, quantiles: np.ndarray, *, more_units: float) -> Ends:
        """The interval of a share of images (Agresti & Coull) with an effective number of units."""
        units = (
            _units_of_share(self.name, value=self.value, units=self.units, called=self.called) * more_units
        )
        share = self.value * (1 - self.value)
        effect = self.deviation**2 * units / share if share > 0 and self.deviation > 0 else 1.0
        errors = units * min(self.value, 1 - self.value)
        effective = units * (errors + _SHRINKAGE) / (errors * effect + _SHRINKAGE)
        if self.name in _FEW_UNITS:
            effective = max(effective - 1, 0.0)
        low, _ = _agresti_coull(max(self.value - self.bias, 0.0), effective, quantiles)
        _, high = _agresti_coull(self.value, effective, quantiles)
        return np.minimum(low, self.value), np.maximum(high, self.value)

    def _pixel_ends(self, quantiles: np.ndarray) -> Ends:
        """The interval of a share with the number of units that explains the variance of the draws.

        Few images show rare ones too seldom, so that the variance of the draws is too small just where the
        metric is high. Some images more, of which the metric is 0 or 1, stand for them.
        """
        anomalous = max(self.units.anomalous, 1)
        share = self.value * (1 - self.value)
        variance = self.deviation**2 / share if share > 0 else 0.0
        number = 1 / (variance + _UNSEEN_IMAGES / anomalous**2)
        reach = _t_quantiles(quantiles, max(self.units.normal + anomalous - 2, 1))
        # Johnson (JASA 73, 1978): skewness shifts a t interval. The interval of a share allows for that of a
        # share; only what is beyond it lengthens one side.
        own = (1 - 2 * self.value) / math.sqrt(max(number * share, _ROUNDING))
        shift = (_skewness(self.drawn) - own) / 6 * (1 + 2 * reach**2)
        low, _ = _agresti_coull(self.value, number, reach + np.maximum(-shift, 0))
        _, high = _agresti_coull(self.value, number, reach + np.maximum(shift, 0))
        return np.minimum(low, self.value), np.maximum(high, self.value)

    def _fpr95_ends(self, quantiles: np.ndarray) -> Ends:
        """The interval of a false-positive rate at thresholds that the draws choose.

        The threshold is a quantile of the anomalous scores. So few anomalous images that none of them may lie
        below the true quantile say nothing about the upper end.
        """
        tail = special.ndtr(-quantiles)
        low, high = np.quantile(self.drawn, [tail, 1 - tail])
        number = np.full(len(quantiles), float(self.units.normal))
        bounded = 0.95**self.units.anomalous <= tail
        low, _ = _agresti_coull(low, number, quantiles)
        _, high = _agresti_coull(high, number, quantiles)
        return np.minimum(low, self.value), np.maximum(np.where(bounded, high, 1.0), self.value)


@dataclass(frozen=True, slots=True)
class SeedError:
    """The error of a mean over seeds that comes from the choice of seeds.

    Attributes:
        deviation: standard deviation of that mean.
        freedom: its degrees of freedom, seeds - 1.

    Example:
        >>> SeedError.of([0.8, 0.9]).freedom
        1
    """

    deviation: float
    freedom: int

    @classmethod
    def of(cls, values: Sequence[float]) -> SeedError | None:
        """Estimates the error from the values of single seeds.

        Args:
            values: one value per seed.

        Returns:
            The error of their mean; None with fewer than two seeds.
        """
        if len(values) < 2:
            return None
        return cls(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values) - 1)

    def widen(self, reach: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        """Adds this error to an independent one, by Satterthwaite's approximation (Biometrics 2, 1946)
        or by MOVER, whichever is shorter.

        Args:
            reach: (k,) distances from the value to the ends of its interval without this error.
            quantiles: (k,) normal quantiles of that interval.

        Returns:
            (k,) distances with this error.
        """
        images = (reach / np.maximum(quantiles, 1e-9)) ** 2
        variance = self.deviation**2
        if not variance:
            return reach
        # The degrees of freedom of the error from images are those of a normal distribution.
        least = np.maximum(variance, _LEAST_SEED_VARIANCE * images)
        freedom = self.freedom * ((images + least) / least) ** 2
        joint = _t_quantiles(quantiles, freedom) * np.sqrt(images + variance)
        # MOVER of both errors is never too short, but longer where seeds differ much.
        separate = np.hypot(reach, _t_quantiles(quantiles, self.freedom) * self.deviation)
        widened: np.ndarray = np.minimum(joint, separate)
        return widened


@dataclass(frozen=True, slots=True)
class DifferenceOf:
    """The difference of one metric between two tests: the second minus the first.

    Attributes:
        first: the reference.
        second: what is compared with it.
        paired: whether the draws of both belong to the same images in every resample.
    """

    first: Measured
    second: Measured
    paired: bool

    @property
    def value(self) -> float:
        """The second value minus the first."""
        return self.second.value - self.first.value

    @property
    def bias(self) -> float:
        """The biases of two runs are taken to cancel."""
        return 0.0

    @property
    def drawn(self) -> np.ndarray:
        """The (resamples,) draws of the difference, for the correlation with other differences."""
        count = min(len(self.first.drawn), len(self.second.drawn))
        first, second = self.first.drawn[:count], self.second.drawn[:count]
        # Unpaired tests may share resamples by accident; a fixed permutation makes them independent.
        order = slice(None) if self.paired else np.random.default_rng(0).permutation(count)
        return np.asarray(second[order] - first, np.float64)

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals by MOVER; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends.
        """
        (a_low, a_high), (b_low, b_high) = (
            each._ends(quantiles, more_units=_MORE_IN_DIFFERENCES) for each in (self.first, self.second)
        )
        a_below, a_above = self.first.value - a_low, a_high - self.first.value
        b_below, b_above = self.second.value - b_low, b_high - self.second.value
        correlation = self._correlation
        below = b_below**2 + a_above**2 - 2 * correlation * b_below * a_above
        above = b_above**2 + a_below**2 - 2 * correlation * b_above * a_below
        extra = (quantiles * self._least_deviation) ** 2
        return (
            self.value - np.sqrt(np.maximum(below, 0) + extra),
            self.value + np.sqrt(np.maximum(above, 0) + extra),
        )

    @property
    def _correlation(self) -> float:
        if not self.paired:
            return 0.0
        count = min(len(self.first.drawn), len(self.second.drawn))
        drawn = [np.asarray(each.drawn[:count], np.float64) for each in (self.first, self.second)]
        deviations = [np.std(each) for each in drawn]
        # Rounding of stored draws is no spread: a run that is perfect in every draw tells no correlation.
        if min(deviations) < _ROUNDING:
            return 0.0
        covariance = np.mean((drawn[0] - drawn[0].mean()) * (drawn[1] - drawn[1].mean()))
        return float(covariance / (deviations[0] * deviations[1]))

    @property
    def _least_deviation(self) -> float:
        """The standard deviation that is left where both runs agree on every image."""
        if not self.paired or self.first.name.startswith("pixel/"):
            return 0.0
        units = [
            _units_of_share(each.name, value=each.value, units=each.units, called=each.called)
            for each in (self.first, self.second)
        ]
        return math.sqrt(_EXTRA_DISCORDANT / (max(units[0], 1.0) * max(units[1], 1.0)))


@dataclass(frozen=True, slots=True)
class MeanOf:
    """The mean of independent numbers, such as those of several categories.

    Attributes:
        parts: the numbers.
        seeds: the error of the mean that comes from the choice of seeds; None where there is one seed.

    Example:
        >>> parts = [Measured("image/recall", 0.5, np.full(9, 0.5), Units(40, 40)) for _ in range(4)]
        >>> one, four = interval_of(parts[0]), interval_of(MeanOf(parts))
        >>> round((one[1] - one[0]) / (four[1] - four[0]), 3)
        2.0
    """

    parts: Sequence[Interval]
    seeds: SeedError | None = None

    @property
    def value(self) -> float:
        """The mean."""
        return float(np.mean([each.value for each in self.parts]))

    @property
    def bias(self) -> float:
        """The mean bias of the parts."""
        return float(np.mean([each.bias for each in self.parts]))

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals by MOVER; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends.
        """
        count = len(self.parts)
        below, above = np.zeros(len(quantiles)), np.zeros(len(quantiles))
        for each in self.parts:
            low, high = each.ends(quantiles)
            # A bias has the same sign in every part. It does not shrink with their number.
            sides = np.maximum(each.value - each.bias - low, 0), high - each.value
            half = (sides[0] + sides[1]) / 2
            below += (sides[0] ** 2 + (count - 1) * half**2) / count
            above += (sides[1] ** 2 + (count - 1) * half**2) / count
        ends = [np.sqrt(each) / count for each in (below, above)]
        if self.seeds is not None:
            ends = [self.seeds.widen(each, quantiles) for each in ends]
        return self.value - self.bias - ends[0], self.value + ends[1]


def interval_of(number: Interval, *, level: float = LEVEL) -> tuple[float, float]:
    """Computes the interval of a number.

    Args:
        number: a metric, a mean, or a difference.
        level: level of the interval, in (0, 1).

    Returns:
        Lower and upper end.
    """
    low, high = number.ends(np.array([special.ndtri((1 + level) / 2)]))
    return float(low[0]), float(high[0])


def compare_with_zero(difference: Interval, *, level: float = LEVEL) -> Difference:
    """Computes the interval and the p value of a difference.

    Args:
        difference: a difference, or a mean of differences.
        level: level of the interval, in (0, 1).

    Returns:
        The difference; its p value is the level at which its interval ends at zero, and 1 for no difference.
    """
    value = difference.value
    if not math.isfinite(value):
        return NO_DIFFERENCE
    ends = difference.ends(_QUANTILES)
    # How far the end that is closer to zero still is from it; the distance falls with the quantile.
    distance = ends[0] if value > 0 else -ends[1]
    beyond = np.flatnonzero(distance <= 0)
    if not len(beyond):
        quantile = _HIGHER_SIDE
    elif beyond[0] == 0:
        quantile = 0.0
    else:
        before, after = distance[beyond[0] - 1], distance[beyond[0]]
        step = _QUANTILES[1] * before / (before - after)
        quantile = float(_QUANTILES[beyond[0] - 1] + step)
    low, high = interval_of(difference, level=level)
    return Difference(value, low, high, float(2 * special.ndtr(-quantile)))


def _agresti_coull(share: float | np.ndarray, number: float | np.ndarray, quantiles: np.ndarray) -> Ends:
    whole = number + quantiles**2
    middle = (number * share + quantiles**2 / 2) / whole
    reach = quantiles * np.sqrt(middle * (1 - middle) / whole)
    return np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)


def _skewness(drawn: np.ndarray) -> float:
    excess = np.asarray(drawn, np.float64) - np.mean(drawn, dtype=np.float64)
    return float(np.mean(excess**3) / max(float(np.std(excess)) ** 3, 1e-30))


def _t_quantiles(quantiles: np.ndarray, freedom: float | np.ndarray) -> np.ndarray:
    """Returns the quantiles of Student's t distribution at the levels of (k,) normal quantiles."""
    found: np.ndarray = -special.stdtrit(freedom, special.ndtr(-quantiles))
    return found


def _units_of_share(name: str, *, value: float, units: Units, called: float) -> float:
    """Returns the number of units for which a metric varies as a share of units does.

    The factors of AP, F1 and balanced accuracy are those with which `benchmarks/coverage.py` finds the
    nominal coverage.
    """
    normal, anomalous = max(units.normal, 1), max(units.anomalous, 1)
    if name in ("image/auroc", "image/auroc_subset_mean"):
        better = max(value, 0.5)
        pairs = (normal + anomalous) / 2 - 1
        return normal * anomalous / (1 + pairs * ((1 - better) / (2 - better) + better / (1 + better)))
    if name == "image/balanced_accuracy":
        # All errors may be in the smaller class, which then has half of the weight.
        return 2.2 * min(normal, anomalous)
    if name == "image/precision":
        # Where no image is reported, nothing is known about the precision.
        return called if math.isfinite(called) else float(anomalous)
    numbers = {
        "image/ap": 0.7 * anomalous,
        "image/f1_max": 2.0 * anomalous,
        "image/f1": 1.6 * anomalous,
        "image/class_f1": 1.6 * anomalous,
        "image/fpr": normal,
        "image/accuracy": normal + anomalous,
        "image/brier": normal + anomalous,
        "image/ece": normal + anomalous,
    }
    return float(numbers.get(name, anomalous))
