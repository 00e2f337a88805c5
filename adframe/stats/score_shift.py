"""Tests whether two sets of normal images have image scores of one distribution.

Three known tests are combined, because each is sensitive to something else: Mann and Whitney's to a shift of
all scores, Kolmogorov and Smirnov's to any difference of the distributions, and the exceedance test to more
false alarms at a threshold. The smallest p value is multiplied by the number of tests (Bonferroni), so that
the result keeps its level whatever the dependence of the three.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats

from adframe.stats.proportions import excess_alarms_p

_RESAMPLES = 2999  # of Mann and Whitney's test for few scores with ties, where no exact distribution is known
_FEW = 8  # up to this number of scores in one sample the normal approximation is not used


def score_shift_p(
    known: np.ndarray,
    new: np.ndarray,
    *,
    alarms: tuple[tuple[int, int], tuple[int, int]] | None = None,
    upward: bool = False,
    seed: int = 0,
) -> float:
    """Computes the p value that known and new normal images have scores of one distribution.

    Few images cannot give a small p value: those of the tests are exact, or conservative with ties.

    Args:
        known: (n,) scores of one sample, one per independent part.
        new: (m,) scores of the other sample.
        alarms: ((j, n), (alarms, m)): j of the known images on which the threshold was chosen lie above it,
            and so many of the new ones; None leaves the exceedance test out. The threshold must be an order
            statistic of the known scores.
        upward: whether only higher new scores count; otherwise lower ones count as well.
        seed: seed of the permutations, which are only used for few scores with ties.

    Returns:
        The corrected p value in [0, 1]; NaN where one sample is empty.

    Example:
        >>> known, new = np.arange(20.0), np.arange(20.0) + 30
        >>> score_shift_p(known, new) < 1e-6, score_shift_p(known, known)
        (True, 1.0)
    """
    if not len(known) or not len(new):
        return math.nan
    ties = len(np.unique(np.concatenate([known, new]))) < len(known) + len(new)
    method: object = "asymptotic" if ties else "auto"  # `auto` is exact for few scores without ties
    fewest = min(len(known), len(new))
    if ties and fewest <= _FEW:
        method = stats.PermutationMethod(n_resamples=_RESAMPLES, rng=np.random.default_rng(seed))
    found = []
    # scipy permutes no single score; Kolmogorov and Smirnov's test knows as much about one.
    if not (ties and fewest == 1):
        rank = stats.mannwhitneyu(new, known, alternative="greater" if upward else "two-sided", method=method)
        found.append(float(rank.pvalue))
    # `less` means that the distribution function of the new scores is lower, so that the scores are higher.
    with warnings.catch_warnings():
        # scipy says so where rounding lifts an exact p value of 1 above 1
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
        distance = stats.ks_2samp(new, known, alternative="less" if upward else "two-sided")
    found.append(float(distance.pvalue))
    if alarms is not None and math.isfinite(excess := excess_alarms_p(*alarms)):
        found.append(excess)
    return min(1.0, len(found) * min(found))


def comparable_scores(
    known: Sequence[np.ndarray], new: Sequence[np.ndarray], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Reduces each part with several images to one score.

    Images of one part are similar, so that only parts are independent. The score of a part is the mean over
    as many of its images as the smallest part of both samples has, drawn at random. The number is the same
    for all parts, because the maximum and the scatter of the mean depend on it, and the samples may differ in
    it for no other reason than how they were photographed.

    Args:
        known: the scores of each part's images.
        new: the same of the other sample.
        seed: seed of the draws.

    Returns:
        One score per part of each sample.

    Example:
        >>> one, two = comparable_scores([np.array([1.0]), np.array([3.0])], [np.array([2.0, 2.0])])
        >>> one.tolist(), two.tolist()
        ([1.0, 3.0], [2.0])
    """
    count = min((len(part) for part in (*known, *new)), default=0)
    rng = np.random.default_rng(seed)
    one, two = (
        np.array([rng.choice(part, count, replace=False).mean() for part in parts]) for parts in (known, new)
    )
    return one, two
