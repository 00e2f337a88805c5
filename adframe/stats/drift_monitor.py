"""Watches a stream of scores for drift, with a bound on the chance of a false alarm over the whole future."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError
from adframe.stats.betting import (
    BOTH,
    DOWN,
    UP,
    ChangeMixture,
    ShiftBets,
    check_direction,
    check_level,
    exceedance_log_bets,
)
from adframe.stats.conformal import ConformalStream
from adframe.stats.contaminated import exceedance_levels

BOUNDS_SHARE = 0.2  # part of alpha that the robust form spends on its bounds, the rest is for the bets


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """How a stream is watched.

    Attributes:
        alpha: highest chance of a false alarm over the whole future, in (0, 1).
        share: highest share of anomalous images that is expected and gives no alarm, in [0, 1). 0 takes the
            conformal test martingale, above 0 the robust form.
        direction: `up` looks for higher scores, `down` for lower ones, `both` for any change.
        seed: seed of the draws that break ties between scores; chosen before the scores are known.

    Raises:
        AdframeError: a value is not possible.

    Example:
        >>> DriftSettings(alpha=0.01, share=0.05).share
        0.05
    """

    alpha: float = 0.01
    share: float = 0.0
    direction: str = BOTH
    seed: int = 0

    def __post_init__(self) -> None:
        check_level(self.alpha)
        check_direction(self.direction)
        if not 0 <= self.share < 1:
            raise AdframeError(f"share={self.share:g} must be 0 or more, and below 1; 0.05 is 5 %")


class DriftMonitor:
    """Follows one stream of image scores, one image after the other.

    Without an expected share of anomalies, scores are ranked among calibration scores and earlier scores
    (`conformal.ConformalStream`), and `betting.ShiftBets` bets on their p values. With one, bets are made on
    how often scores exceed calibration scores (`contaminated`). An alarm stays: what follows a change is
    ranked among images that have changed as well, so that the capital falls again.

    Args:
        reference: (n,) scores of normal images to which the model was not fitted, n >= 1.
        settings: what is looked for.

    Attributes:
        settings: as given.
        log_limit: the logarithm of the capital at which there is an alarm: 1 / alpha, or 1 / (0.8 alpha) in
            the robust form, where a fifth of alpha covers the bounds of `contaminated`.
        alarm_at: number of the image at which the alarm came, counted from 1; None without an alarm.

    Raises:
        AdframeError: there is no reference score, or one is not finite.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> monitor = DriftMonitor(draws.normal(size=200), DriftSettings(alpha=0.01))
        >>> for score in draws.normal(size=300):
        ...     _ = monitor.update(score)
        >>> monitor.alarm_at is None
        True
        >>> for score in draws.normal(size=100) + 2:
        ...     _ = monitor.update(score)
        >>> 300 < monitor.alarm_at < 330
        True
    """

    def __init__(self, reference: np.ndarray, settings: DriftSettings | None = None) -> None:
        self.settings = settings = DriftSettings() if settings is None else settings
        reference = np.asarray(reference, dtype=np.float64)
        if not len(reference) or not np.isfinite(reference).all():
            raise AdframeError("drift is measured against finite scores of normal images, and there are none")
        self.alarm_at: int | None = None
        self._spent = BOUNDS_SHARE * settings.alpha if settings.share else 0.0
        self.log_limit = -math.log(settings.alpha - self._spent)
        self._stream = None if settings.share else ConformalStream(reference, seed=settings.seed)
        self._bets = ShiftBets(settings.direction)
        self._robust = None
        if settings.share:
            self._robust = RobustBets(reference[:, None], settings, delta=self._spent)
        count = self._bets.count if self._robust is None else self._robust.count
        self._mixture = ChangeMixture(bettors=count)

    @property
    def seen(self) -> int:
        """The number of images up to now."""
        return self._mixture.seen

    @property
    def log_capital(self) -> float:
        """The natural logarithm of the present capital; it starts at 0."""
        return float(self._mixture.log_capital[0])

    @property
    def anytime_p(self) -> float:
        """A p value that may be looked at after every image, at most 1.

        The chance that it ever falls to some level is at most this level while nothing changes; there is an
        alarm when it reaches alpha.
        """
        return min(1.0, self._spent + math.exp(-float(self._mixture.log_highest[0])))

    def update(self, score: float) -> float:
        """Takes the score of the next image.

        Args:
            score: raw, finite.

        Returns:
            `log_capital` afterwards.

        Raises:
            AdframeError: the score is not finite.
        """
        if not math.isfinite(score):
            raise AdframeError(f"score {score} is not finite; leave images without a score out")
        if self._robust is not None:
            bets = self._robust.log(np.array([score]))
        else:
            assert self._stream is not None
            bets = self._bets.log(np.array([self._stream.p_value(score)]))
        self._mixture.update(bets)
        if self.alarm_at is None and self.log_capital >= self.log_limit:
            self.alarm_at = self.seen
        return self.log_capital


class RobustBets:
    """Bets on exceedances of calibration scores by scores, and by negated scores for the direction `down`.

    Args:
        reference: (n, S) calibration scores of each stream.
        settings: with the expected share and the direction.
        delta: chance that a bound is wrong.

    Attributes:
        count: number of bettors.

    Example:
        >>> settings = DriftSettings(share=0.1, direction="up")
        >>> bets = RobustBets(np.arange(100.0)[:, None], settings, delta=0.001)
        >>> log_bets = bets.log(np.array([1000.0]))
        >>> log_bets.shape == (bets.count, 1), bool((log_bets > 0).all())
        (True, True)
    """

    def __init__(self, reference: np.ndarray, settings: DriftSettings, *, delta: float) -> None:
        signs = {UP: (1,), DOWN: (-1,), BOTH: (1, -1)}[settings.direction]
        self._sides = []
        for sign in signs:
            found = [
                exceedance_levels(sign * stream, share=settings.share, delta=delta / len(signs))
                for stream in reference.T
            ]
            self._sides.append((sign, np.stack([levels for levels, _ in found], axis=1), found[0][1]))
        first = np.zeros(reference.shape[1])
        self.count = len(self.log(first))

    def log(self, scores: np.ndarray) -> np.ndarray:
        """Computes the logarithms of the bets.

        Args:
            scores: (S,) the next score of each stream.

        Returns:
            (K, S) logarithms.
        """
        bets = [
            exceedance_log_bets(sign * scores > levels, chance=chance) for sign, levels, chance in self._sides
        ]
        return np.concatenate(bets)
