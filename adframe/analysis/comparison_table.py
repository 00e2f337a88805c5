"""The comparison of runs with the first of them, category by category: the rows of a table, and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.compare import ALPHA, Comparison, correct_by_holm
from adframe.analysis.compared_runs import ComparedRun, parts_of
from adframe.metrics.measured import measured_metrics
from adframe.metrics.resampled import resample_weights
from adframe.reporting.format import gain, p_equals, p_value, with_interval
from adframe.reporting.tables import Cell, Column, Table, shown
from adframe.results.names import MEAN
from adframe.stats.estimates import UNKNOWN, Estimate
from adframe.stats.intervals import DifferenceOf, MeanOf, Measured, compare_with_zero, interval_of
from adframe.stats.significance import holm, wilcoxon
from adframe.stats.weighted_metrics import weighted_metrics

_METRIC = "image/auroc"
_MIN_CATEGORIES = 5  # for Wilcoxon's test
_PAGE_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("auroc", "image AUROC"),
    Column("difference", "difference from A"),
    Column("p", "p"),
    Column("holm", "p (Holm)"),
)
_CSV_COLUMNS = (
    "category", "run", "image/auroc", "image/auroc_low", "image/auroc_high", "difference",
    "difference_low", "difference_high", "p", "p_holm"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One run in one category, or in the mean over categories.

    Attributes:
        category: name of the category, or `mean`.
        run: name of the run.
        auroc: its image AUROC, as a share.
        comparison: how it differs from the first run; None for the first run, and where AUROC is unknown.

    Example:
        >>> for_people([Line("bolt", "A", Estimate(0.875, 0.75, 1.0), comparison=None)]).shown[0][:3]
        ('bolt', 'A', '87.5 (75.0 to 100.0)')
    """

    category: str
    run: str
    auroc: Estimate
    comparison: Comparison | None


def lines_of(runs: Sequence[ComparedRun]) -> list[Line]:
    """Compares every run with the first in every category, then in the mean of several categories.

    All comparisons are one family.

    Args:
        runs: runs on the same images.

    Returns:
        One line per category and run.
    """
    categories = list(dict.fromkeys(category for category, _ in runs[0].images))
    measured = {category: _measured_in(runs, category) for category in categories}
    places = [(category, [category]) for category in categories]
    if len(categories) > 1:
        places.append((MEAN, categories))
    lines = [
        _line(place, run.name, runs[0].name, [(measured[name][0], measured[name][number]) for name in of])
        for place, of in places
        for number, run in enumerate(runs)
    ]
    compared = [line for line in lines if line.comparison is not None]
    corrected = correct_by_holm([line.comparison for line in compared if line.comparison is not None])
    by_line = {id(line): comparison for line, comparison in zip(compared, corrected, strict=True)}
    return [Line(each.category, each.run, each.auroc, by_line.get(id(each))) for each in lines]


def _measured_in(runs: Sequence[ComparedRun], category: str) -> list[Measured | None]:
    """Returns the image AUROC of each run with its draws, on the same resamples; None where it is unknown."""
    keys = sorted(key for key in runs[0].images if key[0] == category)
    rows = [runs[0].images[key] for key in keys]
    labels, weights = np.array([bool(row["label"]) for row in rows]), resample_weights(rows)
    found = []
    for run in runs:
        scores = np.array([run.images[key]["score"] for key in keys], np.float64)
        observed, drawn = (
            weighted_metrics(scores, labels=labels, weights=counts)[_METRIC]
            for counts in (np.ones((1, len(rows)), np.uint16), weights)
        )
        # The draws that a run stores are float32, and its report must have the same interval.
        stored = {_METRIC: drawn.astype(np.float32)}
        found.append(measured_metrics({_METRIC: float(observed[0])}, stored, images=rows).get(_METRIC))
    return found


def _line(place: str, run: str, first: str, pairs: Sequence[tuple[Measured | None, Measured | None]]) -> Line:
    """Compares a run with the first one in the mean of categories, given the AUROCs of both in each."""
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if len(known) < len(pairs):
        return Line(place, run, UNKNOWN, None)
    mean = MeanOf([own for _, own in known])
    auroc = Estimate(mean.value, *interval_of(mean))
    if run == first:
        return Line(place, run, auroc, None)
    number = MeanOf([DifferenceOf(a, b, paired=True) for a, b in known])
    difference = compare_with_zero(number)
    return Line(place, run, auroc, Comparison(first, run, place, _METRIC, difference, number=number))


def across(lines: Sequence[Line]) -> list[str]:
    """Returns sentences on Wilcoxon's test of each run against the first, one pair of AUROCs per category.

    Args:
        lines: the lines of the table.
    """
    values: dict[str, list[float]] = {}
    for line in lines:
        if line.category != MEAN and line.auroc.known:
            values.setdefault(line.run, []).append(line.auroc.value)
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
        f"{images} images show {parts} parts. Intervals and p values keep the images of a part together: "
        "they count parts, not images."
    ]


def for_people(lines: Iterable[Line]) -> Table:
    """Returns the table of a page: per cent, with intervals.

    Args:
        lines: the lines of the table.
    """
    return Table(_PAGE_COLUMNS, tuple(_cells(line) for line in lines))


def _cells(line: Line) -> tuple[Cell, ...]:
    start = (line.category, line.run, with_interval(line.auroc))
    if line.comparison is None:
        return (*start, None, None, None)
    difference = line.comparison.difference
    return (*start, gain(difference), p_value(difference.p), p_value(line.comparison.adjusted))


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
    known = [line for line in last if line.auroc.known]
    if not known:
        return f"{len(last)} runs without an {where}: it needs normal and anomalous images"
    best = max(known, key=lambda line: line.auroc.value)
    numbers = ", ".join(f"{line.run} {shown(line.auroc.value, percent=True)}" for line in last)
    if not any(line.comparison is not None and line.comparison.significant for line in last):
        return f"No significant difference from A in {where}: {numbers}"
    return f"{best.run} has the highest {where}: {numbers}"


def _raw(line: Line) -> tuple[Cell, ...]:
    start = (line.category, line.run, line.auroc.value, line.auroc.low, line.auroc.high)
    if line.comparison is None:
        return (*start, None, None, None, None, math.nan)
    difference = line.comparison.difference
    return (*start, difference.value, difference.low, difference.high, difference.p, line.comparison.adjusted)
