"""How far the scores of the same normal images move between two conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adframe.contracts import GOOD
from adframe.stats.bootstrap import interval, kinds, multiplicities
from adframe.stats.weighted_metrics import finite


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
    """The mean of `after` minus that of `before`, in standard deviations of `before`.

    A drift of 1 moves the normal images by as much as they differ among themselves; a threshold at
    mean + 3 std then lies 2 std above them. Drift is a property of normal images alone.

    Args:
        before: (n,) raw scores of normal images.
        after: (n,) scores of the same images under the other condition.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        paths: (n,) that tell the images apart.
        resamples: how many to draw for the interval.
        level: of the interval, in (0, 1).
        seed: of the draws.

    Returns:
        The drift and its interval; NaN where `before` does not vary.

    Raises:
        AdframeError: a score is NaN or infinite.
    """
    first, second = finite(before), finite(after)
    weights = multiplicities(
        kinds(np.zeros(len(first), bool), subsets=np.full(len(first), GOOD)),
        groups=groups,
        values=(np.array(paths, dtype=str),),
        resamples=resamples,
        seed=(seed,),
    )
    once = np.ones((1, len(first)))
    low, high = interval(_drift(first, second, weights.astype(np.float64)), level=level)
    return float(_drift(first, second, once)[0]), low, high


def _drift(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(r, n) weights to (r,) drifts."""
    total = weights.sum(1)
    centred = before - before.mean()  # against cancellation in the variance
    mean = weights @ centred / total
    variance = weights @ centred**2 / total - mean**2
    moved = weights @ (after - before) / total
    spread = np.sqrt(np.maximum(variance, 0))
    drifts: np.ndarray = np.divide(moved, spread, out=np.full(len(moved), np.nan), where=spread > 1e-12)
    return drifts
