"""Every pair of values is in a case, in far fewer cases than the product has."""

from __future__ import annotations

import itertools

from tests.covering import pairwise


def test_each_value_meets_each_value_of_the_other_parameters() -> None:
    parameters = (["a", "b", "c", "d", "e"], [1, 2, 3], [True, False], "xyz")
    cases = pairwise(*parameters)
    for (i, left), (j, right) in itertools.combinations(enumerate(parameters), 2):
        assert {(case[i], case[j]) for case in cases} == set(itertools.product(left, right))
    assert len(cases) < 20 < 90
