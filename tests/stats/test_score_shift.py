"""The test that compares scores of validation and test images: its level, and what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from adframe.calibration.rules import FixedFpr, Quantile, Sample
from adframe.stats.score_shift import comparable_scores, score_shift_p
from tests.covering import further

LEVEL = 0.01
RUNS = 1000
DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy-tailed": lambda rng, n: rng.standard_t(2, size=n),
    "tied": lambda rng, n: np.floor(rng.gamma(2, 2, size=n)),
}


def warnings_of(draw, *, known: int, new: int, runs: int, upward: bool, seed: int) -> int:
    """The number of warnings in runs whose validation and test images are alike."""
    rng, found = np.random.default_rng(seed), 0
    for run in range(runs):
        one, two = draw(rng, known), draw(rng, new)
        rule = (FixedFpr(fpr=0.2), Quantile(q=0.9), FixedFpr(fpr=0.01))[run % 3]
        threshold = rule.choose(Sample.of(one, np.zeros(0)))
        alarms = (int((one > threshold).sum()), known), (int((two > threshold).sum()), new)
        found += score_shift_p(one, two, alarms=alarms, upward=upward, seed=run) < LEVEL
    return found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("known", "new"), [(32, 41), (64, 20), (10, 10)])
def test_at_most_one_run_in_a_hundred_is_warned_without_a_reason(name: str, known: int, new: int) -> None:
    found = warnings_of(DISTRIBUTIONS[name], known=known, new=new, runs=1000, upward=False, seed=known)
    # Refused where the rate is significantly above 1 in 100; a rate of 3 in 100 is found in 99 of 100 tries.
    assert stats.binomtest(found, 1000, LEVEL, alternative="greater").pvalue > 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("upward", [False, True])
@pytest.mark.parametrize(
    ("known", "new"),
    [
        (4, 40),
        *further([(2, 40), (40, 3), (7, 7), (12, 100), (99, 41), (200, 200)], often=[]),
    ],
)
def test_the_level_holds_for_small_and_large_samples(name: str, known: int, new: int, upward: bool) -> None:
    few = min(known, new) <= 8 and name == "tied"  # thousands of permutations a run
    runs = RUNS // 10 if few else RUNS
    found = warnings_of(DISTRIBUTIONS[name], known=known, new=new, runs=runs, upward=upward, seed=known + new)
    assert stats.binomtest(found, runs, LEVEL, alternative="greater").pvalue > 0.001


@pytest.mark.parametrize(("known", "new"), [(1, 1), (1, 40), (4, 4), (3, 5)])
def test_too_few_images_are_no_evidence_however_far_they_lie_apart(known: int, new: int) -> None:
    p = score_shift_p(np.arange(known) * 1.0, np.arange(new) + 1000.0, alarms=((0, known), (new, new)))
    assert p > LEVEL


def test_a_promise_of_one_fifth_that_becomes_three_fifths_is_found() -> None:
    """As on a set of glass fibre, where the normal images of test were others than those of training."""
    shift, found = stats.norm.isf(0.2) - stats.norm.isf(0.61), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        known, new = rng.normal(size=32), rng.normal(size=40) + shift
        threshold = FixedFpr(fpr=0.2).choose(Sample.of(known, np.zeros(0)))
        alarms = (int((known > threshold).sum()), 32), (int((new > threshold).sum()), 40)
        found += score_shift_p(known, new, alarms=alarms, upward=True) < LEVEL
    assert found > 180


def test_a_shift_a_wider_distribution_and_more_alarms_are_found() -> None:
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=60), rng.normal(size=60)
    assert score_shift_p(known, new + 1) < 1e-3
    assert score_shift_p(known, new * 8) < 1e-2
    tail = np.append(new[:50], np.full(10, 9.0))  # ten of sixty far above, the rest alike
    assert score_shift_p(known, tail) > LEVEL
    assert score_shift_p(known, tail, alarms=((0, 60), (10, 60))) < LEVEL
    assert math.isnan(score_shift_p(known, np.zeros(0)))


def test_only_higher_scores_count_where_the_model_has_seen_more() -> None:
    rng = np.random.default_rng(1)
    known, new = rng.normal(size=60), rng.normal(size=60)
    assert score_shift_p(known, new - 1, upward=True) == pytest.approx(1)
    assert score_shift_p(known, new - 1) < 1e-3
    assert score_shift_p(known, new + 1, upward=True) < 1e-3


def test_images_of_one_part_are_no_independent_evidence() -> None:
    """Ten images of each part: as many images alone would be called different at once."""
    by_image, by_part = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        parts = [rng.normal() + 0.1 * rng.normal(size=10) for _ in range(24)]
        known, new = parts[:12], parts[12:]
        by_part += score_shift_p(*comparable_scores(known, new)) < LEVEL
        by_image += score_shift_p(np.concatenate(known), np.concatenate(new)) < LEVEL
    assert stats.binomtest(by_part, 200, LEVEL, alternative="greater").pvalue > 0.001
    assert by_image > 100


def test_parts_with_more_images_are_not_called_different() -> None:
    """One image per part in validation and eight in test: the mean of eight would scatter less."""
    found = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        known = [rng.normal(size=1) for _ in range(60)]
        new = [rng.normal(size=8) for _ in range(60)]
        found += score_shift_p(*comparable_scores(known, new)) < LEVEL
    assert stats.binomtest(found, 300, LEVEL, alternative="greater").pvalue > 0.001


def test_a_single_score_that_equals_another_is_no_error_and_proves_nothing() -> None:
    assert score_shift_p(np.array([1.0]), np.array([1.0])) == 1
    assert score_shift_p(np.arange(20.0), np.array([3.0])) > 0.05
