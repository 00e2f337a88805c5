"""Defines the rules that choose a threshold from validation scores of images or of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adframe.errors import AdframeError, at_least


@dataclass(frozen=True, slots=True)
class Sample:
    """Validation scores and their counts: a few images, or many millions of pixels.

    Attributes:
        values: (n,) float64 distinct scores, ascending.
        normal: (n,) int64, normal images or pixels at each score.
        anomalous: (n,) int64, anomalous images or pixels at each score.

    Example:
        >>> sample = Sample.of(np.array([0.1, 0.1, 0.3]), np.array([0.3, 0.9]))
        >>> sample.normal.tolist(), sample.anomalous.tolist()
        ([2, 1, 0], [0, 1, 1])
        >>> sample.order_statistic(3)
        0.3
    """

    values: np.ndarray
    normal: np.ndarray
    anomalous: np.ndarray

    @classmethod
    def of(cls, normal: np.ndarray, anomalous: np.ndarray) -> Sample:
        """Counts single scores.

        Args:
            normal: (n,) scores of normal images or pixels.
            anomalous: (m,) scores of anomalous ones.

        Returns:
            Their sample.
        """
        scores = np.concatenate([normal, anomalous]).astype(np.float64)
        values, places = np.unique(scores, return_inverse=True)
        counts = (np.bincount(part, minlength=len(values)) for part in np.split(places, [len(normal)]))
        return cls(values, *counts)

    def mean_and_std(self) -> tuple[float, float]:
        """Returns mean and population standard deviation of the normal scores."""
        # Two passes, because the one-pass formula loses digits where the mean is large.
        mean = float(np.average(self.values, weights=self.normal))
        return mean, math.sqrt(float(np.average((self.values - mean) ** 2, weights=self.normal)))

    def order_statistic(self, rank: int) -> float:
        """Returns the rank-th smallest normal score.

        Args:
            rank: counted from 1.
        """
        return float(self.values[np.searchsorted(np.cumsum(self.normal), rank)])


class Rule(Protocol):
    """A rule that chooses a threshold.

    A rule that promises a false-positive rate has two more members: `promised_rate`, the rate in (0, 1), and
    `expected_rate(images)`, the highest mean rate among other normal images, given the number of normal
    validation images. The run then reports how many images the rate needs, and how many there are.

    Attributes:
        uses_anomalous: whether the rule also uses the scores of anomalous validation images.

    Example:
        >>> rule: Rule = Quantile(q=0.5)
        >>> rule.choose(Sample.of(np.array([1.0, 2.0, 3.0]), np.array([])))
        2.0
    """

    uses_anomalous: bool

    def statistic(self) -> str:
        """Returns the name of the rule with its parameters, which is stored with the threshold."""
        ...

    def choose(self, sample: Sample) -> float:
        """Chooses the threshold; scores strictly above it are called anomalous.

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold.
        """
        ...


def images_needed(rate: float) -> int:
    """Computes how many normal images a threshold needs to guarantee a false-positive rate.

    Another normal image exceeds all n scores with a probability of up to 1 / (n + 1), so no threshold that
    is one of the scores can guarantee a lower rate.

    Args:
        rate: in (0, 1).

    Returns:
        The smallest n with 1 / (n + 1) <= rate.

    Example:
        >>> images_needed(0.01), images_needed(0.2)
        (99, 4)
    """
    # The quotient is rounded first, because 1 / 0.05 - 1 can lie just above 19 in floating point.
    return max(1, math.ceil(round(1 / rate - 1, 9)))


def rate_text(rate: float) -> str:
    """Writes a false-positive rate in per cent, with up to three significant digits.

    Args:
        rate: in [0, 1].

    Returns:
        For example `0.5%`.

    Example:
        >>> rate_text(0.01), rate_text(1 / 33)
        ('1%', '3.03%')
    """
    return f"{100 * rate:.3g}%"


def promise_sentence(rate: float, *, images: int, expected: float) -> str:
    """Says how many normal validation images a false-positive rate needs, and how many there are.

    Args:
        rate: the false-positive rate that the rule promises, in (0, 1).
        images: number of normal validation images.
        expected: rate among other normal images that the rule guarantees with this number of images.

    Returns:
        One sentence.

    Example:
        >>> promise_sentence(0.01, images=120, expected=0.008)
        'A false-positive rate of 1% needs 99 normal validation images, and there are 120.'
    """
    needed, exact = images_needed(rate), round(expected, 9) <= round(rate, 9)
    start = f"A false-positive rate of {rate_text(rate)} needs {needed:,} normal validation images, "
    if images < needed:
        return (
            f"{start}but there {'is' if images == 1 else 'are'} only {images:,}: the threshold is the "
            f"highest score, which up to {rate_text(expected)} of other normal images exceed on average."
        )
    more = (
        ""
        if exact
        else (
            f", but a quantile of so few scores lets through up to {rate_text(expected)} on average; "
            "calibration=fixed_fpr keeps the rate"
        )
    )
    return f"{start}and there are {images:,}{more}."


class Quantile:
    """Chooses the q-quantile of normal scores; the next larger score where q falls between two.

    The rate 1 - q holds among the validation images themselves. Among other normal images the expected rate
    is up to (2 q - 1) / (n + 1) higher (`expected_rate`); `FixedFpr` keeps the rate there as well.

    Args:
        q: in (0, 1); 0.995 corresponds to one false alarm in 200 normal images.
        factor: the quantile is multiplied by it, 1 or more; above 1 the rule promises no rate, and scores
            must be positive.

    Example:
        >>> rule = Quantile(q=0.995)
        >>> rule.statistic(), rule.choose(Sample.of(np.arange(101.0), np.array([])))
        ('quantile 0.995', 100.0)
    """

    uses_anomalous = False

    def __init__(self, *, q: float = 0.995, factor: float = 1.0) -> None:
        if not 0 < q < 1:
            raise AdframeError(f"calibration: q={q} must lie between 0 and 1")
        if not 1 <= factor < math.inf:
            raise AdframeError(f"calibration: factor={factor} must be 1 or more")
        self.q, self.factor = q, factor

    def statistic(self) -> str:
        """Returns the name of the rule with its parameters."""
        return f"quantile {self.q:g}" + (f" x {self.factor:g}" if self.factor > 1 else "")

    def choose(self, sample: Sample) -> float:
        """Chooses the score that a share q of the normal scores does not exceed (numpy's method `higher`).

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold, a normal score times `factor`.

        Raises:
            AdframeError: the quantile is negative, so that a factor would lower it.
        """
        score = sample.order_statistic(self._rank(int(sample.normal.sum())))
        if self.factor > 1 and score < 0:
            raise AdframeError(f"calibration: factor={self.factor:g} needs positive scores, not {score:g}")
        return score * self.factor

    @property
    def promised_rate(self) -> float | None:
        """The false-positive rate that the rule asks for, in (0, 1); None with a factor above 1."""
        return round(1 - self.q, 12) if self.factor == 1 else None

    def expected_rate(self, images: int) -> float:
        """Computes the highest mean false-positive rate among other normal images.

        Args:
            images: number of normal validation images.

        Returns:
            A rate in (0, 1), whatever the distribution of the scores.
        """
        return (images + 1 - self._rank(images)) / (images + 1)

    def _rank(self, images: int) -> int:
        # The product is rounded first, because floating point can put it just above a whole number.
        return math.ceil(round(self.q * (images - 1), 9)) + 1


class MeanStd:
    """Chooses the mean plus a number of (population) standard deviations of normal scores.

    It promises no false-positive rate: that depends on the distribution of the scores.

    Args:
        deviations: number of standard deviations, 0 or more; the authors of MVTec AD 2 suggest 3 for pixels.

    Example:
        >>> MeanStd(deviations=2).choose(Sample.of(np.array([1.0, 3.0]), np.array([])))
        4.0
    """

    uses_anomalous = False

    def __init__(self, *, deviations: float = 3.0) -> None:
        if not at_least(deviations, 0):
            raise AdframeError(f"calibration: deviations={deviations} must be a finite number, 0 or more")
        self.deviations = deviations

    def statistic(self) -> str:
        """Returns the name of the rule with its parameter."""
        return f"mean + {self.deviations:g} std"

    def choose(self, sample: Sample) -> float:
        """Computes the threshold, which may exceed every normal score.

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold.
        """
        mean, deviation = sample.mean_and_std()
        return mean + self.deviations * deviation


class FixedFpr:
    """Chooses the threshold that guarantees a false-positive rate: split conformal prediction (Vovk et al.,
    2005).

    A new normal image exceeds the ceil((n + 1)(1 - fpr))-th smallest of n normal scores with a probability of
    at most `fpr`, whatever their distribution, if it comes from the same distribution as theirs. This needs
    `images_needed(fpr)` normal images: 99 for 1 %. With fewer images the largest score is taken, which
    guarantees 1 / (n + 1). Pixels of one image are not independent draws: for them the threshold
    is an order statistic without a guarantee.

    Args:
        fpr: in (0, 1).

    Example:
        >>> FixedFpr(fpr=0.1).choose(Sample.of(np.arange(19.0), np.array([])))
        17.0
    """

    uses_anomalous = False

    def __init__(self, *, fpr: float = 0.01) -> None:
        if not 0 < fpr < 1:
            raise AdframeError(f"calibration: fpr={fpr} must lie between 0 and 1")
        self.fpr = fpr

    def statistic(self) -> str:
        """Returns the name of the rule with its parameter."""
        return f"fixed_fpr {self.fpr:g}"

    def choose(self, sample: Sample) -> float:
        """Chooses the order statistic of the normal scores that split conformal prediction prescribes.

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold, a normal score.
        """
        return sample.order_statistic(self._rank(int(sample.normal.sum())))

    @property
    def promised_rate(self) -> float:
        """The false-positive rate that the rule promises, in (0, 1)."""
        return self.fpr

    def expected_rate(self, images: int) -> float:
        """Computes the highest mean false-positive rate among other normal images.

        Args:
            images: number of normal validation images.

        Returns:
            A rate in (0, 1), whatever the distribution of the scores; at most `fpr` where there are enough
            images.
        """
        return (images + 1 - self._rank(images)) / (images + 1)

    def _rank(self, images: int) -> int:
        # The product is rounded first, because (9 + 1) * (1 - 0.1) is 9.000000000000002 in floating point.
        return min(math.ceil(round((images + 1) * (1 - self.fpr), 9)), images)


class BestF1:
    """Chooses the threshold with the best F1 on validation, which requires anomalous validation images.

    It lies midway between the lowest score called anomalous and the next lower one, so that neither lies on
    the threshold. Of thresholds with equal F1 the highest is taken.

    Example:
        >>> BestF1().choose(Sample.of(np.array([1.0, 2.0]), np.array([4.0])))
        3.0
    """

    uses_anomalous = True

    def statistic(self) -> str:
        """Returns the name of the rule with its parameter."""
        return "best F1"

    def choose(self, sample: Sample) -> float:
        """Tries every cut between two distinct scores, and the cut below all of them.

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold.

        Raises:
            AdframeError: if there is no anomalous score.
        """
        truth = int(sample.anomalous.sum())
        if not truth:
            raise AdframeError(
                "calibration=f1 needs anomalous validation images and there are none; "
                "set split=mvtec_shift_protocol, which takes some from test, or calibration=quantile"
            )
        found, alarms = (np.cumsum(kind[::-1])[::-1] for kind in (sample.anomalous, sample.normal))
        # The F1 of calling every score from this one up anomalous.
        f1 = 2 * found / (found + alarms + truth)
        best = len(f1) - 1 - int(np.argmax(f1[::-1]))
        if best == 0:
            return float(np.nextafter(sample.values[0], -np.inf))
        below, lowest = sample.values[best - 1], sample.values[best]
        between = (below + lowest) / 2
        return float(between if between < lowest else below)
