"""Shares of images, against published examples, SciPy, and counting out."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from scipy import stats

from adframe.stats.proportions import excess_alarms_p, fisher, mcnemar, newcombe, wilson


@pytest.mark.parametrize(("part", "whole"), [(0, 7), (3, 7), (7, 7), (41, 160)])
def test_wilson_is_scipys(part: int, whole: int) -> None:
    ends = stats.binomtest(part, whole).proportion_ci(0.95, method="wilson")
    assert wilson(part, whole) == pytest.approx((ends.low, ends.high), abs=1e-12)
    low, high = wilson(part, whole)
    assert 0 <= low <= part / whole <= high <= 1
    assert high > low


@pytest.mark.parametrize(
    ("last", "first", "ends"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_newcombe_is_his_table_of_examples(
    last: tuple[int, int], first: tuple[int, int], ends: tuple[float, float]
) -> None:
    assert newcombe(first, last) == pytest.approx(ends, abs=5e-5)  # table II, method 10
    low, high = newcombe(last, first)
    assert (-high, -low) == pytest.approx(ends, abs=5e-5)


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
    assert all(math.isnan(end) for end in (*wilson(0, 0), *newcombe((0, 0), (1, 2))))
    assert math.isnan(excess_alarms_p((0, 5), (0, 0)))
