"""Drift: p values that are uniform, bets that win nothing on average, and alarms that are seldom false."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from adframe.errors import AdframeError
from adframe.stats.betting import ChangeMixture, ShiftBets, exceedance_log_bets
from adframe.stats.conformal import ConformalStream, RankedScores
from adframe.stats.contaminated import exceedance_levels
from adframe.stats.drift_monitor import BOUNDS_SHARE, DriftMonitor, DriftSettings, RobustBets
from benchmarks.drift import conformal_p_values


def test_ranks_are_those_of_counting_through_many_divided_chunks() -> None:
    draws = np.random.default_rng(0)
    scores = draws.integers(0, 900, 6000).astype(float)  # many ties
    ranked, known = RankedScores(scores[:50]), scores[:50].tolist()
    for place, score in enumerate(scores[50:]):
        if place % 37 == 0:
            above, equal = sum(each > score for each in known), sum(each == score for each in known)
            assert ranked.above_and_equal(score) == (above, equal)
        ranked.add(score)
        known.append(score)
    assert len(ranked) == 6000
    assert ranked.above_and_equal(-1.0) == (6000, 0)
    assert ranked.above_and_equal(1e9) == (0, 0)
    assert len(ranked._chunks) > 5


def test_an_empty_multiset_takes_its_first_number() -> None:
    ranked = RankedScores()
    assert ranked.above_and_equal(1.0) == (0, 0)
    ranked.add(1.0)
    assert ranked.above_and_equal(1.0) == (0, 1)


@pytest.mark.parametrize("ties", [False, True])
def test_p_values_of_a_stream_are_uniform_and_do_not_depend_on_each_other(ties: bool) -> None:
    draws = np.random.default_rng(1)
    found = []
    for seed in range(1500):
        scores = draws.standard_normal(24)
        stream = ConformalStream(np.round(scores[:20]) if ties else scores[:20], seed=seed)
        found.append([stream.p_value(round(s) if ties else s) for s in scores[20:]])
    p = np.array(found)
    for column in p.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    correlations = np.corrcoef(p.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / math.sqrt(len(p))


def test_p_values_against_the_calibration_alone_would_depend_on_each_other() -> None:
    """The reason for ranking among earlier scores as well."""
    draws = np.random.default_rng(2)
    scores = draws.standard_normal((4000, 6, 1))
    calibration, new = scores[:, :4], scores[:, 4:]
    fixed = (calibration[:, None, :, 0] > new).sum(-1)
    assert np.corrcoef(fixed.T)[0, 1] > 0.1


def test_the_simulation_ranks_as_the_monitor_does() -> None:
    draws = np.random.default_rng(3)
    scores = np.round(draws.standard_normal((3, 70)), 1)  # with ties, which the draws break
    simulated = np.array(list(conformal_p_values(scores, 20)))
    for row, column in zip(scores, simulated.T, strict=True):
        for place, p in zip(range(20, 70), column, strict=True):
            above, equal = (row[:place] > row[place]).sum(), (row[:place] == row[place]).sum()
            assert above <= p * (place + 1) <= above + equal + 1


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_bets_on_uniform_p_values_are_fair(direction: str) -> None:
    bets = ShiftBets(direction)
    # Integrated over the normal quantile z, because the bets are unbounded in p.
    z = np.linspace(-10, 10, 40_001)
    means = np.trapezoid(np.exp(bets.log(stats.norm.sf(z))) * stats.norm.pdf(z), z)
    assert (means <= 1 + 1e-9).all()
    assert means == pytest.approx(np.ones(bets.count), abs=1e-3)  # cutting p takes a little from some
    low, high = bets.log(np.array([1e-4])), bets.log(np.array([1 - 1e-4]))
    assert (low.max() > 0) == (direction != "down")
    assert (high.max() > 0) == (direction != "up")


@pytest.mark.parametrize("chance", [0.01, 0.3, 0.9])
def test_bets_on_exceedances_win_nothing_at_any_chance_that_is_allowed(chance: float) -> None:
    won = np.exp(exceedance_log_bets(np.array([[True]]), chance=np.array([chance])))[:, 0]
    lost = np.exp(exceedance_log_bets(np.array([[False]]), chance=np.array([chance])))[:, 0]
    for true in np.linspace(0, chance, 7):
        assert (true * won + (1 - true) * lost <= 1 + 1e-12).all()
    assert chance * won + (1 - chance) * lost == pytest.approx(np.ones(5))


def test_the_mixture_is_the_average_of_bettors_that_start_at_each_moment() -> None:
    draws = np.random.default_rng(4)
    log_bets = draws.normal(-0.1, 0.5, (30, 2, 1))
    mixture = ChangeMixture(bettors=2)
    for step in range(30):
        mixture.update(log_bets[step])
        # By definition: the share that is staked first at t, times what it was multiplied by since.
        capital = math.log(2) / math.log(step + 3)
        for start in range(step + 1):
            share = math.log(2) / math.log(start + 2) - math.log(2) / math.log(start + 3)
            capital += share * np.exp(log_bets[start : step + 1, :, 0].sum(0)).mean()
        assert mixture.log_capital[0] == pytest.approx(math.log(capital), abs=1e-9)
    assert mixture.log_highest[0] >= mixture.log_capital[0]


def test_capital_beyond_the_range_of_floats_stays_finite() -> None:
    mixture = ChangeMixture(bettors=1)
    for _ in range(1000):
        mixture.update(np.array([[5.0]]))
    assert 4990 < mixture.log_capital[0] < 5000


@pytest.mark.parametrize("direction", ["up", "both"])
def test_false_alarms_are_within_alpha(direction: str) -> None:
    streams, count, alpha = 600, 32, 0.1
    scores = np.random.default_rng(5).standard_exponential((streams, count + 600))
    bets = ShiftBets(direction)
    mixture = ChangeMixture(bettors=bets.count, streams=streams)
    for p in conformal_p_values(scores, count):
        mixture.update(bets.log(p))
    alarms = int((mixture.log_highest >= -math.log(alpha)).sum())
    assert stats.binom.sf(alarms - 1, streams, alpha) > 1e-3
    assert alarms > 0  # the bound is not so loose that nothing ever happens


@pytest.mark.parametrize("extreme", [1e6, -1e6])
def test_a_stated_share_of_the_worst_anomalies_gives_no_alarm_of_the_robust_form(extreme: float) -> None:
    streams, count, share, alpha = 400, 50, 0.1, 0.1
    draws = np.random.default_rng(6)
    scores = draws.standard_normal((streams, count + 800))
    scores[:, count:][draws.random((streams, 800)) < share] = extreme
    robust = RobustBets(
        scores[:, :count].T, DriftSettings(alpha=alpha, share=share), delta=BOUNDS_SHARE * alpha
    )
    mixture = ChangeMixture(bettors=robust.count, streams=streams)
    for column in scores[:, count:].T:
        mixture.update(robust.log(column))
    alarms = int((mixture.log_highest >= -math.log((1 - BOUNDS_SHARE) * alpha)).sum())
    assert stats.binom.sf(alarms - 1, streams, alpha) > 1e-3
    # The same anomalies give more than the stated alarms where no share is expected: so the test can fail.
    plain = ChangeMixture(bettors=(bets := ShiftBets()).count, streams=streams)
    for p in conformal_p_values(scores, count):
        plain.update(bets.log(p))
    found = int((plain.log_highest >= -math.log(alpha)).sum())
    assert stats.binom.sf(found - 1, streams, alpha) < 1e-9


def test_bounds_of_exceedances_hold_for_all_levels_at_once() -> None:
    draws = np.random.default_rng(7)
    wrong, times, delta = 0, 2000, 0.1
    for _ in range(times):
        levels, bounds = exceedance_levels(draws.standard_normal(30), share=0.0, delta=delta)
        wrong += bool((stats.norm.sf(levels) > bounds).any())
    assert stats.binom.sf(wrong - 1, times, delta) > 1e-3
    assert wrong > 0.02 * times
    _, shared = exceedance_levels(np.arange(30.0), share=0.2, delta=delta)
    _, alone = exceedance_levels(np.arange(30.0), share=0.0, delta=delta)
    assert shared == pytest.approx(alone + 0.2 * (1 - alone))


def test_one_calibration_score_is_enough_to_run() -> None:
    for share in (0.0, 0.05):
        monitor = DriftMonitor(np.array([1.0]), DriftSettings(share=share))
        for score in range(100):
            monitor.update(float(score % 3))
        assert monitor.seen == 100
        assert monitor.alarm_at is None


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_a_shift_is_found_and_the_alarm_stays(share: float) -> None:
    draws = np.random.default_rng(8)
    monitor = DriftMonitor(draws.normal(size=200), DriftSettings(share=share))
    for score in draws.normal(size=300):
        monitor.update(score)
    assert monitor.alarm_at is None
    assert monitor.anytime_p > 0.01
    for score in draws.normal(size=300) + 2:
        monitor.update(score)
    at = monitor.alarm_at
    assert at is not None
    assert 300 < at < 360
    assert monitor.anytime_p < 0.01
    for score in draws.normal(size=300):
        monitor.update(score)
    assert monitor.alarm_at == at


def test_a_direction_finds_its_own_change_alone() -> None:
    draws = np.random.default_rng(9)
    reference, lower = draws.normal(size=300), draws.normal(size=150) - 1.5
    for share in (0.0, 0.02):
        found = {}
        for direction in ("up", "down", "both"):
            monitor = DriftMonitor(reference, DriftSettings(share=share, direction=direction))
            for score in lower:
                monitor.update(score)
            found[direction] = monitor.alarm_at is not None
        assert found == {"up": False, "down": True, "both": True}


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_upward_bets_never_win_more_where_all_new_scores_are_lowered(share: float) -> None:
    """So that the bound holds for a model to which the validation images were added (refit=true)."""
    draws = np.random.default_rng(11)
    for seed in range(20):
        scores = draws.standard_exponential(150)
        plain, lowered = (
            DriftMonitor(scores[:50], DriftSettings(direction="up", share=share, seed=seed)) for _ in range(2)
        )
        for score in scores[50:]:
            assert lowered.update(0.8 * score - 0.1) <= plain.update(score) + 1e-9


def test_the_same_stream_gives_the_same_capital_again() -> None:
    scores = np.random.default_rng(10).normal(size=80)
    capitals = []
    for _ in range(2):
        monitor = DriftMonitor(scores[:40], DriftSettings(seed=3))
        capitals.append([monitor.update(score) for score in scores[40:]])
    assert capitals[0] == capitals[1]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"alpha": 0.0}, "alpha=0 must lie"), ({"alpha": 1.0}, "alpha=1 must lie"),
        ({"share": 1.0}, "share=1 must be"), ({"share": -0.1}, "share=-0.1 must be"),
        ({"direction": "left"}, "choose up, down or both"),
    ],
)  # fmt: skip
def test_impossible_settings_say_so(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(AdframeError, match=reason):
        DriftSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("reference", [[], [1.0, math.nan]])
def test_a_reference_must_have_finite_scores(reference: list[float]) -> None:
    with pytest.raises(AdframeError, match="finite scores of normal images"):
        DriftMonitor(np.array(reference))
    with pytest.raises(AdframeError, match="not finite"):
        DriftMonitor(np.array([1.0])).update(math.inf)
