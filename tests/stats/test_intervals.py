"""Intervals of metrics: coverage on simulated test sets, known limits, and agreement with the p value."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from adframe.stats.intervals import (
    DifferenceOf,
    MeanOf,
    Measured,
    SeedError,
    Units,
    compare_with_zero,
    interval_of,
)
from benchmarks.coverage import Setting, measure_coverage
from benchmarks.simulation.images import ScoredImages
from benchmarks.simulation.maps import ScoredMaps

METRICS = (
    "image/auroc",
    "image/ap",
    "image/f1_max",
    "image/fpr95",
    "image/recall",
    "image/fpr",
    "image/precision",
    "image/f1",
    "image/accuracy",
    "image/balanced_accuracy",
    "pixel/auroc",
    "pixel/aupro_0.05",
    "pixel/segf1",
    "logical/image/auroc",
)


def measured(metric="image/auroc", *, value=0.9, deviation=0.04, units=(20, 40), seed=0):
    drawn = np.clip(value + deviation * np.random.default_rng(seed).normal(size=500), 0, 1)
    return Measured(metric, value, np.float32(drawn), Units(*units), called=units[1])


def share(part, whole, *, seed=0):
    """The recall of `part` of `whole` images, with its bootstrap draws."""
    drawn = np.random.default_rng(seed).binomial(whole, part / whole, size=1000) / whole
    return Measured("image/recall", part / whole, np.float32(drawn), Units(whole, whole))


def coverage_of(*tests, kind="one test", simulations=120, **options):
    setting = Setting(kind, "", (tests[0],), tests[1:], **options)
    found = measure_coverage(setting, simulations=simulations, resamples=150, seed=(1,))
    return {each.metric: each for each in found}


def test_intervals_cover_where_percentile_intervals_do_not():
    found = coverage_of(ScoredImages("binormal", 0.995, 20, 60))
    assert found["image/auroc"].percentile_coverage < 0.8
    for name in ("image/auroc", "image/ap", "image/f1_max", "image/recall", "image/accuracy"):
        assert found[name].coverage >= 0.93
        assert found[name].no_width == 0


def test_intervals_of_pixel_metrics_cover():
    found = coverage_of(ScoredMaps("few large", 3.5, 20, 40))
    for name in ("pixel/auroc", "pixel/ap", "pixel/aupro_0.3", "pixel/aupro_0.05", "pixel/segf1"):
        assert found[name].coverage >= 0.93
        assert found[name].coverage > found[name].percentile_coverage


def test_intervals_of_parts_with_several_images_cover():
    found = coverage_of(ScoredImages("alike parts", 0.9, 20, 40))
    for name in ("image/auroc", "image/recall", "image/accuracy"):
        assert found[name].coverage >= 0.93


def test_intervals_of_equal_runs_contain_zero():
    one = ScoredImages("binormal", 0.95, 20, 60)
    found = coverage_of(one, one, kind="difference", correlation=0.6)
    for name in ("image/auroc", "image/ap", "image/recall", "image/accuracy"):
        assert found[name].coverage >= 0.93
        assert found[name].no_width == 0


def test_intervals_of_means_over_two_seeds_cover():
    one = ScoredImages("binormal", 0.95, 20, 60)
    found = coverage_of(one, kind="mean over seeds", seeds=2, seed_spread=0.3, correlation=0.8)
    assert found["image/auroc"].coverage >= 0.93
    assert found["image/auroc"].percentile_coverage < 0.93


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [0.0, 0.3, 0.97, 1.0])
def test_intervals_contain_the_value_and_grow_with_the_level(metric, value):
    one = measured(metric, value=value)
    ends = [interval_of(one, level=level) for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)]
    assert all(0 <= low <= value <= high <= 1 for low, high in ends)
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in pairwise(ends))
    assert ends[3][1] - ends[3][0] > 1e-3


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_metrics_at_their_bound_have_a_width_that_falls_with_the_number_of_images(metric, value):
    ends = [
        interval_of(Measured(metric, value, np.full(100, value, np.float32), Units(n, n), called=n))
        for n in (5, 20, 100)
    ]
    widths = [high - low for low, high in ends]
    assert widths[0] >= widths[1] > widths[2] > 1e-3


@pytest.mark.parametrize(("part", "whole"), [(120, 200), (380, 400), (900, 1000)])
def test_intervals_of_large_shares_are_close_to_those_of_wilson(part, whole):
    wilson = stats.binomtest(part, whole).proportion_ci(method="wilson")
    assert interval_of(share(part, whole)) == pytest.approx((*wilson,), abs=0.15 / math.sqrt(whole))


def test_intervals_of_unpaired_differences_are_close_to_those_of_newcombe():
    """Statistics in Medicine 17, 1998, method 10: from Wilson's intervals of both shares."""
    ours = interval_of(DifferenceOf(share(300, 400), share(350, 400, seed=1), paired=False))
    (a_low, a_high), (b_low, b_high) = (
        stats.binomtest(part, 400).proportion_ci(method="wilson") for part in (300, 350)
    )
    newcombe = (
        0.125 - math.hypot(0.875 - b_low, a_high - 0.75),
        0.125 + math.hypot(b_high - 0.875, 0.75 - a_low),
    )
    assert ours == pytest.approx(newcombe, abs=0.008)


def test_differences_of_runs_that_agree_are_shorter_but_not_empty():
    one, other = share(56, 60), share(56, 60, seed=1)
    unpaired = interval_of(DifferenceOf(one, other, paired=False))
    equal = interval_of(DifferenceOf(one, one, paired=True))
    assert 0.01 < equal[1] - equal[0] < 0.6 * (unpaired[1] - unpaired[0])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("second", [0.6, 0.8, 0.88, 0.9, 0.92, 0.97, 1.0])
@pytest.mark.parametrize("paired", [False, True])
def test_p_is_below_5_percent_where_the_interval_excludes_zero(metric, second, paired):
    a, b = measured(metric), measured(metric, value=second, deviation=0.03, seed=1)
    found = compare_with_zero(DifferenceOf(a, b, paired=paired))
    assert found.value == pytest.approx(second - 0.9)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    reversed_ = compare_with_zero(DifferenceOf(b, a, paired=paired))
    assert reversed_.p == pytest.approx(found.p)
    assert (reversed_.low, reversed_.high) == pytest.approx((-found.high, -found.low))
    assert compare_with_zero(DifferenceOf(a, a, paired=paired)).p == 1


def test_p_is_the_level_at_which_the_interval_ends_at_zero():
    difference = DifferenceOf(measured(), measured(value=0.97, seed=1), paired=False)
    low, _ = interval_of(difference, level=1 - compare_with_zero(difference).p)
    assert low == pytest.approx(0, abs=1e-5)


def test_differences_of_unknown_numbers_are_unknown():
    found = compare_with_zero(DifferenceOf(measured(), measured(value=math.nan), paired=True))
    assert math.isnan(found.value)
    assert math.isnan(found.p)


@pytest.mark.parametrize("metric", ["image/auroc", "image/recall", "pixel/auroc"])
def test_intervals_of_means_shrink_with_the_square_root_and_become_symmetric(metric):
    one = measured(metric)
    low, high = interval_of(one)
    for count in (4, 9, 100):
        mean_low, mean_high = interval_of(MeanOf([one] * count))
        assert mean_high - mean_low == pytest.approx((high - low) / math.sqrt(count), rel=0.25)
    assert one.value - mean_low == pytest.approx(mean_high - one.value, rel=0.1)
    symmetric = measured(metric, value=0.5)
    if not metric.startswith("pixel/"):
        widths = [np.diff(interval_of(MeanOf([symmetric] * count))) for count in (1, 4)]
        assert widths[1] == pytest.approx(widths[0] / 2, rel=0.2)


def test_bias_of_the_best_f1_does_not_shrink_with_the_number_of_categories():
    drawn = np.random.default_rng(0).normal(0.92, 0.02, size=500)  # 0.02 above the value
    one = Measured("image/f1_max", 0.9, np.float32(drawn), Units(40, 60))
    bias = 0.05  # the draws show less of it than there is
    low, _ = interval_of(MeanOf([one] * 100))
    assert 0.9 - bias - 0.02 < low < 0.9 - bias + 0.01


def test_mean_of_one_number_has_its_interval():
    assert interval_of(MeanOf([measured()])) == pytest.approx(interval_of(measured()))


def test_seed_error_is_that_of_a_mean():
    values = [0.91, 0.94, 0.9, 0.97]
    error = SeedError.of(values)
    assert error is not None
    assert error.deviation == pytest.approx(stats.sem(values))
    assert error.freedom == 3
    assert SeedError.of([0.9]) is None


def test_equal_seeds_do_not_widen_an_interval():
    one = measured()
    assert interval_of(MeanOf([one], SeedError.of([0.9, 0.9]))) == pytest.approx(interval_of(one))


def test_seed_error_alone_gives_the_t_interval():
    quantiles = np.array([special.ndtri(0.975)])
    error = SeedError.of([0.8, 0.9, 1.0])
    assert error is not None
    expected = stats.t.ppf(0.975, 2) * error.deviation
    assert error.widen(np.zeros(1), np.zeros(1), quantiles)[0] == pytest.approx(expected)


def test_more_seeds_of_the_same_spread_give_shorter_intervals():
    widths = []
    for count in (2, 4, 8):
        low, high = interval_of(MeanOf([measured()], SeedError.of([0.85, 0.95] * (count // 2))))
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    low, high = interval_of(measured())
    assert widths[2] > high - low
