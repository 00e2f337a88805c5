"""Few cases in which every two values of different parameters still meet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def pairwise(*parameters: Iterable[Any]) -> list[tuple[Any, ...]]:
    """A covering array of strength two: each value meets each value of every other parameter at least once.

    Faults mostly need one value or two together, not all of them (Kuhn, Wallace & Gallo, IEEE Transactions on
    Software Engineering 30, 2004), so a full product repeats itself. Rows are chosen greedily, the one with
    the most new pairs first, and are the same in every process, as pytest-xdist needs.
    """
    values = [list(parameter) for parameter in parameters]
    rows = list(itertools.product(*map(range, map(len, values))))
    missing = set().union(*map(_pairs_of, rows))
    chosen = []
    while missing:
        best = max(rows, key=lambda row: len(missing & _pairs_of(row)))
        missing -= _pairs_of(best)
        chosen.append(tuple(column[index] for column, index in zip(values, best, strict=True)))
    return chosen


def further(values: Iterable[Any], *, often: Iterable[Any]) -> list[Any]:
    """Marks all values of a parameter as exhaustive but those that are tested at every change.

    A tuple has the values of several parameters.
    """
    kept = list(often)
    return [
        value
        if value in kept
        else pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.exhaustive)
        for value in values
    ]


def _pairs_of(row: Sequence[int]) -> set[tuple[tuple[int, int], ...]]:
    return set(itertools.combinations(enumerate(row), 2))
