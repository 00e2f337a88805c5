"""Bets against a null hypothesis, one observation after the other, with a guarantee at every moment.

A bettor starts with a capital of 1 and stakes it on each observation. While the null hypothesis holds, no bet
wins on average, so that the capital is a non-negative supermartingale and ever reaches 1 / alpha with a
probability of at most alpha (Ville, Etude critique de la notion de collectif, 1939; Shafer & Vovk,
Game-Theoretic Foundations for Probability and Finance, 2019). An alarm at 1 / alpha is therefore false with a
probability of at most alpha over the whole future, however often somebody looks.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from adframe.errors import AdframeError

_PATIENCE = 2.0  # the unstaked share of the capital after t observations is log(2) / log(t + 2)
_SHIFTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)  # standard deviations
_SPREADS = (0.5, 2.0)  # factors of the standard deviation
_SMALLEST = 1e-15  # p values are cut there, because the normal quantile of 0 is infinite
_ODDS = (0.25, 0.5, 1.0, 2.0, 3.0)  # logarithms of the factors by which odds may have risen
UP, DOWN, BOTH = "up", "down", "both"
DIRECTIONS = (UP, DOWN, BOTH)


def check_direction(direction: str) -> None:
    """Checks the name of a direction.

    Args:
        direction: `up`, `down` or `both`.

    Raises:
        AdframeError: it is another word.
    """
    if direction not in DIRECTIONS:
        raise AdframeError(f"direction={direction} is not possible; choose up, down or both")


def check_level(alpha: float) -> None:
    """Checks the chance of a false alarm.

    Args:
        alpha: the chance.

    Raises:
        AdframeError: it does not lie between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise AdframeError(f"alpha={alpha:g} must lie between 0 and 1; 0.01 is a chance of 1 %")


class ChangeMixture:
    """The capital of bettors that begin to stake at every possible moment of a change.

    Bettor k multiplies what it has staked by its bet on every observation. At observation t a share w(t) of
    the initial capital, divided evenly between the bettors, is staked for the first time:
    w(t) = log(2) / log(t + 1) - log(2) / log(t + 2), which falls as slowly as a sum of 1 allows
    (about 1 / (t log(t)^2)), so that a change after 10,000 observations is found with a short delay as well.
    A mixture of supermartingales with fixed weights is a supermartingale.

    Capital is kept as its logarithm: after a clear change it exceeds the range of floats.

    Args:
        bettors: their number K.
        streams: number S of streams that are followed side by side.

    Attributes:
        seen: number of observations.
        log_capital: (S,) natural logarithm of the capital.
        log_highest: (S,) the largest value of `log_capital` up to now, at least 0.

    Example:
        >>> mixture = ChangeMixture(bettors=1)
        >>> for _ in range(20):
        ...     _ = mixture.update(np.array([[np.log(2.0)]]))  # a bet that wins each time
        >>> bool(mixture.log_highest[0] > np.log(100))
        True
    """

    def __init__(self, *, bettors: int, streams: int = 1) -> None:
        self.seen = 0
        self.log_capital, self.log_highest = np.zeros(streams), np.zeros(streams)
        self._staked = np.full((bettors, streams), -np.inf)
        self._log_share = -math.log(bettors)

    def update(self, log_bets: np.ndarray) -> np.ndarray:
        """Stakes capital on one observation of each stream.

        Args:
            log_bets: (K, S) logarithms of the factors by which the bettors' stakes change. The factors must
                be at most 1 on average under the null hypothesis, whatever was observed before.

        Returns:
            (S,) `log_capital` after the observation.
        """
        self.seen += 1
        before, after = (math.log(_PATIENCE) / math.log(self.seen + _PATIENCE - done) for done in (1, 0))
        staked = np.logaddexp(self._staked, math.log(before - after) + self._log_share)
        self._staked = staked + log_bets
        largest = np.maximum(self._staked.max(0), math.log(after))
        shares = np.exp(self._staked - largest).sum(0) + np.exp(math.log(after) - largest)
        self.log_capital = largest + np.log(shares)
        self.log_highest = np.maximum(self.log_highest, self.log_capital)
        return self.log_capital


class ShiftBets:
    """Bets that p values, which are uniform under the null hypothesis, come from shifted scores.

    If normal scores of standard deviation 1 shift by d, the p value p of a score has the density
    exp(d z - d^2 / 2) with z the upper p-quantile of the normal distribution; if their spread changes by a
    factor s, exp(z^2 / 2 - z^2 / (2 s^2)) / s. These densities integrate to 1, so that they are fair bets on
    uniform p values, whatever the distribution of the scores.

    Args:
        direction: `up` bets on higher scores, `down` on lower ones, `both` on either and on another spread.

    Attributes:
        count: number of bettors.

    Raises:
        AdframeError: the direction is unknown.

    Example:
        >>> bets = ShiftBets("up")
        >>> float(bets.log(np.array([0.5])).max()) < 0 < float(bets.log(np.array([0.01])).max())
        True
    """

    def __init__(self, direction: str = BOTH) -> None:
        check_direction(direction)
        up, down = ([sign * shift for shift in _SHIFTS] for sign in (1, -1))
        self._shifts = np.array({UP: up, DOWN: down, BOTH: up + down}[direction])[:, None]
        self._spreads = np.array(_SPREADS if direction == BOTH else ())[:, None]
        self.count = len(self._shifts) + len(self._spreads)

    def log(self, p: np.ndarray) -> np.ndarray:
        """Computes the logarithms of the bets.

        Args:
            p: (S,) p values in [0, 1], small for high scores.

        Returns:
            (K, S) logarithms.
        """
        # Cutting lowers a bet where it is largest; at the other end it adds less than 1e-15 to its mean.
        z = -ndtri(np.clip(p, _SMALLEST, 1 - _SMALLEST))
        shifted = self._shifts * z - self._shifts**2 / 2
        spread = z**2 * (1 - self._spreads**-2.0) / 2 - np.log(self._spreads)
        return np.concatenate([shifted, spread])


def exceedance_log_bets(exceeds: np.ndarray, *, chance: np.ndarray) -> np.ndarray:
    """Computes bets that scores exceed their levels more often than they may.

    With odds that are e^g times those of the chance q, an exceedance multiplies the stake by theta / q and
    its absence by (1 - theta) / (1 - q), theta being the probability of the higher odds. As theta > q the
    factor is at most 1 on average for every true chance up to q.

    Args:
        exceeds: (J, S) bool, whether the score of each stream exceeds each of J levels.
        chance: (J,) the highest chance of that under the null hypothesis, in (0, 1).

    Returns:
        (5 J, S) logarithms of the factors.
    """
    odds = (np.log(chance) - np.log1p(-chance))[:, None] + np.array(_ODDS)  # (J, G)
    theta_log, rest_log = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
    won = theta_log - np.log(chance)[:, None]
    lost = rest_log - np.log1p(-chance)[:, None]
    bets = np.where(exceeds[:, None, :], won[:, :, None], lost[:, :, None])  # (J, G, S)
    return np.asarray(bets.reshape(-1, exceeds.shape[-1]))
