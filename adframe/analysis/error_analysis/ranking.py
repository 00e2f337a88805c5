"""How the runs rank the same images: AUROC, differences and tests, as `compare=` has them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adframe.analysis.compared_runs import Entrant
from adframe.analysis.comparison_table import Line, across, for_people, for_programs, lines_of, remarks
from adframe.analysis.error_analysis.common import Part, narrow
from adframe.reporting.document import Block, Section, TableBlock
from adframe.reporting.format import gain, p_equals, percent, span
from adframe.results.names import MEAN
from adframe.stats.significance import holm


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
    """Categories by DeLong's test, the mean by its bootstrap, which is all that it has."""
    mean = [line for line in lines if line.category == MEAN]
    overall = dict(zip([line.run for line in mean], holm([_bootstrap_p(line) for line in mean]), strict=True))
    pairs = [(line, overall[line.run] if line.category == MEAN else line.holm) for line in lines]
    return [_finding(line, p, first=lines[0].run) for line, p in pairs if _holds(line, p)]


def _bootstrap_p(line: Line) -> float:
    return math.nan if line.standing.difference is None else line.standing.difference.p


def _holds(line: Line, p: float) -> bool:
    more = line.standing.difference
    return more is not None and p < 0.05 and more.low * more.high > 0


def _finding(line: Line, p: float, *, first: str) -> str:
    own, more = line.standing, line.standing.difference
    assert more is not None
    where = "on average over categories" if line.category == MEAN else f"of {line.category}"
    return (
        f"Run {line.run} ranks images {where} {'better' if more.value > 0 else 'worse'} than run {first}: "
        f"AUROC {percent(own.value)} ({span(own.low, own.high)}), difference {gain(more)}, "
        f"{p_equals(p)} after Holm's correction."
    )
