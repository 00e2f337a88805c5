"""Whether two runs differ by more than chance, on the same images.

Two tests of one category (DeLong's of AUROC, the bootstrap of the difference), one across categories
(Wilcoxon's signed ranks), and Holm's correction for having asked several questions at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from adframe.errors import AdframeError
from adframe.stats.bootstrap import interval, kinds, multiplicities
from adframe.stats.estimates import Difference
from adframe.stats.weighted_metrics import finite, weighted_metrics


def delong(scores_a: np.ndarray, scores_b: np.ndarray, *, labels: np.ndarray) -> tuple[float, float]:
    """AUROC of b minus AUROC of a on the same images, and the two-sided p of no difference.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988), by midranks (Sun & Xu, IEEE Signal
    Processing Letters 21, 2014): O(n log n) where the definition compares every pair. It takes images
    for independent: where several show one part, p is too small and the bootstrap by group is right.

    Args:
        scores_a: (n,) raw scores of the first run.
        scores_b: (n,) raw scores of the second, of the same images.
        labels: (n,) bool, True for anomalous.

    Returns:
        The difference, NaN where a class is missing; and p, NaN where the method has nothing to go by:
        one image of a class, or a difference whose estimated variance is zero. Equal rankings give 1.

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
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
    if variance <= np.finfo(float).eps ** 2:  # placements are shares: what is left is rounding
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
    """A ranking metric of b minus that of a, both on the same resamples of the same images.

    p is twice the share of resamples on the other side of zero, one more counted on each side so
    that it is never 0 (Davison & Hinkley, Bootstrap Methods and their Application, 1997, 4.2.1).

    Args:
        scores_a: (n,) raw scores of the first run.
        scores_b: (n,) raw scores of the second, of the same images.
        labels: (n,) bool, True for anomalous.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        metric: `image/auroc`, `image/ap`, `image/f1_max` or `image/fpr95`.
        resamples: how many to draw.
        level: of the interval, in (0, 1).
        seed: of the draws.

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
    """
    a, b, truth = _paired(scores_a, scores_b, labels)
    strata = kinds(truth, subsets=np.full(len(truth), ""))
    weights = multiplicities(strata, groups=groups, values=(a, b), resamples=resamples, seed=(seed,))
    drawn, seen = (
        weighted_metrics(b, labels=truth, weights=counts)[metric]
        - weighted_metrics(a, labels=truth, weights=counts)[metric]
        for counts in (weights, np.ones((1, len(truth)), np.uint16))
    )
    return difference_of(drawn, value=float(seen[0]), level=level)


def difference_of(drawn: np.ndarray, *, value: float, level: float) -> Difference:
    """A difference from (resamples,) bootstrap differences and the one that was seen."""
    low, high = interval(drawn, level=level)
    if not math.isfinite(low):
        return Difference(value, low, high, math.nan)
    tail = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
    return Difference(value, low, high, min(2 * (tail + 1) / (len(drawn) + 1), 1.0))


def wilcoxon(values_a: Sequence[float], values_b: Sequence[float]) -> float:
    """The two-sided p of Wilcoxon's signed-rank test, one pair a category (Demsar, JMLR 7, 2006, 3.1.3).

    Pairs with NaN are left out, and pairs without a difference too, as Wilcoxon did; NaN without any
    pair, 1 where no pair differs. With fewer than six pairs that differ, no result is below 0.05.
    """
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if len(a) != len(b):
        raise AdframeError(f"{len(a)} values against {len(b)}: give a pair for every category")
    both = np.isfinite(a) & np.isfinite(b)
    # The same difference of two AUROCs must tie, whatever the last bits say.
    differences = np.round(b[both] - a[both], 12)
    if not len(differences):
        return math.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being several (Holm, Scandinavian Journal of Statistics 6, 1979), in their order.

    NaN is no test that was made: it stays NaN and does not count.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def _placements(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components: against which share of the other class each image is ranked rightly.

    Those of the anomalous images, then those of the normal ones; ties count half.
    """
    positives, negatives = truth.sum(), (~truth).sum()
    ranks = stats.rankdata(scores)  # midranks
    above = (ranks[truth] - stats.rankdata(scores[truth])) / negatives
    below = 1 - (ranks[~truth] - stats.rankdata(scores[~truth])) / positives
    return above, below


def _paired(
    scores_a: np.ndarray, scores_b: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, truth = finite(scores_a), finite(scores_b), np.asarray(labels, dtype=bool)
    if len({len(a), len(b), len(truth)}) > 1:
        raise AdframeError(
            f"{len(a)} scores against {len(b)}, with {len(truth)} labels: "
            "both runs must have scored the same images"
        )
    return a, b, truth
