"""Ranks of methods over categories, against the formulas and an example of the literature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from adframe.stats.ranks import rank_methods

# Demsar, JMLR 7, 2006, table 5 (a): critical values of Nemenyi's test for alpha 0.05, by number of methods.
CRITICAL = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize("count", CRITICAL)
def test_the_critical_difference_is_the_published_one(count: int) -> None:
    values = {
        f"m{place}": list(row) for place, row in enumerate(np.random.default_rng(0).random((count, 14)))
    }
    expected = CRITICAL[count] * math.sqrt(count * (count + 1) / (6 * 14))
    assert rank_methods(values).critical == pytest.approx(expected, abs=0.002)


def test_ranks_and_friedmans_test_follow_their_formulas() -> None:
    table = np.random.default_rng(1).random((4, 14)) + 0.1 * np.arange(4)[:, None]
    ranking = rank_methods({f"m{place}": list(row) for place, row in enumerate(table)})
    counted = {f"m{a}": float(np.mean(1 + (table > table[a]).sum(0))) for a in range(4)}
    assert dict(ranking.ranks) == pytest.approx(counted)
    assert list(ranking.ranks.values()) == sorted(counted.values())
    squares = sum(rank**2 for rank in counted.values())
    statistic = 12 * 14 / (4 * 5) * (squares - 4 * 5**2 / 4)
    assert ranking.p == pytest.approx(float(stats.chi2.sf(statistic, 3)))


def test_groups_are_the_largest_ones_and_none_lies_in_another() -> None:
    # Ten categories with the same order: ranks 1 to 6 without ties; the critical difference is 2.38.
    values = {f"m{place}": [1 - 0.1 * place] * 10 for place in range(6)}
    ranking = rank_methods(values)
    assert 2 < ranking.critical < 3
    assert list(ranking.groups) == [
        ("m0", "m1", "m2"), ("m1", "m2", "m3"), ("m2", "m3", "m4"), ("m3", "m4", "m5")
    ]  # fmt: skip
    assert ranking.p < 0.001


def test_a_method_far_from_all_others_is_in_no_group() -> None:
    values = {"best": [0.9] * 40, "b": [0.5, 0.6] * 20, "c": [0.6, 0.5] * 20}
    ranking = rank_methods(values)
    assert list(ranking.groups) == [("b", "c")]


def test_equal_values_share_their_rank_and_two_methods_have_no_friedman_test() -> None:
    equal = rank_methods({"a": [0.5, 0.5], "b": [0.5, 0.1 + 0.4], "c": [0.5, 0.5]})
    assert set(equal.ranks.values()) == {2.0}
    assert equal.p == 1.0
    two = rank_methods({"a": [0.5], "b": [0.4]})
    assert math.isnan(two.p)
    assert dict(two.ranks) == {"a": 1.0, "b": 2.0}
