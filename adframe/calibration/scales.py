"""Raw scores on a scale that people can read, fitted on normal validation images. Ranks are kept.

What ranks keep, metrics keep: these numbers are for reading and for adding scores of different
methods, never for measuring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError

SCALE_KINDS = ("none", "z_score", "ecdf")


@dataclass(frozen=True, slots=True)
class Scale:
    """A strictly rising map of raw scores.

    - `z_score`: distance from the normal images' mean, in their standard deviations.
    - `ecdf`: how rare such a score is among normal images, as -log10 of the share that reaches it:
      1 is one in 10, 2 one in 100. Between validation scores the empirical distribution is joined
      by straight lines; beyond the largest, where nothing is known, it goes on with an exponential
      tail, so that the scale is never full.
    - `none`: the raw score.
    """

    kind: str
    points: tuple[float, ...]  # z_score: mean, deviation; ecdf: the distinct scores, rising
    shares: tuple[float, ...] = ()  # ecdf: the share of normal images below or at each, in (0, 1)

    def of(self, score: float) -> float:
        """One raw score on the scale."""
        if self.kind == "z_score":
            return (score - self.points[0]) / self.points[1]
        return _rarity(score, self.points, self.shares) if self.kind == "ecdf" else score


def fit_scale(kind: str, normal: np.ndarray) -> Scale:
    """Fits a scale on (n,) raw scores of normal images, n >= 1.

    Raises:
        AdframeError: another kind than those in `SCALE_KINDS`.
    """
    if kind not in SCALE_KINDS:
        raise AdframeError(f"calibration.normalisation={kind} is not possible; it is {', '.join(SCALE_KINDS)}")
    if kind == "z_score":
        return Scale(kind, (float(np.mean(normal)), float(np.std(normal)) or 1.0))
    if kind == "ecdf":
        values, counts = np.unique(normal, return_counts=True)
        shares = (np.cumsum(counts) - counts / 2 + 0.5) / (len(normal) + 1)  # ties share a middle rank
        return Scale(kind, tuple(values.tolist()), tuple(shares.tolist()))
    return Scale(kind, ())


def _rarity(score: float, points: tuple[float, ...], shares: tuple[float, ...]) -> float:
    """-log10 of the share of normal images that reach a score."""
    width = (points[-1] - points[0]) or 1.0
    if score > points[-1]:
        return _minus_log(shares[-1]) + (score - points[-1]) / width * math.log10(len(points) + 1)
    if score < points[0]:  # the share below falls towards 0, and never gets there
        return _minus_log(shares[0] / (1 + (points[0] - score) / width))
    return _minus_log(float(np.interp(score, points, shares)))


def _minus_log(share: float) -> float:
    """-log10(1 - share), exact for the smallest shares."""
    return -math.log1p(-share) / math.log(10)
