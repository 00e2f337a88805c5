"""How the runs rank the same images: AUROC, differences and tests, as in `evaluate.py compare=`."""

from __future__ import annotations

from collections.abc import Sequence

from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.comparison_table import (
    Line,
    across,
    for_people,
    for_programs,
    lines_of,
    remarks,
    significant_lines,
)
from adframe.analysis.error_analysis.common import Analysed, without_constant_names
from adframe.reporting.document import Section, TableBlock
from adframe.reporting.format import gain, p_equals, percent, span
from adframe.results.names import MEAN


def analyse_ranking(runs: Sequence[ComparedRun], *, seed: int) -> Analysed:
    """Compares the image AUROC of each run with that of the first, in each category and across categories.

    Args:
        runs: two or more runs on the same images.
        seed: seed of the bootstrap.
    """
    lines = lines_of(runs, seed=seed)
    numbers = TableBlock(
        "ranking",
        "Image AUROC of each run and its difference to the first, in points: bootstrap intervals by part, "
        "DeLong's test, and Holm's correction for all comparisons of the table.",
        without_constant_names(for_people(lines)),
        raw=for_programs(lines),
    )
    section = Section("How the runs rank images", (numbers, *across(lines), *remarks(runs[0])))
    return section, [_ranking_sentence(line, p, first=lines[0].run) for line, p in significant_lines(lines)]


def _ranking_sentence(line: Line, p: float, *, first: str) -> str:
    own, more = line.standing, line.standing.difference
    assert more is not None
    where = "on average over categories" if line.category == MEAN else f"of {line.category}"
    return (
        f"Run {line.run} ranks images {where} {'better' if more.value > 0 else 'worse'} than run {first}: "
        f"AUROC {percent(own.value)} ({span(own.low, own.high)}), difference {gain(more)}, "
        f"{p_equals(p)} after Holm's correction."
    )
