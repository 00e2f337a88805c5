"""How the runs rank the same images: AUROC, differences and tests, as `compare=` has them."""

from __future__ import annotations

from collections.abc import Sequence

from adframe.analysis.compared_runs import Entrant
from adframe.analysis.comparison_table import (
    Line,
    across,
    for_people,
    for_programs,
    lines_of,
    remarks,
    significant_lines,
)
from adframe.analysis.error_analysis.common import Part, narrow
from adframe.reporting.document import Block, Section, TableBlock
from adframe.reporting.format import gain, p_equals, percent, span
from adframe.results.names import MEAN


def by_ranking(runs: Sequence[Entrant], *, seed: int) -> Part:
    """A table, Wilcoxon's test where there are categories enough, and the differences that hold."""
    lines = lines_of(runs, seed=seed)
    numbers = TableBlock(
        "ranking",
        "Image AUROC of each run and its difference to the first, in points: bootstrap intervals by part, "
        "DeLong's test, and Holm's correction for all of the table.",
        narrow(for_people(lines)),
        raw=for_programs(lines),
    )
    blocks: list[Block] = [numbers, *across(lines), *remarks(runs[0])]
    return Part(Section("How the runs rank images", tuple(blocks)), tuple(_findings(lines)))


def _findings(lines: Sequence[Line]) -> list[str]:
    return [_finding(line, p, first=lines[0].run) for line, p in significant_lines(lines)]


def _finding(line: Line, p: float, *, first: str) -> str:
    own, more = line.standing, line.standing.difference
    assert more is not None
    where = "on average over categories" if line.category == MEAN else f"of {line.category}"
    return (
        f"Run {line.run} ranks images {where} {'better' if more.value > 0 else 'worse'} than run {first}: "
        f"AUROC {percent(own.value)} ({span(own.low, own.high)}), difference {gain(more)}, "
        f"{p_equals(p)} after Holm's correction."
    )
