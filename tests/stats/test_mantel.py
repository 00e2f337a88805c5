"""Mantel's test: pairs that share a thing do not count as independent."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from adframe.stats.mantel import mantel

RNG = np.random.default_rng(0)


def symmetric(count: int) -> np.ndarray:
    table = RNG.random((count, count))
    return (table + table.T) / 2


def slow(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    pairs = list(itertools.permutations(range(len(first)), 2))
    found = []
    for order in itertools.permutations(range(len(first))):
        a = [first[i, j] for i, j in pairs]
        b = [second[order[i], order[j]] for i, j in pairs]
        found.append(stats.spearmanr(a, b).statistic)
    return found[0], sum(abs(each) >= abs(found[0]) - 1e-12 for each in found) / len(found)


def test_it_is_every_order_tried() -> None:
    first, second = symmetric(5), RNG.random((5, 5))
    found = mantel(first, second)
    assert (found.rho, found.p) == pytest.approx(slow(first, second))
    assert (found.entries, found.least) == (20, 1 / 120)


def test_a_table_against_itself_is_as_sure_as_it_can_be() -> None:
    table = symmetric(6)
    found = mantel(table, 3 * table + 1)
    assert found.rho == pytest.approx(1)
    assert found.p == found.least


def test_many_things_are_sampled_and_the_given_order_counts() -> None:
    table = symmetric(9)
    found = mantel(table, table, permutations=200)
    assert found.p == found.least == 1 / 200


def test_the_diagonal_and_what_is_not_known_are_not_read() -> None:
    first, second = symmetric(5), RNG.random((5, 5))
    other = first.copy()
    np.fill_diagonal(other, 99)
    assert mantel(other, second) == mantel(first, second)
    second[0, 1] = math.nan
    assert mantel(first, second).entries == 19


def test_few_or_equal_things_give_no_p() -> None:
    assert math.isnan(mantel(symmetric(2), symmetric(2)).p)
    assert math.isnan(mantel(np.ones((4, 4)), symmetric(4)).rho)
