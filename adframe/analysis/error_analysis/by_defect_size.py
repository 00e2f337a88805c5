"""Whether small defects, or those at the border, are found less often than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import Entrant
from adframe.analysis.comparison_table import LEVEL
from adframe.analysis.error_analysis.common import FIGURES, Part, categories_of, narrow, slug
from adframe.analysis.error_analysis.size_bins import BORDER, SIZE, Criterion, Sorted, sorted_by
from adframe.reporting.document import Block, Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import gain, p_equals, p_value, percent, points, span
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.binned import MIN_BIN_IMAGES, bin_differences
from adframe.stats.estimates import Difference
from adframe.stats.significance import holm

_COLUMNS = (
    *(
        Column("category", "category"),
        Column("bin", "defect"),
        Column("range", "range"),
        Column("run", "run"),
    ),
    *(Column("images", "images"), Column("found", "found"), Column("recall", "recall", True)),
    *(
        Column("recall_ends", "95% interval"),
        Column("auroc", "AUROC", True),
        Column("auroc_ends", "95% interval"),
    ),
)
_RAW = (
    "category", "bin", "range", "run", "images", "found", "recall", "recall_low", "recall_high",
    "auroc", "auroc_low", "auroc_high",
)  # fmt: skip
_TESTED = (
    *(Column("category", "category"), Column("run", "run"), Column("sorted", "sorted by")),
    *(Column("measure", "measure"), Column("ends", "compared"), Column("more", "difference")),
    *(Column("interval", "95% interval"), Column("holm", "p Holm")),
)
_TESTED_RAW = (
    "category", "run", "sorted_by", "measure", "compared", "difference", "low", "high", "p", "p_holm"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tested:
    """The last bin against the first."""

    lines: Sorted
    measure: str  # recall | AUROC
    difference: Difference


def by_extent(runs: Sequence[Entrant], *, seed: int) -> Part:
    """Recall at the threshold and AUROC against all normal images, by size and by place of the defect."""
    title = "By size of the defect, and by its distance from the border"
    found = [
        lines
        for criterion in (SIZE, BORDER)
        for category in categories_of(runs)
        for lines in sorted_by(runs, category, criterion, seed=seed)
    ]
    if not found:
        return Part(Section(title, (_nothing(runs),)))
    tested = [test for lines in found for test in _tests(lines)]
    corrected = holm([test.difference.p for test in tested])
    blocks: list[Block] = [_HOW]
    for criterion in (SIZE, BORDER):
        own = [lines for lines in found if lines.criterion is criterion]
        if own:
            blocks += [_numbers(criterion, own), *_figures(criterion, own)]
    blocks.append(_differences(tested, corrected))
    pairs = zip(tested, corrected, strict=True)
    return Part(
        Section(title, tuple(blocks)),
        tuple(_finding(test, p) for test, p in pairs if is_significant(p, test.difference)),
    )


_HOW = (
    "Each category's annotated test defects are cut into thirds, so that every bin has images enough for an "
    "interval; the limits are the category's own, are the same for all runs, and stand in the table. Equal "
    "values share a bin, so there may be fewer than three. Recall has Wilson's interval, which keeps a width "
    "at 0 and 100; AUROC, of a bin's defects against all normal images, the bootstrap's. Images without an "
    "annotation are left out. Bins may also differ in their types of defect: what is seen is no cause."
)


def _nothing(runs: Sequence[Entrant]) -> str:
    return (
        "No test image has an annotated defect in the ledger. A run from before sizes were kept gets them "
        f"with: python evaluate.py run={runs[0].run.path}"
    )


def _tests(lines: Sorted) -> list[Tested]:
    recall, auroc = bin_differences(lines.bins[0], lines.bins[-1], level=LEVEL)
    return [Tested(lines, "recall", recall), Tested(lines, "AUROC", auroc)]


def _numbers(criterion: Criterion, found: Sequence[Sorted]) -> TableBlock:
    flat = [
        (lines, name, range_, each)
        for lines in found
        for name, range_, each in zip(lines.names, lines.ranges, lines.bins, strict=True)
    ]
    rows: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for lines, name, range_, each in flat:
        start = (lines.category, name, range_, lines.run, each.images, each.found)
        rows.append((*start, each.recall[0], span(*each.recall[1:]), each.auroc[0], span(*each.auroc[1:])))
        raw.append((*start, *each.recall, *each.auroc))
    return TableBlock(
        slug("by", criterion.column),
        f"By {criterion.title}, {criterion.unit}: images with such defects, how many are found at the "
        "threshold, and their AUROC against all normal images.",
        narrow(Table(_COLUMNS, tuple(rows))),
        raw=Table(tuple(Column(key, key) for key in _RAW), tuple(raw)),
    )


def _figures(criterion: Criterion, found: Sequence[Sorted]) -> list[Figure]:
    names = list(dict.fromkeys(lines.category for lines in found))[:FIGURES]
    return [
        bars(
            slug("recall_by", criterion.column, name),
            caption=f"Share of the defects of {name} that are found at the threshold, by {criterion.title} "
            f"({criterion.unit}), with Wilson's 95% intervals.",
            values={
                f"run {lines.run}": {
                    f"{label} ({span})": each.recall
                    for label, span, each in zip(lines.names, lines.ranges, lines.bins, strict=True)
                }
                for lines in found
                if lines.category == name
            },
            y_name="found, %",
        )
        for name in names
    ]


def _differences(tested: Sequence[Tested], corrected: Sequence[float]) -> TableBlock:
    rows: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for test, p in zip(tested, corrected, strict=True):
        lines, more = test.lines, test.difference
        compared = f"{lines.names[-1]} against {lines.names[0]}"
        start = (lines.category, lines.run, lines.criterion.title, test.measure, compared)
        raw.append((*start, more.value, more.low, more.high, more.p, p))
        rows.append((*start, points(more.value), span(more.low, more.high, signed=True), p_value(p)))
    return TableBlock(
        "extent_differences",
        "The last bin against the first, in points. Recall: Newcombe's interval and the larger p of "
        "Fisher's exact test and the bootstrap by part; AUROC: bootstrap. Corrected by Holm for all of the "
        f"table; bins of fewer than {MIN_BIN_IMAGES} images are not compared.",
        narrow(Table(_TESTED, tuple(rows))),
        raw=Table(tuple(Column(key, key) for key in _TESTED_RAW), tuple(raw)),
    )


def _finding(test: Tested, p: float) -> str:
    lines, more = test.lines, test.difference
    first, last = lines.bins[0], lines.bins[-1]
    pair = (first.recall, last.recall) if test.measure == "recall" else (first.auroc, last.auroc)
    texts = [f"{percent(value[0])} ({span(*value[1:])})" for value in pair]
    names, unit = lines.criterion.ends, lines.criterion.unit
    verb, worse = ("finds", "less often") if test.measure == "recall" else ("ranks", "worse")
    better = "more often" if test.measure == "recall" else "better"
    return (
        f"In {lines.category} run {lines.run} {verb} {names[0]} ({lines.ranges[0]} {unit}) "
        f"{worse if more.value > 0 else better} than {names[1]} ({lines.ranges[-1]} {unit}): {test.measure} "
        f"{texts[0]} compared with {texts[1]}, difference {gain(more)}, "
        f"{p_equals(p)} after Holm's correction."
    )
