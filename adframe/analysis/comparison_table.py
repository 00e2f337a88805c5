"""Comparison of runs with the first of them, category by category: the rows of a table, and sentences."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.compare import ALPHA, is_significant
from adframe.analysis.compared_runs import Entrant, parts_of
from adframe.reporting.format import gain, p_equals, p_value, with_interval
from adframe.reporting.tables import Cell, Column, Table, shown
from adframe.results.names import MEAN
from adframe.stats.estimates import Estimate
from adframe.stats.pairwise_auroc import Standing, mean_standings, standings
from adframe.stats.significance import holm, wilcoxon

RESAMPLES, LEVEL = 1000, 0.95
_FEWEST = 5  # categories from which on Wilcoxon's test is made
_SHOWN = (
    Column("category", "category"),
    Column("run", "run"),
    Column("auroc", "image AUROC"),
    Column("difference", "difference from A"),
    Column("p", "p DeLong"),
    Column("holm", "p Holm"),
)
_STORED = (
    "category", "run", "image/auroc", "image/auroc_low", "image/auroc_high", "difference",
    "difference_low", "difference_high", "p_bootstrap", "p_delong", "p_holm"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One run in one category; `holm` is `standing.p` corrected for all the comparisons of the table."""

    category: str
    run: str
    standing: Standing
    holm: float


def lines_of(entrants: Sequence[Entrant], *, seed: int) -> list[Line]:
    """Every run in every category, then in their mean where there are several.

    Args:
        entrants: runs on the same images; each is compared with the first.
        seed: of the bootstrap.
    """
    categories = list(dict.fromkeys(category for category, _ in entrants[0].images))
    found = {category: _category(entrants, category, seed=seed) for category in categories}
    rows = list(found.items())
    if len(rows) > 1:
        rows.append((MEAN, mean_standings(list(found.values()), level=LEVEL)))
    flat = [
        (category, entrant.name, standing)
        for category, row in rows
        for entrant, standing in zip(entrants, row, strict=True)
    ]
    corrected = holm([standing.p for _, _, standing in flat])
    return [Line(*line, p) for line, p in zip(flat, corrected, strict=True)]


def _category(entrants: Sequence[Entrant], category: str, *, seed: int) -> list[Standing]:
    keys = sorted(key for key in entrants[0].images if key[0] == category)
    rows = [entrants[0].images[key] for key in keys]
    return standings(
        [np.array([entrant.images[key]["score"] for key in keys], np.float64) for entrant in entrants],
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
    """Wilcoxon's test of each run against the first, one pair of AUROCs per category."""
    values: dict[str, list[float]] = {}
    for line in lines:
        if line.category != MEAN and math.isfinite(line.standing.value):
            values.setdefault(line.run, []).append(line.standing.value)
    first, *others = values or {"": []}
    count = len(values.get(first, []))
    if count < _FEWEST:
        return [f"No test across categories: Wilcoxon's test needs {_FEWEST} or more, and there are {count}."]
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


def remarks(first: Entrant) -> list[str]:
    """What a reader of the p values must know of these images."""
    images, parts = parts_of(first)
    if images == parts:
        return []
    return [
        f"{images} images show {parts} parts: DeLong's p takes them for independent and is "
        "too small; the intervals keep a part's images together and hold."
    ]


def for_people(lines: Iterable[Line]) -> Table:
    """The table of a page: per cent, with intervals."""
    return Table(_SHOWN, tuple(_cells(line) for line in lines))


def _cells(line: Line) -> tuple[Cell, ...]:
    own, more = line.standing, line.standing.difference
    start = (line.category, line.run, with_interval(Estimate(own.value, own.low, own.high)))
    return (
        (*start, None, None, None)
        if more is None
        else (*start, gain(more), p_value(own.p), p_value(line.holm))
    )


def for_programs(lines: Iterable[Line]) -> Table:
    """Full names, raw numbers."""
    return Table(tuple(Column(key, key) for key in _STORED), tuple(_raw(line) for line in lines))


def verdict(lines: Sequence[Line]) -> str:
    """One sentence on the last category, which is the mean where there are several."""
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
