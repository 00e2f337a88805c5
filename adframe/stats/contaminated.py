"""Bounds on how often new scores exceed calibration scores, where a stated share of images is anomalous.

The robust test of drift rests on them. It expects that every image is anomalous with a probability of at most
`share`, whatever happened before, and allows anomalies any scores, also such as an adversary chooses who
knows everything up to then. Conformal p values have no guarantee here: anomalies would join the scores among
which normal images are ranked. Hence the calibration scores alone are the reference.

Let c be the k-th smallest of n calibration scores. The chance U that a normal image exceeds it is unknown,
and depends on the draw of the calibration images; for continuous scores it has the distribution
Beta(n + 1 - k, k), and ties make it smaller (Wilks, Annals of Mathematical Statistics 12, 1941). With its
upper quantile u at a chance delta, U <= u with a probability of 1 - delta, and then an image of the stream
exceeds c with a probability of at most u + share (1 - u). Bets against that have the guarantee of
`stats.betting` up to delta, which is part of alpha.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

_QUANTILES = (0.5, 0.75, 0.9, 1.0)  # places of the levels among the calibration scores


def exceedance_levels(
    calibration: np.ndarray, *, share: float, delta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses levels, and bounds the chance that an image of the stream exceeds them.

    Args:
        calibration: (n,) scores of normal images, n >= 1.
        share: highest share of anomalous images, in [0, 1).
        delta: chance that one of the bounds is wrong, over the draw of the calibration images; each of the
            levels gets an equal part of it.

    Returns:
        (J,) calibration scores, ascending, and (J,) bounds, each in (0, 1).

    Example:
        >>> levels, bounds = exceedance_levels(np.arange(1.0, 1001.0), share=0.05, delta=0.005)
        >>> levels.tolist(), bounds.round(3).tolist()
        ([500.0, 750.0, 900.0, 1000.0], [0.571, 0.329, 0.175, 0.056])
    """
    ordered = np.sort(np.asarray(calibration, dtype=np.float64))
    count = len(ordered)
    # Few scores have the same score at several quantiles.
    ranks = np.unique([max(1, int(np.ceil(quantile * count))) for quantile in _QUANTILES])
    chance = stats.beta.isf(delta / len(ranks), count + 1 - ranks, ranks)
    return ordered[ranks - 1], np.asarray(chance + share * (1 - chance), dtype=np.float64)
