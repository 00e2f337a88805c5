"""Plain measures of a shift: checked against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adframe.stats.distribution_shift import distribution_shift

KNOWN = np.random.default_rng(0).normal(10, 2, 4000)


def test_a_shift_is_in_standard_deviations_and_a_spread_is_a_ratio() -> None:
    found = distribution_shift(KNOWN, 10 + 3 * (KNOWN - 10) + 2)
    assert found.median_shift == pytest.approx(1, abs=0.1)
    assert found.spread_ratio == pytest.approx(3)


def test_the_index_follows_its_definition_and_needs_enough_scores_per_bin() -> None:
    known, new = np.arange(100.0), np.repeat(np.arange(0.0, 100.0, 2), 2)[:60]
    found = distribution_shift(known, new)
    edges = np.quantile(known, np.linspace(0, 1, 11)[1:-1])
    counts = [np.histogram(each, [-np.inf, *edges, np.inf])[0] for each in (known, new)]
    a, b = ((count + 0.5) / (count.sum() + 5) for count in counts)
    assert found.psi == pytest.approx(sum((b - a) * np.log(b / a)), rel=0.05)
    assert found.psi_bins == 10
    assert distribution_shift(np.arange(4.0), new).psi_bins == 1
    assert distribution_shift(np.arange(4.0), new).psi == 0


def test_the_expected_index_is_that_of_samples_of_one_distribution() -> None:
    draws = np.random.default_rng(1)
    found = [distribution_shift(draws.normal(size=300), draws.normal(size=200)) for _ in range(300)]
    assert np.mean([each.psi for each in found]) == pytest.approx(found[0].psi_expected, rel=0.1)


def test_a_reference_without_variation_has_no_unit() -> None:
    found = distribution_shift(np.ones(20), np.arange(5.0))
    assert math.isnan(found.median_shift)
    assert math.isnan(found.spread_ratio)
    assert math.isfinite(found.psi)
