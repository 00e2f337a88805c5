"""Compares a share of alarms with the rate that a threshold promises: at one look, and at any time."""

from __future__ import annotations

import math

from scipy import optimize, special, stats


def exact_interval(alarms: int, images: int, *, level: float = 0.95) -> tuple[float, float]:
    """Computes the exact interval of a rate (Clopper & Pearson, Biometrika 26, 1934).

    It covers the true rate with at least the nominal level, for images that are independent of one another,
    if it is computed once and the number of images does not depend on the result.

    Args:
        alarms: number of alarms.
        images: number of images.
        level: in (0, 1).

    Returns:
        Lower and upper end in [0, 1]; NaN without images.

    Example:
        >>> [round(end, 4) for end in exact_interval(3, 100)]
        [0.0062, 0.0852]
    """
    if not images:
        return math.nan, math.nan
    found = stats.binomtest(alarms, images).proportion_ci(confidence_level=level, method="exact")
    return float(found.low), float(found.high)


def more_alarms_p(alarms: int, images: int, *, rate: float) -> float:
    """Computes the exact one-sided p value of at least this number of alarms, by the binomial distribution.

    Args:
        alarms: number of alarms.
        images: number of images.
        rate: highest rate under the null hypothesis, in [0, 1].

    Returns:
        The p value for a single look; 1 without images.

    Example:
        >>> round(more_alarms_p(3, 100, rate=0.01), 4)
        0.0794
    """
    return float(stats.binom.sf(alarms - 1, images, rate)) if images else 1.0


def log_rate_capital(alarms: int, images: int, *, rate: float) -> float:
    """Computes the capital of a bettor against a rate, who mixes all other rates evenly.

    It is the ratio of the probability of the alarms, averaged over all rates (Beta(1/2, 1/2), the mixture of
    Jeffreys, as in Krichevsky & Trofimov, IEEE Transactions on Information Theory 27, 1981), to that under
    `rate`; a martingale where the rate is true.

    Args:
        alarms: number of alarms.
        images: number of images.
        rate: in [0, 1].

    Returns:
        The natural logarithm; infinite where the alarms are impossible at this rate.
    """
    rest = images - alarms
    mixed = special.betaln(alarms + 0.5, rest + 0.5) - special.betaln(0.5, 0.5)
    return float(mixed - special.xlogy(alarms, rate) - special.xlog1py(rest, -rate))


def anytime_interval(alarms: int, images: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Computes an interval of a rate that may be looked at after every image (a confidence sequence).

    It holds the rates at which the capital of `log_rate_capital` is below 1 / alpha. By Ville's inequality
    the true rate is in all intervals of the future at once with a probability of at least 1 - alpha (Robbins,
    Annals of Mathematical Statistics 41, 1970). It is wider than the exact interval of a single look.

    Args:
        alarms: number of alarms up to now.
        images: number of images up to now.
        alpha: chance that the true rate is ever outside, in (0, 1).

    Returns:
        Lower and upper end in [0, 1]; (0, 1) without images.

    Example:
        >>> [round(end, 4) for end in anytime_interval(3, 100)]
        [0.0019, 0.1229]
    """
    if not images:
        return 0.0, 1.0
    limit = -math.log(alpha)

    def excess(rate: float) -> float:
        # brentq needs finite values; at 0 and 1 the logarithm can be infinite.
        return min(log_rate_capital(alarms, images, rate=rate) - limit, 1e9)

    observed = alarms / images  # the capital is smallest there, and below 1 / alpha
    low = 0.0 if excess(0.0) < 0 else float(optimize.brentq(excess, 0.0, observed))
    high = 1.0 if excess(1.0) < 0 else float(optimize.brentq(excess, observed, 1.0))
    return low, high
