"""Computes intervals of metrics, of their means and of their differences, with coverage that was measured.

A percentile bootstrap interval is too short with few images, and has no width where a metric is 1. The
intervals of this module use the bootstrap draws only for variances, biases and skewness:

* A metric that counts images (recall, AUROC, AP, F1, ...) has the interval of a share (Agresti & Coull, The
  American Statistician 52, 1998) with an effective number of units. A unit is a part, or an image on its
  own. The number of units is divided by the design effect: the variance of the draws over that of a share
  (Korn & Graubard, Survey Methodology 24, 1998). Few errors say little about the design effect, so it is
  shrunk towards 1, the more the fewer errors there are. `_units_of_share` has the number of units of each
  metric: that of AUROC is from Hanley and McNeil's variance (Newcombe, Statistics in Medicine 25, 2006,
  method 5), that of AP follows Boyd, Eng & Page (ECML PKDD 2013).
* A pixel metric has the interval of a share whose number of units explains the variance of the draws and of
  some images more, which stand for rare ones; the longer tail of the draws lengthens one side (Johnson, JASA
  73, 1978).
* The variance of a difference on the same images is that of the differences of the draws, and of a unit more
  on which the two are different (Agresti & Min, Statistics in Medicine 24, 2005). For image metrics it is
  the score interval, of which the variance depends on the difference that is tested (Tango, Statistics in
  Medicine 17, 1998).
* In a mean over categories their variances and their units are added. The error that differs between seeds
  is added by Satterthwaite's approximation.
* The p value of a difference is the level at which its interval ends at zero.

`benchmarks/coverage.py` measures the coverage; docs/metrics.md has its table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from adframe.stats.estimates import NO_DIFFERENCE, Difference
from adframe.stats.interval_formulas import (
    Ends,
    agresti_coull,
    score_ends,
    skewness_of_mean,
    t_quantiles,
)

LEVEL = 0.95
# Number of errors that weigh as much as the design effect 1.
_SHRINKAGE = 4.0
# Shares of the images of one class.
_COUNTED = ("image/recall", "image/fpr")
# The test images overestimate these, because they choose or interpolate along a curve, and the draws do so
# again: by how much less is the factor. The lower end allows for it.
_BIASES = {"image/ap": 2.0, "image/f1_max": 2.5}
# Units on which two runs count as different beyond those that were observed. Agresti & Min (Statistics in
# Medicine 24, 2005) add one to paired shares. Other numbers than theirs were needed for the nominal coverage.
_EXTRA_DISCORDANT = {
    "image/auroc": 1.0, "image/auroc_subset_mean": 1.0, "image/ap": 0.5, "image/f1_max": 2.0
}  # fmt: skip
# The variance of a difference of pixel metrics that unseen images add, as a share of that of the draws.
_UNSEEN_VARIANCE = 0.5
_MANY_IMAGES = 20
# Number of unseen images in the variance of a pixel metric.
_UNSEEN_IMAGES = 3.0
# Metrics of one class, or of the images that are called anomalous. With five of them the interval of a share
# covers less than 93 % at some shares; with one unit fewer it does not.
_FEW_UNITS = ("image/recall", "image/fpr", "image/precision")
# Few seeds may be close together by chance. Then Satterthwaite's formula finds far too many degrees of
# freedom; so it takes the variance of seeds to be at least this multiple of that of images.
_LEAST_SEED_VARIANCE = 1.0
# Largest skewness of a difference, as sixths, that is estimated from draws.
_MOST_SKEWED = 0.3
_HIGHER_SIDE = 8.0  # largest normal quantile at which p values are looked for: p is never below 1e-15
_QUANTILES = np.linspace(0, _HIGHER_SIDE, 641)


class Interval(Protocol):
    """A number whose interval is known at every level."""

    @property
    def value(self) -> float:
        """The number itself."""

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
        grouped: whether a unit has several images, which are not independent.
    """

    normal: int
    anomalous: int
    grouped: bool = False


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

    @property
    def variance(self) -> float:
        """The variance of the draws, corrected for the small number of units."""
        if _name_of(self) in _COUNTED and not self.units.grouped:
            # A share of independent images, for which the draws add nothing but noise.
            return self.value * (1 - self.value) / _units_of_share(self) * self.correction
        return float(np.var(self.drawn, dtype=np.float64)) * self.correction

    @property
    def correction(self) -> float:
        """The factor by which the bootstrap's variance is too small: it is n / (n - 1) for a mean of n."""
        one_class = {"recall": self.units.anomalous, "fpr": self.units.normal}
        both = [count for count in (self.units.normal, self.units.anomalous) if count]
        fewest = max(one_class.get(self.metric.split("/")[-1], min(both, default=1)), 2)
        return fewest / (fewest - 1)

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends in [0, 1].
        """
        return MeanOf((self,)).ends(quantiles)


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
    freedom: float

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

    @classmethod
    def of_difference(cls, a: SeedError | None, b: SeedError | None) -> SeedError | None:
        """Adds the errors of two means over other seeds (Welch, Biometrika 34, 1947).

        Args:
            a: the error of one mean; None where it is unknown.
            b: the error of the other mean; None where it is unknown.

        Returns:
            The error of their difference; the known one where the other is unknown.
        """
        if a is None or b is None:
            return a or b
        variance = a.deviation**2 + b.deviation**2
        parts = a.deviation**4 / a.freedom + b.deviation**4 / b.freedom
        return cls(math.sqrt(variance), variance**2 / parts if parts else a.freedom + b.freedom)

    def widen(
        self, below: np.ndarray, above: np.ndarray, quantiles: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adds this error to an independent one, by Satterthwaite's approximation (Biometrics 2, 1946) or
        by MOVER (Zou & Donner, Statistics in Medicine 27, 2008), whichever is shorter.

        Args:
            below: (k,) distances from the value to the lower ends of its interval without this error.
            above: (k,) distances to the upper ends.
            quantiles: (k,) normal quantiles of that interval.

        Returns:
            Both distances with this error.
        """
        variance = self.deviation**2
        if not variance:
            return below, above
        images = [(reach / np.maximum(quantiles, 1e-9)) ** 2 for reach in (below, above)]
        # The degrees of freedom of the error from images are those of a normal distribution.
        mean = (images[0] + images[1]) / 2
        least = np.maximum(variance, _LEAST_SEED_VARIANCE * mean)
        joint = t_quantiles(quantiles, self.freedom * ((mean + least) / least) ** 2)
        # MOVER of both errors is never too short, but longer where seeds differ much.
        own = t_quantiles(quantiles, self.freedom) * self.deviation
        wide_below, wide_above = (
            np.minimum(joint * np.sqrt(each + variance), np.hypot(reach, own))
            for each, reach in zip(images, (below, above), strict=True)
        )
        return wide_below, wide_above


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
    def variance(self) -> float:
        """The variance of the difference; unpaired tests are independent."""
        if not self.paired:
            return self.first.variance + self.second.variance
        (drawn,) = self.errors
        return float(np.var(drawn)) * max(self.first.correction, self.second.correction)

    @property
    def errors(self) -> list[np.ndarray]:
        """Independent (resamples,) draws of which the draws of the difference are the sum."""
        first, second = (np.asarray(each.drawn, np.float64) for each in (self.first, self.second))
        count = min(len(first), len(second))
        return [second[:count] - first[:count]] if self.paired else [second, -first]

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends.
        """
        return MeanOf((self,)).ends(quantiles)


@dataclass(frozen=True, slots=True)
class MeanOf:
    """The mean of one metric, or of its differences, over independent categories.

    The images of all categories together decide on its interval: their variances are added, and so are their
    units. Each category has the same weight (as in stratified intervals of shares: Yan & Su, Statistics in
    Biopharmaceutical Research 2, 2010).

    Attributes:
        parts: the metric, or its difference, in each category.
        seeds: the error of the mean that comes from the choice of seeds; None where there is one seed.

    Example:
        >>> parts = [Measured("image/recall", 0.5, np.full(9, 0.5), Units(40, 40)) for _ in range(4)]
        >>> one, four = interval_of(parts[0]), interval_of(MeanOf(parts))
        >>> round((one[1] - one[0]) / (four[1] - four[0]), 1)
        1.9
    """

    parts: Sequence[Measured] | Sequence[DifferenceOf]
    seeds: SeedError | None = None

    @property
    def value(self) -> float:
        """The mean."""
        return float(np.mean([each.value for each in self.parts]))

    def ends(self, quantiles: np.ndarray) -> Ends:
        """Computes the ends of two-sided intervals; see `Interval.ends`.

        Args:
            quantiles: (k,) normal quantiles >= 0.

        Returns:
            (k,) lower and (k,) upper ends.
        """
        differences = [each for each in self.parts if isinstance(each, DifferenceOf)]
        measured = [each for each in self.parts if isinstance(each, Measured)]
        if differences:
            low, high = _difference_ends(differences, quantiles)
        elif _name_of(measured[0]) == "image/fpr95":
            low, high = _fpr95_ends(measured, quantiles)
        elif _name_of(measured[0]).startswith("pixel/"):
            low, high = _pixel_ends(measured, quantiles)
        else:
            low, high = _share_ends(measured, quantiles)
        if self.seeds is None:
            return low, high
        value = self.value
        below, above = self.seeds.widen(value - low, high - value, quantiles)
        least = -1.0 if differences else 0.0
        return np.maximum(value - below, least), np.minimum(value + above, 1.0)


def _share_ends(parts: Sequence[Measured], quantiles: np.ndarray) -> Ends:
    """The interval of a share of images (Agresti & Coull) with an effective number of units."""
    value = _mean(each.value for each in parts)
    units = _pooled(_units_of_share(each) for each in parts)
    share, variance = value * (1 - value), _variance_of_mean(each.variance for each in parts)
    effect = variance * units / share if share > 0 and variance > 0 else 1.0
    errors = units * min(value, 1 - value)
    effective = units * (errors + _SHRINKAGE) / (errors * effect + _SHRINKAGE)
    if _name_of(parts[0]) in _FEW_UNITS:
        effective = max(effective - 1, 0.0)
    bias = _mean(np.mean(each.drawn, dtype=np.float64) - each.value for each in parts)
    start = value - _BIASES.get(_name_of(parts[0]), 0.0) * max(bias, 0.0)
    low, _ = agresti_coull(max(start, 0.0), effective, quantiles)
    _, high = agresti_coull(value, effective, quantiles)
    return np.minimum(low, value), np.maximum(high, value)


def _pixel_ends(parts: Sequence[Measured], quantiles: np.ndarray) -> Ends:
    """The interval of a share with the number of units that explains the variance of the draws.

    Few images show rare ones too seldom, so that the variance of the draws is too small just where the
    metric is high. Some images more, of which the metric is 0 or 1, stand for them.
    """
    value, variance = _mean(each.value for each in parts), _variance_of_mean(each.variance for each in parts)
    share, anomalous = value * (1 - value), _pooled(each.units.anomalous for each in parts)
    explained = variance / share if share > 0 else 0.0
    number = 1 / (explained + _UNSEEN_IMAGES / anomalous**2)
    reach = t_quantiles(quantiles, _freedom(parts))
    # The interval of a share allows for the skewness of a share; only what is beyond it lengthens one side.
    own = (1 - 2 * value) / math.sqrt(max(number * share, 1e-9)) / 6
    shift = (skewness_of_mean([each.drawn for each in parts]) - own) * (1 + 2 * reach**2)
    low, _ = agresti_coull(value, number, reach + np.maximum(-shift, 0))
    _, high = agresti_coull(value, number, reach + np.maximum(shift, 0))
    return np.minimum(low, value), np.maximum(high, value)


def _fpr95_ends(parts: Sequence[Measured], quantiles: np.ndarray) -> Ends:
    """The interval of a false-positive rate at thresholds that the draws choose.

    The threshold is a quantile of the anomalous scores. So few anomalous images that none of them may lie
    below the true quantile say nothing about the upper end.
    """
    value, tail = _mean(each.value for each in parts), special.ndtr(-quantiles)
    count = min(len(each.drawn) for each in parts)
    drawn = np.mean([each.drawn[:count] for each in parts], axis=0, dtype=np.float64)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    number = np.full(len(quantiles), _pooled(each.units.normal for each in parts))
    bounded = 0.95 ** min(each.units.anomalous for each in parts) <= tail
    low, _ = agresti_coull(low, number, quantiles)
    _, high = agresti_coull(high, number, quantiles)
    return np.minimum(low, value), np.maximum(np.where(bounded, high, 1.0), value)


def _difference_ends(parts: Sequence[DifferenceOf], quantiles: np.ndarray) -> Ends:
    """The interval of a difference, from the variance of the draws and of units that were not observed."""
    value, variance = _mean(each.value for each in parts), _variance_of_mean(each.variance for each in parts)
    name = _name_of(parts[0].first)
    first, second = ([getattr(each, side) for each in parts] for side in ("first", "second"))
    units = (_pooled(map(_units_of_share, first)), _pooled(map(_units_of_share, second)))
    if not name.startswith("pixel/"):
        # Units that were not observed, on which the two are different.
        variance += _EXTRA_DISCORDANT.get(name, 1.5) * (units[0] ** -2 + units[1] ** -2) / 2
        return score_ends(value, variance, 2 / (1 / units[0] + 1 / units[1]), quantiles)
    shares = math.prod(_mean(each.value * (1 - each.value) for each in own) for own in (first, second))
    # One image of which one run's metric is 1 and the other's is 0 stands for those that were not seen. With
    # many images the draws tell enough about them, except where both runs are perfect.
    unseen = (math.sqrt(shares) or 1.0) / (units[0] * units[1])
    if min(units) >= _MANY_IMAGES and variance:
        unseen = 0.0
    variance += max(_UNSEEN_VARIANCE * variance, unseen)
    reach = t_quantiles(quantiles, _freedom(first))
    skewness = skewness_of_mean([error for each in parts for error in each.errors])
    shift = min(max(skewness, -_MOST_SKEWED), _MOST_SKEWED) * (1 + 2 * reach**2)
    width = math.sqrt(variance)
    return value + width * (np.minimum(shift, 0) - reach), value + width * (np.maximum(shift, 0) + reach)


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


def compare_with_zero(difference: Interval) -> Difference:
    """Computes the 95 % interval and the p value of a difference.

    Args:
        difference: a difference, or a mean of differences.

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
    low, high = interval_of(difference)
    return Difference(value, low, high, float(2 * special.ndtr(-quantile)))


def _name_of(measured: Measured) -> str:
    """Returns the metric's name without the prefix of a subset or a condition."""
    return "/".join(measured.metric.split("/")[-2:])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _variance_of_mean(variances: Iterable[float]) -> float:
    """Returns the variance of a mean of independent numbers."""
    own = list(variances)
    return sum(own) / len(own) ** 2


def _pooled(numbers: Iterable[float]) -> float:
    """Returns the number of units of a mean over categories that have the same weight."""
    own = [max(number, 1) for number in numbers]
    return len(own) ** 2 / sum(1 / number for number in own)


def _freedom(parts: Sequence[Measured]) -> float:
    return sum(max(each.units.normal + each.units.anomalous - 2, 1) for each in parts)


def _units_of_share(measured: Measured) -> float:
    """Returns the number of units for which a metric varies as a share of units does.

    The factors of AP and of F1 are those with which `benchmarks/coverage.py` finds the nominal coverage.
    """
    normal, anomalous = max(measured.units.normal, 1), max(measured.units.anomalous, 1)
    name = _name_of(measured)
    if name in ("image/auroc", "image/auroc_subset_mean"):
        better = max(measured.value, 0.5)
        pairs = (normal + anomalous) / 2 - 1
        spread = 1 + pairs * ((1 - better) / (2 - better) + better / (1 + better))
        return normal * anomalous / spread
    if name == "image/balanced_accuracy":
        # All errors may be in the smaller class, which then has half of the weight.
        return 2.2 * min(normal, anomalous)
    if name == "image/precision" and math.isfinite(measured.called):
        # Where no image is called anomalous, nothing is known about the precision.
        return max(measured.called, 1.0)
    numbers = {
        "image/ap": 0.7 * anomalous,
        "image/f1_max": 2.0 * anomalous,
        "image/f1": 1.6 * anomalous,
        "image/class_f1": 1.6 * anomalous,
        "image/fpr": normal,
        "image/fpr95": normal,
        "image/accuracy": normal + anomalous,
        "image/brier": normal + anomalous,
        "image/ece": normal + anomalous,
    }
    return float(numbers.get(name, anomalous))
