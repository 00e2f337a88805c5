"""Scores that are too high for their sample: a limit by median and median absolute deviation."""

from __future__ import annotations

import numpy as np

# Makes the median absolute deviation an estimate of the standard deviation of normally distributed values.
MAD_TO_SD = 1.4826


def high_limit(scores: np.ndarray, *, deviations: float) -> float:
    """Computes the limit above which a score is an outlier; up to half of the scores may be outliers.

    Args:
        scores: (n,) finite scores.
        deviations: number of scaled median absolute deviations above the median.

    Returns:
        The limit; infinity where more than half of the scores are equal, so that no scale is known.

    Example:
        >>> round(high_limit(np.array([1.0, 2.0, 3.0, 4.0, 90.0]), deviations=5), 2)
        10.41
    """
    centre = float(np.median(scores))
    scale = MAD_TO_SD * float(np.median(np.abs(scores - centre)))
    return centre + deviations * scale if scale > 0 else float("inf")


def high_outliers(scores: np.ndarray, *, deviations: float, most: float) -> tuple[np.ndarray, float]:
    """Marks the outliers of a sample, but not more than a share of it.

    Args:
        scores: (n,) finite scores.
        deviations: as in `high_limit`.
        most: largest share of the scores that is marked, in [0, 1]; the highest ones are.

    Returns:
        (n,) bool, and the limit.

    Example:
        >>> marked, _ = high_outliers(np.array([1.0, 2.0, 3.0, 80.0, 90.0]), deviations=5, most=0.2)
        >>> marked.tolist()
        [False, False, False, False, True]
    """
    limit = high_limit(scores, deviations=deviations)
    marked = np.zeros(len(scores), bool)
    highest = np.argsort(-scores, kind="stable")[: int(most * len(scores))]
    marked[highest] = scores[highest] > limit
    return marked, limit
