"""Whether normal test images raise more alarms than the validation images of the threshold promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import Entrant, parts_of
from adframe.analysis.error_analysis.common import (
    DEPENDENT,
    categories_of,
    decisions_of,
    labels_of,
    narrow,
    rows_of,
)
from adframe.reporting.document import TableBlock
from adframe.reporting.format import p_equals, p_value, percent, span
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.validation_scores import ValidationScores
from adframe.stats.proportions import excess_alarms_p, wilson
from adframe.stats.significance import holm

Kept = Mapping[tuple[str, str], ValidationScores | None]  # by run and category
_COLUMNS = (
    *(Column("category", "category"), Column("run", "run"), Column("count", "validation normals")),
    *(Column("above", "of them above the threshold"), Column("images", "normal test images")),
    *(Column("alarms", "false alarms"), Column("fpr", "FPR", True), Column("fpr_ends", "95% interval")),
    *(Column("p", "p as many by chance"), Column("holm", "p Holm")),
)


@dataclass(frozen=True, slots=True)
class Promise:
    """One run in one category: (alarms, normal images), in validation and in test."""

    category: str
    run: str
    known: tuple[int, int]
    new: tuple[int, int]

    @property
    def p(self) -> float:
        return excess_alarms_p(self.known, self.new)


def promises(runs: Sequence[Entrant], kept: Kept) -> tuple[list[TableBlock], list[str]]:
    """A table, and a sentence for each run whose test normals score higher than its validation normals."""
    found = [
        _promise(run, category, scores)
        for category in categories_of(runs)
        for run in runs
        if (scores := kept[run.name, category]) is not None
    ]
    if not found:
        return [], []
    corrected = holm([each.p for each in found])
    pairs = list(zip(found, corrected, strict=True))
    caption = (
        "False alarms at the run's own threshold, compared with the number of normal validation images "
        "above it: p is the probability of as many or more if normal test images score like those of "
        "validation (exceedance test, one-sided), also after Holm's correction for the whole table."
    )
    images, parts = parts_of(runs[0])
    caption += DEPENDENT if images > parts else ""
    numbers = TableBlock(
        "false_alarms", caption, narrow(Table(_COLUMNS, tuple(_row(*each) for each in pairs)))
    )
    return [numbers], [_finding(each, p) for each, p in pairs if is_significant(p) and images == parts]


def _promise(run: Entrant, category: str, scores: ValidationScores) -> Promise:
    rows = rows_of(run, category)
    normal = ~labels_of(rows)
    above = int(np.sum(scores.normal > rows[0]["threshold"]))
    alarms = int((decisions_of(rows) & normal).sum())
    return Promise(category, run.name, (above, len(scores.normal)), (alarms, int(normal.sum())))


def _row(each: Promise, p: float) -> tuple[Cell, ...]:
    share = each.new[0] / each.new[1] if each.new[1] else None
    start = (each.category, each.run, each.known[1], each.known[0], each.new[1], each.new[0])
    return (*start, share, span(*wilson(*each.new)), p_value(each.p), p_value(p))


def _finding(each: Promise, p: float) -> str:
    return (
        f"Run {each.run} has more false alarms on {each.category} than its normal validation images lead to "
        f"expect: {each.new[0]} of {each.new[1]}, {percent(each.new[0] / each.new[1])} "
        f"({span(*wilson(*each.new))}), where {each.known[0]} of {each.known[1]} in validation lie above the "
        f"threshold ({p_equals(p)} after Holm's correction)."
    )
