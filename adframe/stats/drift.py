"""Measures the drift of the scores of the same normal images between two conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adframe.contracts import GOOD
from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.weighted_metrics import finite_scores


def score_drift(
    before: np.ndarray,
    after: np.ndarray,
    *,
    groups: Sequence[str],
    paths: Sequence[str],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int,
) -> tuple[float, float, float]:
    """Computes the mean of `after` minus that of `before`, in standard deviations of `before`.

    A drift of 1 moves the normal images by as much as they vary among themselves; a threshold at mean + 3 std
    is then 2 std above their mean. Drift is defined for normal images only.

    Args:
        before: (n,) raw scores of normal images.
        after: (n,) raw scores of the same images under the other condition.
        groups: (n,) images of one part share a group; "" for an image on its own.
        paths: (n,) paths that identify the images.
        resamples: number of resamples for the interval.
        level: level of the interval, in (0, 1).
        seed: seed of the draws.

    Returns:
        The drift and its interval; NaN where `before` does not vary.

    Raises:
        AdframeError: if a score is NaN or infinite.
    """
    first, second = finite_scores(before), finite_scores(after)
    weights = multiplicities(
        strata_of(np.zeros(len(first), bool), subsets=np.full(len(first), GOOD)),
        groups=groups,
        values=(np.array(paths, dtype=str),),
        resamples=resamples,
        seed=(seed,),
    )
    once = np.ones((1, len(first)))
    low, high = percentile_interval(_weighted_drift(first, second, weights.astype(np.float64)), level=level)
    return float(_weighted_drift(first, second, once)[0]), low, high


def _weighted_drift(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns (r,) drifts of (r, n) weights."""
    total = weights.sum(1)
    # Against cancellation in the variance below.
    centred = before - before.mean()
    mean = weights @ centred / total
    variance = weights @ centred**2 / total - mean**2
    moved = weights @ (after - before) / total
    spread = np.sqrt(np.maximum(variance, 0))
    drifts: np.ndarray = np.divide(moved, spread, out=np.full(len(moved), np.nan), where=spread > 1e-12)
    return drifts
