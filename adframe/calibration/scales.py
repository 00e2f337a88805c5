"""Maps raw scores to a readable scale that is fitted on normal validation images and keeps ranks.

The scale is for reading, and for adding scores of different methods. Metrics use raw scores; as the ranks are
the same, ranking metrics would be, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError

SCALE_KINDS = ("none", "z_score", "ecdf")


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """A strictly increasing map of raw scores.

    - `z_score`: distance from the mean of the normal images, in their standard deviations.
    - `ecdf`: how rare a score is among normal images, as -log10 of the share that reaches it: 1 is one in 10,
      2 is one in 100. Between validation scores the empirical distribution is interpolated linearly. Beyond
      the largest score, where there is no data, it continues with an exponential tail, so that the scale
      never saturates.
    - `none`: the raw score.

    Attributes:
        kind: `none`, `z_score` or `ecdf`.
        points: z_score: mean and standard deviation; ecdf: the distinct scores, ascending; none: empty.
        shares: ecdf: the share of normal images below or at each score, in (0, 1); otherwise empty.

    Example:
        >>> fit_scale("z_score", np.array([1.0, 3.0])).of(4.0)
        2.0
    """

    kind: str
    points: tuple[float, ...]
    shares: tuple[float, ...] = ()

    def of(self, score: float) -> float:
        """Maps one raw score.

        Args:
            score: raw image score.

        Returns:
            Its value on the scale.
        """
        if self.kind == "z_score":
            return (score - self.points[0]) / self.points[1]
        return _rarity(score, self.points, self.shares) if self.kind == "ecdf" else score


def fit_scale(kind: str, normal: np.ndarray) -> ScoreScale:
    """Fits a scale.

    Args:
        kind: `none`, `z_score` or `ecdf`.
        normal: (n,) raw scores of normal images, n >= 1.

    Returns:
        The fitted scale.

    Raises:
        AdframeError: if the kind is unknown.
    """
    if kind not in SCALE_KINDS:
        raise AdframeError(
            f"calibration.normalisation={kind} is not possible; choose one of: {', '.join(SCALE_KINDS)}"
        )
    if kind == "z_score":
        return ScoreScale(kind, (float(np.mean(normal)), float(np.std(normal)) or 1.0))
    if kind == "ecdf":
        values, counts = np.unique(normal, return_counts=True)
        shares = (np.cumsum(counts) - counts / 2 + 0.5) / (len(normal) + 1)  # ties share their mean rank
        return ScoreScale(kind, tuple(values.tolist()), tuple(shares.tolist()))
    return ScoreScale(kind, ())


def _rarity(score: float, points: tuple[float, ...], shares: tuple[float, ...]) -> float:
    """Returns -log10 of the share of normal images that reach a score."""
    width = (points[-1] - points[0]) or 1.0
    if score > points[-1]:
        return _minus_log(shares[-1]) + (score - points[-1]) / width * math.log10(len(points) + 1)
    # The share below falls towards 0, but never reaches it.
    if score < points[0]:
        return _minus_log(shares[0] / (1 + (points[0] - score) / width))
    return _minus_log(float(np.interp(score, points, shares)))


def _minus_log(share: float) -> float:
    """Computes -log10(1 - share) without loss of precision for the smallest shares."""
    return -math.log1p(-share) / math.log(10)
