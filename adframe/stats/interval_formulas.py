"""Formulas of intervals: of a share, of a difference of shares, and the skewness of an estimate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

Ends = tuple[np.ndarray, np.ndarray]


def agresti_coull(
    share: float | np.ndarray, number: float | np.ndarray, quantiles: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the interval of a share (Agresti & Coull, The American Statistician 52, 1998).

    Args:
        share: the share, in [0, 1].
        number: the number of units, which may be an effective one.
        quantiles: normal quantiles, such as 1.96.

    Returns:
        Lower and upper ends in [0, 1].
    """
    whole = number + quantiles**2
    middle = (number * share + quantiles**2 / 2) / whole
    reach = quantiles * np.sqrt(middle * (1 - middle) / whole)
    return np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)


def score_ends(value: float, variance: float, units: float, quantiles: np.ndarray) -> Ends:
    """Computes the score interval of a difference of shares, whose variance depends on the tested difference.

    A difference of d makes images discordant, which adds to the variance where d is not the difference that
    was observed (Tango, Statistics in Medicine 17, 1998). So a p value has the variance of no difference.

    Args:
        value: the difference, in [-1, 1].
        variance: its variance.
        units: number of units for which it varies as a difference of shares does.
        quantiles: (k,) normal quantiles >= 0.

    Returns:
        (k,) lower and (k,) upper ends in [-1, 1].
    """
    discordant = variance + value**2 / units
    scale = 1 + quantiles**2 / units
    reach = quantiles * np.sqrt(np.maximum(discordant * scale - value**2 / units, 0)) / scale
    return np.maximum(value / scale - reach, -1.0), np.minimum(value / scale + reach, 1.0)


def t_quantiles(quantiles: np.ndarray, freedom: float | np.ndarray) -> np.ndarray:
    """Converts normal quantiles into quantiles of Student's t distribution at the same levels.

    Args:
        quantiles: (k,) normal quantiles >= 0.
        freedom: degrees of freedom, one number or (k,).

    Returns:
        (k,) quantiles.
    """
    found: np.ndarray = -special.stdtrit(freedom, special.ndtr(-quantiles))
    return found


def skewness_of_mean(drawn: Sequence[np.ndarray]) -> float:
    """Computes a sixth of the skewness of the mean of independent numbers (Johnson, JASA 73, 1978).

    Args:
        drawn: (resamples,) draws of each number.

    Returns:
        The skewness over six, by which a t interval is shifted.
    """
    excess = [np.asarray(each, np.float64) - np.mean(each, dtype=np.float64) for each in drawn]
    third, second = (sum(float(np.mean(each**power)) for each in excess) for power in (3, 2))
    return float(third / max(second, 1e-30) ** 1.5 / 6)
