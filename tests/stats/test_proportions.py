"""Shares of images, against published examples, SciPy, and counting out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from adframe.stats.proportions import excess_alarms_p, fisher, mcnemar, share_interval


@pytest.mark.parametrize(("part", "whole"), [(0, 7), (3, 7), (7, 7), (41, 160)])
def test_the_interval_of_a_share_contains_wilsons(part: int, whole: int) -> None:
    wilson = stats.binomtest(part, whole).proportion_ci(0.95, method="wilson")
    low, high = share_interval(part, whole)
    assert 0 <= low <= wilson.low + 1e-12 < wilson.high - 1e-12 <= high <= 1
    assert low <= part / whole <= high


@pytest.mark.parametrize("whole", [10, 20, 40, 200])
def test_the_interval_of_a_share_covers_it_near_one_too(whole: int) -> None:
    ends = np.array([share_interval(part, whole) for part in range(whole + 1)])
    for share in (0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999):
        inside = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert stats.binom.pmf(np.arange(whole + 1), whole, share)[inside].sum() > 0.929


def test_mcnemar_counts_only_images_that_one_judges_rightly() -> None:
    tail = sum(math.comb(9, k) for k in (0, 1, 8, 9)) / 2**9
    assert mcnemar(1, 8) == mcnemar(8, 1) == pytest.approx(tail)
    assert (mcnemar(0, 0), mcnemar(5, 5)) == (1.0, 1.0)


def test_fisher_is_the_hypergeometric_tail() -> None:
    ways = {k: math.comb(5, k) * math.comb(6, 5 - k) for k in range(6)}  # 5 hits among 5 + 6 images
    likely = sum(n for n in ways.values() if n <= ways[4]) / sum(ways.values())
    assert fisher((4, 5), (1, 6)) == pytest.approx(likely)
    assert math.isnan(fisher((0, 0), (1, 6)))


@pytest.mark.parametrize("above", [0, 1, 2])
@pytest.mark.parametrize("alarms", range(5))
def test_more_alarms_is_counted_out_over_all_orders(above: int, alarms: int) -> None:
    """Six known and four new scores, all orders equally likely: how often so many new ones exceed."""
    orders = list(combinations(range(10), 6))  # the places of the known ones among all, rising
    exceed = [sum(new > known[5 - above] for new in set(range(10)) - set(known)) for known in orders]
    assert excess_alarms_p((above, 6), (alarms, 4)) == pytest.approx(
        sum(n >= alarms for n in exceed) / len(orders)
    )


def test_where_there_is_nothing_there_is_no_number() -> None:
    assert all(math.isnan(end) for end in share_interval(0, 0))
    assert math.isnan(excess_alarms_p((0, 5), (0, 0)))
