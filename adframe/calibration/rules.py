"""Rules that choose a threshold from validation scores, of images or of pixels alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adframe.errors import AdframeError, at_least


@dataclass(frozen=True, slots=True)
class Sample:
    """Validation scores and how often each was seen: few images, or many millions of pixels."""

    values: np.ndarray  # (n,) float64, rising, all different
    normal: np.ndarray  # (n,) int64
    anomalous: np.ndarray  # (n,) int64

    @classmethod
    def of(cls, normal: np.ndarray, anomalous: np.ndarray) -> Sample:
        """From (n,) and (m,) single scores."""
        scores = np.concatenate([normal, anomalous]).astype(np.float64)
        values, places = np.unique(scores, return_inverse=True)
        counts = (np.bincount(part, minlength=len(values)) for part in np.split(places, [len(normal)]))
        return cls(values, *counts)

    def mean_and_std(self) -> tuple[float, float]:
        """Mean and population standard deviation of the normal scores, in two passes: a large mean
        costs no digits.
        """
        mean = float(np.average(self.values, weights=self.normal))
        return mean, math.sqrt(float(np.average((self.values - mean) ** 2, weights=self.normal)))

    def order_statistic(self, rank: int) -> float:
        """The rank-th smallest normal score, counted from 1."""
        return float(self.values[np.searchsorted(np.cumsum(self.normal), rank)])


class Rule(Protocol):
    """What every rule offers. `choose` may take for granted that there are normal scores."""

    uses_anomalous: bool  # whether it looks at anomalous validation images

    def statistic(self) -> str:
        """The rule's name with its parameters, stored beside the threshold."""
        ...

    def choose(self, sample: Sample) -> float:
        """The threshold; what lies strictly above it is called anomalous."""
        ...


class Quantile:
    """The q-quantile of normal scores; the next larger score where q falls between two.

    Args:
        q: in (0, 1); 0.995 asks for one false alarm in 200 normal images.
    """

    uses_anomalous = False

    def __init__(self, *, q: float = 0.995) -> None:
        if not 0 < q < 1:
            raise AdframeError(f"calibration: q={q} must lie between 0 and 1")
        self.q = q

    def statistic(self) -> str:
        """Names the rule."""
        return f"quantile {self.q:g}"

    def choose(self, sample: Sample) -> float:
        """The score that a share q of the normal ones stays at or below (numpy's method `higher`)."""
        last = int(sample.normal.sum()) - 1
        return sample.order_statistic(math.ceil(round(self.q * last, 9)) + 1)


class MeanStd:
    """Mean plus so many (population) standard deviations of normal scores.

    Args:
        deviations: 0 or more; 3 on pixels is what MVTec AD 2's makers suggest.
    """

    uses_anomalous = False

    def __init__(self, *, deviations: float = 3.0) -> None:
        if not at_least(deviations, 0):
            raise AdframeError(f"calibration: deviations={deviations} must be a finite number, 0 or more")
        self.deviations = deviations

    def statistic(self) -> str:
        """Names the rule."""
        return f"mean + {self.deviations:g} std"

    def choose(self, sample: Sample) -> float:
        """A point between or beyond the normal scores."""
        mean, deviation = sample.mean_and_std()
        return mean + self.deviations * deviation


class FixedFpr:
    """The threshold that promises a false positive rate: split conformal prediction (Vovk et al., 2005).

    A new normal image exceeds the ceil((n + 1)(1 - fpr))-th smallest of n normal scores with a
    probability of at most `fpr`, whatever their distribution. Where n is too small for the promise,
    the largest score is taken; the floor 1 / (n + 1) is what can then be promised. Pixels of one
    image are no independent draws: for them it is an order statistic and no promise.

    Args:
        fpr: in (0, 1).
    """

    uses_anomalous = False

    def __init__(self, *, fpr: float = 0.01) -> None:
        if not 0 < fpr < 1:
            raise AdframeError(f"calibration: fpr={fpr} must lie between 0 and 1")
        self.fpr = fpr

    def statistic(self) -> str:
        """Names the rule."""
        return f"fixed_fpr {self.fpr:g}"

    def choose(self, sample: Sample) -> float:
        """An order statistic of the normal scores."""
        n = int(sample.normal.sum())
        # The product is rounded first: (9 + 1) * (1 - 0.1) is 9.000000000000002 in floating point.
        return sample.order_statistic(min(math.ceil(round((n + 1) * (1 - self.fpr), 9)), n))


class BestF1:
    """The threshold with the best F1 on validation; needs anomalous validation images.

    It lies midway between the lowest score called anomalous and the next lower one, so that neither
    sits on the edge; of equally good ones the highest is taken.
    """

    uses_anomalous = True

    def statistic(self) -> str:
        """Names the rule."""
        return "best F1"

    def choose(self, sample: Sample) -> float:
        """Tries every cut between two different scores, and the one below all."""
        truth = int(sample.anomalous.sum())
        if not truth:
            raise AdframeError(
                "calibration=f1 needs anomalous validation images and there are none; "
                "split=mvtec_shift_protocol takes some from test, or choose calibration=quantile"
            )
        found, alarms = (np.cumsum(kind[::-1])[::-1] for kind in (sample.anomalous, sample.normal))
        f1 = 2 * found / (found + alarms + truth)  # calling anomalous what is at or above each score
        best = len(f1) - 1 - int(np.argmax(f1[::-1]))
        if best == 0:
            return float(np.nextafter(sample.values[0], -np.inf))
        below, lowest = sample.values[best - 1], sample.values[best]
        between = (below + lowest) / 2
        return float(between if between < lowest else below)
