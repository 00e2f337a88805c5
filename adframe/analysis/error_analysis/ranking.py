"""How the runs rank the same images: AUROC, differences and tests, as in `evaluate.py compare=`."""

from __future__ import annotations

from collections.abc import Sequence

from adframe.analysis.compare import Comparison
from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.comparison_table import (
    Line,
    across,
    for_people,
    for_programs,
    lines_of,
    remarks,
)
from adframe.analysis.error_analysis.common import Analysed, without_constant_names
from adframe.reporting.document import Section, TableBlock
from adframe.reporting.format import gain, p_equals, percent, span
from adframe.results.names import MEAN


def analyse_ranking(runs: Sequence[ComparedRun]) -> Analysed:
    """Compares the image AUROC of each run with that of the first, in each category and across categories.

    Args:
        runs: two or more runs on the same images.
    """
    lines = lines_of(runs)
    numbers = TableBlock(
        "ranking",
        "Image AUROC of each run and its difference to the first, in percentage points: simultaneous "
        "intervals, and p values also after Holm's correction for all comparisons of the table.",
        without_constant_names(for_people(lines)),
        raw=for_programs(lines),
    )
    section = Section("How the runs rank images", (numbers, *across(lines), *remarks(runs[0])))
    compared = [(line, line.comparison) for line in lines if line.comparison is not None]
    findings = [_ranking_sentence(line, each) for line, each in compared if each.significant]
    return section, findings


def _ranking_sentence(line: Line, comparison: Comparison) -> str:
    where = "on average over categories" if line.category == MEAN else f"of {line.category}"
    better = "better" if comparison.difference.value > 0 else "worse"
    return (
        f"Run {line.run} ranks images {where} {better} than run {comparison.a}: "
        f"AUROC {percent(line.auroc.value)} ({span(line.auroc.low, line.auroc.high)}), difference "
        f"{gain(comparison.difference)}, {p_equals(comparison.adjusted)} after Holm's correction."
    )
