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


class Quantile:
    """Chooses the q-quantile of normal scores; the next larger score where q falls between two.

    Args:
        q: in (0, 1); 0.995 corresponds to one false alarm in 200 normal images.

    Example:
        >>> rule = Quantile(q=0.995)
        >>> rule.statistic(), rule.choose(Sample.of(np.arange(101.0), np.array([])))
        ('quantile 0.995', 100.0)
    """

    uses_anomalous = False

    def __init__(self, *, q: float = 0.995) -> None:
        if not 0 < q < 1:
            raise AdframeError(f"calibration: q={q} must lie between 0 and 1")
        self.q = q

    def statistic(self) -> str:
        """Returns the name of the rule with its parameter."""
        return f"quantile {self.q:g}"

    def choose(self, sample: Sample) -> float:
        """Chooses the score that a share q of the normal scores does not exceed (numpy's method `higher`).

        Args:
            sample: validation scores, with at least one normal score.

        Returns:
            The threshold, a normal score.
        """
        last = int(sample.normal.sum()) - 1
        # The product is rounded first, because floating point can put it just above a whole number.
        return sample.order_statistic(math.ceil(round(self.q * last, 9)) + 1)


class MeanStd:
    """Chooses the mean plus a number of (population) standard deviations of normal scores.

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
    at most `fpr`, whatever their distribution. Where n is too small for this guarantee, the largest score is
    taken, which guarantees 1 / (n + 1). Pixels of one image are not independent draws: for them the threshold
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
        n = int(sample.normal.sum())
        # The product is rounded first, because (9 + 1) * (1 - 0.1) is 9.000000000000002 in floating point.
        return sample.order_statistic(min(math.ceil(round((n + 1) * (1 - self.fpr), 9)), n))


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
