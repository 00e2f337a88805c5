"""Tests whether two runs differ significantly on the same images.

Two tests for one category (DeLong's of AUROC, the bootstrap of the difference), one across categories
(Wilcoxon's signed ranks), and Holm's correction for several tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from adframe.errors import AdframeError
from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.estimates import Difference
from adframe.stats.weighted_metrics import finite_scores, weighted_metrics


def delong(scores_a: np.ndarray, scores_b: np.ndarray, *, labels: np.ndarray) -> tuple[float, float]:
    """Computes AUROC of b minus AUROC of a on the same images, and the two-sided p value of no difference.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988), by midranks (Sun & Xu, IEEE Signal Processing
    Letters 21, 2014): O(n log n), where the definition compares every pair. It treats images as independent:
    where several images show one part, p is too small, and the bootstrap by group is right.

    Args:
        scores_a: (n,) raw scores of the first run.
        scores_b: (n,) raw scores of the second run, for the same images.
        labels: (n,) bool, True for anomalous images.

    Returns:
        The difference, NaN where a class is missing; and p, NaN where it is not defined: a class has one
        image, or the estimated variance of the difference is zero. Equal rankings give 1.

    Raises:
        AdframeError: if a score is NaN or infinite, or the lengths differ.
    """
    a, b, truth = _paired(scores_a, scores_b, labels)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return math.nan, math.nan
    parts = [_placements(scores, truth) for scores in (a, b)]
    difference = float(parts[1][0].mean() - parts[0][0].mean())
    if positives < 2 or negatives < 2:
        return difference, math.nan
    anomalous, normal = (second - first for first, second in zip(*parts, strict=True))
    variance = float(anomalous.var(ddof=1) / positives + normal.var(ddof=1) / negatives)
    # Placements are shares: a smaller variance is rounding.
    if variance <= np.finfo(float).eps ** 2:
        return difference, 1.0 if math.isclose(difference, 0, abs_tol=1e-12) else math.nan
    return difference, float(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)))


def bootstrap_difference(
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    *,
    labels: np.ndarray,
    groups: Sequence[str],
    metric: str = "image/auroc",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int,
) -> Difference:
    """Computes a ranking metric of b minus that of a, both on the same resamples of the same images.

    p is twice the share of resamples on the other side of zero, with one more counted on each side so that it
    is never 0 (Davison & Hinkley, Bootstrap Methods and their Application, 1997, 4.2.1).

    Args:
        scores_a: (n,) raw scores of the first run.
        scores_b: (n,) raw scores of the second run, for the same images.
        labels: (n,) bool, True for anomalous images.
        groups: (n,) images of one part share a group; "" for an image on its own.
        metric: `image/auroc`, `image/ap`, `image/f1_max` or `image/fpr95`.
        resamples: number of resamples.
        level: level of the interval, in (0, 1).
        seed: seed of the draws.

    Returns:
        The difference with its interval and p value.

    Raises:
        AdframeError: if a score is NaN or infinite, or the lengths differ.
    """
    a, b, truth = _paired(scores_a, scores_b, labels)
    strata = strata_of(truth, subsets=np.full(len(truth), ""))
    weights = multiplicities(strata, groups=groups, values=(a, b), resamples=resamples, seed=(seed,))
    drawn, observed = (
        weighted_metrics(b, labels=truth, weights=counts)[metric]
        - weighted_metrics(a, labels=truth, weights=counts)[metric]
        for counts in (weights, np.ones((1, len(truth)), np.uint16))
    )
    return difference_of(drawn, value=float(observed[0]), level=level)


def difference_of(drawn: np.ndarray, *, value: float, level: float) -> Difference:
    """Computes interval and p value of a difference from its resamples.

    Args:
        drawn: (resamples,) bootstrap differences.
        value: the difference on the original images.
        level: level of the interval, in (0, 1).

    Returns:
        The difference; interval and p are NaN where a resample is not defined.
    """
    low, high = percentile_interval(drawn, level=level)
    if not math.isfinite(low):
        return Difference(value, low, high, math.nan)
    tail = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
    return Difference(value, low, high, min(2 * (tail + 1) / (len(drawn) + 1), 1.0))


def wilcoxon(values_a: Sequence[float], values_b: Sequence[float]) -> float:
    """Computes the two-sided p value of Wilcoxon's signed-rank test, one pair per category (Demsar, JMLR 7,
    2006, 3.1.3).

    Pairs with NaN are left out, and pairs without a difference too, as in Wilcoxon's test. With fewer than
    six pairs that differ, p cannot be below 0.05.

    Args:
        values_a: values of the first run, one per category.
        values_b: values of the second run, in the same order.

    Returns:
        The p value; NaN without any pair, 1 where no pair differs.

    Raises:
        AdframeError: if the lengths differ.
    """
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if len(a) != len(b):
        raise AdframeError(f"{len(a)} values and {len(b)} values: give a pair for every category")
    known = np.isfinite(a) & np.isfinite(b)
    # Equal differences of AUROCs must tie, whatever their last bits are.
    differences = np.round(b[known] - a[known], 12)
    if not len(differences):
        return math.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p values for multiple tests (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: p values in any order; NaN stands for a test that was not made and does not count.

    Returns:
        Adjusted p values in the same order; NaN stays NaN.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def _placements(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns DeLong's structural components: the share of the other class against which each image is ranked
    rightly.

    First those of the anomalous images, then those of the normal ones; ties count half.
    """
    positives, negatives = truth.sum(), (~truth).sum()
    ranks = stats.rankdata(scores)  # midranks
    above = (ranks[truth] - stats.rankdata(scores[truth])) / negatives
    below = 1 - (ranks[~truth] - stats.rankdata(scores[~truth])) / positives
    return above, below


def _paired(
    scores_a: np.ndarray, scores_b: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, truth = finite_scores(scores_a), finite_scores(scores_b), np.asarray(labels, dtype=bool)
    if len({len(a), len(b), len(truth)}) > 1:
        raise AdframeError(
            f"{len(a)} scores and {len(b)} scores, with {len(truth)} labels: "
            "both runs must have scored the same images"
        )
    return a, b, truth
