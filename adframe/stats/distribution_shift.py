"""Plain measures of how a sample of scores differs from another one; they have no guarantee over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

_NORMAL_IQR = 1.3489795003921634  # interquartile range of a normal distribution of standard deviation 1
_MOST_BINS = 10
_FEWEST_PER_BIN = 5  # reference scores in each bin of the index


@dataclass(frozen=True, slots=True)
class DistributionShift:
    """How new scores differ from reference scores.

    Attributes:
        median_shift: median of the new scores minus that of the reference, in standard deviations of the
            reference (its interquartile range / 1.349); NaN where the reference does not vary.
        spread_ratio: interquartile range of the new scores divided by that of the reference; NaN as above.
        psi: population stability index, the sum of (b - a) log(b / a) over bins that hold equal shares a of
            the reference and shares b of the new scores.
        psi_bins: number of these bins; 1 where the reference is too small, and the index is 0.
        psi_expected: about the index of two samples of these sizes from one distribution,
            (bins - 1) (1 / n + 1 / m); the usual limits of 0.1 and 0.25 mean nothing below it.
        ks: largest distance of the two distribution functions (Kolmogorov & Smirnov), in [0, 1].
        ks_p: its p value, for a single look.
    """

    median_shift: float
    spread_ratio: float
    psi: float
    psi_bins: int
    psi_expected: float
    ks: float
    ks_p: float


def distribution_shift(reference: np.ndarray, new: np.ndarray) -> DistributionShift:
    """Measures how new scores differ from reference scores.

    Source of the index: Siddiqi, Credit Risk Scorecards (2006); of its expected value: Yurdakul,
    Statistical Properties of Population Stability Index (2018). Half an image is added to every bin, because
    an empty one would make the index infinite.

    Args:
        reference: (n,) finite scores, n >= 1.
        new: (m,) finite scores, m >= 1.

    Returns:
        The measures.

    Example:
        >>> known = np.arange(100.0)
        >>> found = distribution_shift(known, known + 30)
        >>> round(found.median_shift, 2), found.spread_ratio, round(found.ks, 2), found.psi > 0.25
        (0.82, 1.0, 0.3, True)
    """
    low, middle, high = np.quantile(reference, (0.25, 0.5, 0.75))
    new_low, new_middle, new_high = np.quantile(new, (0.25, 0.5, 0.75))
    spread = float(high - low)
    bins = int(np.clip(len(reference) // _FEWEST_PER_BIN, 1, _MOST_BINS))
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    shares = [
        (np.bincount(np.searchsorted(edges, scores), minlength=bins) + 0.5) / (len(scores) + bins / 2)
        for scores in (reference, new)
    ]
    test = stats.ks_2samp(new, reference)
    return DistributionShift(
        median_shift=float(new_middle - middle) / (spread / _NORMAL_IQR) if spread else math.nan,
        spread_ratio=float(new_high - new_low) / spread if spread else math.nan,
        psi=float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()),
        psi_bins=bins,
        psi_expected=(bins - 1) * (1 / len(reference) + 1 / len(new)),
        ks=float(test.statistic),
        ks_p=float(test.pvalue),
    )
