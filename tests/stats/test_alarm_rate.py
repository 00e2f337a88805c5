"""Rates of alarms: exact at one look, and an interval for every look at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from adframe.stats.alarm_rate import anytime_interval, exact_interval, log_rate_capital, more_alarms_p


@pytest.mark.parametrize(("alarms", "images"), [(0, 30), (3, 100), (30, 30)])
def test_the_exact_interval_is_where_the_tails_are_a_fortieth(alarms: int, images: int) -> None:
    low, high = exact_interval(alarms, images)
    if alarms:
        assert stats.binom.sf(alarms - 1, images, low) == pytest.approx(0.025)
    if alarms < images:
        assert stats.binom.cdf(alarms, images, high) == pytest.approx(0.025)
    assert (low == 0) == (alarms == 0)
    assert (high == 1) == (alarms == images)


def test_a_p_value_is_the_tail_of_the_binomial_distribution() -> None:
    expected = sum(math.comb(20, k) * 0.05**k * 0.95 ** (20 - k) for k in range(4, 21))
    assert more_alarms_p(4, 20, rate=0.05) == pytest.approx(expected)
    assert more_alarms_p(0, 0, rate=0.05) == 1
    assert np.isnan(exact_interval(0, 0)).all()
    assert anytime_interval(0, 0) == (0.0, 1.0)


def test_the_capital_against_a_true_rate_stays_the_same_on_average() -> None:
    for rate in (0.02, 0.4):
        counts = np.arange(13)
        mean = sum(
            stats.binom.pmf(k, 12, rate) * math.exp(log_rate_capital(int(k), 12, rate=rate)) for k in counts
        )
        assert mean == pytest.approx(1)
    assert log_rate_capital(1, 5, rate=0.0) == math.inf


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_anytime_interval_holds_the_rate_at_every_moment(rate: float) -> None:
    draws = np.random.default_rng(0)
    alpha, streams, length = 0.1, 400, 1000
    alarms = np.cumsum(draws.random((streams, length)) < rate, axis=1)
    outside = 0
    for stream in alarms:
        capitals = [log_rate_capital(int(k), t, rate=rate) for t, k in enumerate(stream, start=1)]
        outside += max(capitals) >= -math.log(alpha)
    assert stats.binom.sf(outside - 1, streams, alpha) > 1e-3
    assert outside > 0


@pytest.mark.parametrize(("alarms", "images"), [(0, 1), (0, 500), (5, 500), (500, 500), (1, 1)])
def test_the_anytime_interval_ends_where_the_capital_reaches_its_limit(alarms: int, images: int) -> None:
    low, high = anytime_interval(alarms, images, alpha=0.05)
    assert 0 <= low <= alarms / images <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert log_rate_capital(alarms, images, rate=end) == pytest.approx(math.log(20), abs=1e-3)
    exact = exact_interval(alarms, images)
    assert high - low >= exact[1] - exact[0]
