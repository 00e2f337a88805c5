"""Computes calibration error and Brier score on resampled images."""

from __future__ import annotations

import numpy as np

from adframe.stats.calibration_error import bins_of


def probability_resampled(
    probabilities: np.ndarray, *, labels: np.ndarray, weights: np.ndarray, bins: int = 10
) -> dict[str, np.ndarray]:
    """Computes the numbers of `stats.calibration_error` on every resample.

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) bool, True for anomalous images.
        weights: (resamples, n) how often each image counts (`bootstrap.multiplicities`).
        bins: number of bins of equal width.

    Returns:
        (resamples,) by metric name.
    """
    total = weights.sum(1, dtype=np.int64)
    excess = probabilities - labels
    place = bins_of(probabilities, bins=bins)
    # Within a bin the distance of the means is the sum of the differences over the count.
    error = sum(np.abs(weights @ np.where(place == number, excess, 0.0)) for number in range(bins))
    return {"image/ece": error / total, "image/brier": weights @ excess**2 / total}
