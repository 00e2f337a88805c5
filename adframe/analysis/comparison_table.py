"""The comparison of runs with the first of them, category by category: the rows of a table, and sentences."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.compare import ALPHA, is_significant
from adframe.analysis.compared_runs import ComparedRun, parts_of
from adframe.reporting.format import gain, p_equals, p_value, with_interval
from adframe.reporting.tables import Cell, Column, Table, shown
from adframe.results.names import MEAN
from adframe.stats.estimates import Estimate
from adframe.stats.pairwise_auroc import Standing, mean_standings, standings
from adframe.stats.significance import holm, wilcoxon

RESAMPLES, LEVEL = 1000, 0.95
_MIN_CATEGORIES = 5  # for Wilcoxon's test
_PAGE_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("auroc", "image AUROC"),
    Column("difference", "difference from A"),
    Column("p", "p DeLong"),
    Column("holm", "p Holm"),
)
_CSV_COLUMNS = (
    "category", "run", "image/auroc", "image/auroc_low", "image/auroc_high", "difference",
    "difference_low", "difference_high", "p_bootstrap", "p_delong", "p_holm"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One run in one category, or in the mean over categories.

    Attributes:
        category: name of the category, or `mean`.
        run: name of the run.
        standing: its image AUROC, and the difference to the first run.
        holm: `standing.p` corrected for all comparisons of the table.

    Example:
        >>> first = Standing(0.875, 0.75, 1.0, difference=None, p=math.nan, drawn=np.full(1000, 0.875))
        >>> for_people([Line("bolt", "A", first, holm=math.nan)]).shown[0][:3]
        ('bolt', 'A', '87.5 (75.0 to 100.0)')
    """

    category: str
    run: str
    standing: Standing
    holm: float


def lines_of(runs: Sequence[ComparedRun], *, seed: int) -> list[Line]:
    """Compares every run with the first in every category, then in the mean of several categories.

    Args:
        runs: runs on the same images.
        seed: seed of the bootstrap.

    Returns:
        One line per category and run.
    """
    categories = list(dict.fromkeys(category for category, _ in runs[0].images))
    found = {category: _standings_in(runs, category, seed=seed) for category in categories}
    rows = list(found.items())
    if len(rows) > 1:
        rows.append((MEAN, mean_standings(list(found.values()), level=LEVEL)))
    flat = [
        (category, run.name, standing)
        for category, row in rows
        for run, standing in zip(runs, row, strict=True)
    ]
    corrected = holm([standing.p for _, _, standing in flat])
    return [Line(*line, p) for line, p in zip(flat, corrected, strict=True)]


def _standings_in(runs: Sequence[ComparedRun], category: str, *, seed: int) -> list[Standing]:
    keys = sorted(key for key in runs[0].images if key[0] == category)
    rows = [runs[0].images[key] for key in keys]
    return standings(
        [np.array([run.images[key]["score"] for key in keys], np.float64) for run in runs],
        labels=np.array([bool(row["label"]) for row in rows]),
        subsets=np.array([row["subset"] for row in rows], dtype=str),
        groups=[row["group"] for row in rows],
        resamples=RESAMPLES,
        level=LEVEL,
        seed=(seed, zlib.crc32(category.encode())),  # or the categories' draws would move together
    )


def significant_lines(lines: Sequence[Line]) -> list[tuple[Line, float]]:
    """The lines that differ significantly from the first run, each with its corrected p value.

    A category is tested by DeLong's test. The mean over categories has the p value of its bootstrap, which
    is corrected for the number of runs: DeLong's test is one of a single category.

    Args:
        lines: the lines of the table.
    """
    mean = [line for line in lines if line.category == MEAN]
    own = [math.nan if line.standing.difference is None else line.standing.difference.p for line in mean]
    overall = dict(zip([line.run for line in mean], holm(own), strict=True))
    pairs = [(line, overall[line.run] if line.category == MEAN else line.holm) for line in lines]
    return [
        (line, p)
        for line, p in pairs
        if line.standing.difference is not None and is_significant(p, line.standing.difference)
    ]


def across(lines: Sequence[Line]) -> list[str]:
    """Returns sentences on Wilcoxon's test of each run against the first, one pair of AUROCs per category.

    Args:
        lines: the lines of the table.
    """
    values: dict[str, list[float]] = {}
    for line in lines:
        if line.category != MEAN and math.isfinite(line.standing.value):
            values.setdefault(line.run, []).append(line.standing.value)
    first, *others = values or {"": []}
    count = len(values.get(first, []))
    if count < _MIN_CATEGORIES:
        return [
            f"No test across categories: Wilcoxon's test needs {_MIN_CATEGORIES} or more, "
            f"and there are {count}."
        ]
    p_values = [wilcoxon(values[first], values[name]) for name in others]
    text = "Across {} categories, {} compared with {}: {} (Wilcoxon's signed ranks), {} by Holm's correction."
    triples = zip(others, p_values, holm(p_values), strict=True)
    found = [
        text.format(count, name, first, p_equals(p), p_equals(adjusted)) for name, p, adjusted in triples
    ]
    least = 2 / 2**count  # every category on the same side
    return (
        [*found, f"With {count} categories, that p is never below {least:.3f}."] if least > ALPHA else found
    )


def remarks(first: ComparedRun) -> list[str]:
    """Returns what a reader of the p values must know about the test images.

    Args:
        first: one of the runs.

    Returns:
        A sentence where several images show one part, else nothing.
    """
    images, parts = parts_of(first)
    if images == parts:
        return []
    return [
        f"{images} images show {parts} parts: DeLong's p takes them for independent and is "
        "too small; the intervals keep a part's images together and are valid."
    ]


def for_people(lines: Iterable[Line]) -> Table:
    """Returns the table of a page: per cent, with intervals.

    Args:
        lines: the lines of the table.
    """
    return Table(_PAGE_COLUMNS, tuple(_cells(line) for line in lines))


def _cells(line: Line) -> tuple[Cell, ...]:
    own, more = line.standing, line.standing.difference
    start = (line.category, line.run, with_interval(Estimate(own.value, own.low, own.high)))
    return (
        (*start, None, None, None)
        if more is None
        else (*start, gain(more), p_value(own.p), p_value(line.holm))
    )


def for_programs(lines: Iterable[Line]) -> Table:
    """Returns the table of a CSV file: full names, raw numbers.

    Args:
        lines: the lines of the table.
    """
    return Table(tuple(Column(key, key) for key in _CSV_COLUMNS), tuple(_raw(line) for line in lines))


def verdict(lines: Sequence[Line]) -> str:
    """Returns one sentence on the last category, which is the mean where there are several.

    Args:
        lines: the lines of the table.
    """
    last = [line for line in lines if line.category == lines[-1].category]
    where = "mean image AUROC" if last[0].category == MEAN else f"image AUROC of {last[0].category}"
    known = [line for line in last if math.isfinite(line.standing.value)]
    if not known:
        return f"{len(last)} runs without an {where}: it needs normal and anomalous images"
    best = max(known, key=lambda line: line.standing.value)
    numbers = ", ".join(f"{line.run} {shown(line.standing.value, percent=True)}" for line in last)
    if not any(line.category == last[0].category for line, _ in significant_lines(lines)):
        return f"No significant difference from A in {where}: {numbers}"
    return f"{best.run} has the highest {where}: {numbers}"


def _raw(line: Line) -> tuple[Cell, ...]:
    own, more = line.standing, line.standing.difference
    gain = (None,) * 4 if more is None else (more.value, more.low, more.high, more.p)
    return (line.category, line.run, own.value, own.low, own.high, *gain, own.p, line.holm)
