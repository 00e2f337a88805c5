"""Rules for the threshold, compared: a table, bars of F1, and what the intervals say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import Entrant
from adframe.analysis.error_analysis.common import FIGURES, Part, categories_of, narrow, slug
from adframe.analysis.error_analysis.false_alarm_test import Kept, promises
from adframe.analysis.error_analysis.threshold_rules import BOUNDS, OWN, Strategy, strategies
from adframe.reporting.document import Block, Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import gain, p_value, percent, span
from adframe.reporting.tables import Cell, Column, Table, shown
from adframe.results.validation_scores import read_scores
from adframe.stats.significance import holm

_TITLE = "Rules for the threshold"
_COLUMNS = (
    *(Column("category", "category"), Column("run", "run"), Column("rule", "rule")),
    *(Column("threshold", "threshold"), Column("f1", "F1")),
    *(Column("recall", "recall"), Column("fpr", "FPR"), Column("more", "F1 more than decided")),
    Column("holm", "p Holm"),
)
_RAW = (
    "category", "run", "rule", "threshold", "f1", "f1_low", "f1_high", "precision", "precision_low",
    "precision_high", "recall", "recall_low", "recall_high", "fpr", "fpr_low", "fpr_high", "f1_more",
    "f1_more_low", "f1_more_high", "p", "p_holm",
)  # fmt: skip


_HOW = (
    "Each rule is fitted on the scores of the run's validation images, those that its own threshold came "
    "from, and its decisions are compared with the labels of the test images. By the pixel threshold an "
    "image is anomalous where any pixel of its map is above it; by zone thresholds, where any zone is. "
    "Recall and FPR have Wilson's intervals, F1 the bootstrap's. The comparison reports: a rule that is "
    "chosen by it is chosen on test images. The oracle is the best F1 that any one threshold reaches on "
    "these test images: it looks at their labels, and is an upper bound, no rule. F1 depends on the share "
    "of anomalous images: the last row shows the F1 of calling all images anomalous."
)


def by_rule(runs: Sequence[Entrant], *, seed: int) -> Part:
    """F1, precision, recall and FPR by rule; rules are fitted on validation, and judged on test images."""
    names = categories_of(runs)
    kept = {(run.name, name): read_scores(run.run.path, category=name) for run in runs for name in names}
    found = [
        each
        for name in names
        for run in runs
        for each in strategies(run, name, kept[run.name, name], seed=seed)
    ]
    if not found:
        return Part(Section(_TITLE, ("Rules are compared where there are test images of both kinds.",)))
    corrected = holm([each.more.p if each.more and each.rule not in BOUNDS else math.nan for each in found])
    alarms, findings = promises(runs, kept)
    blocks: list[Block] = [*alarms, _HOW, *_remarks(runs, kept), _numbers(found, corrected)]
    blocks += [_figure(found, name) for name in names[:FIGURES] if any(s.category == name for s in found)]
    return Part(Section(_TITLE, tuple(blocks)), (*findings, *_findings(found, corrected)))


def _remarks(runs: Sequence[Entrant], kept: Kept) -> list[str]:
    """What the rules could not be fitted on."""
    lines = []
    lacking = [run for run in runs if any(kept[run.name, name] is None for name in categories_of(runs))]
    if lacking:
        lines.append(
            f"Without validation scores: {', '.join(run.name for run in lacking)}. Runs keep them in "
            "validation/ since this analysis was made; run the training again to have other rules fitted."
        )
    missing = not any(scores is not None and len(scores.anomalous) for scores in kept.values())
    if missing and len(lacking) < len(runs):
        lines.append(
            "No rule looks at anomalous validation images, because there are none; "
            "split=mvtec_shift_protocol takes some from test."
        )
    return lines


def _numbers(found: Sequence[Strategy], corrected: Sequence[float]) -> TableBlock:
    raw: list[tuple[Cell, ...]] = []
    alike: dict[tuple[Cell, ...], list[str]] = {}  # rules with one threshold share a row
    for each, p in zip(found, corrected, strict=True):
        more, start = each.more, (each.category, each.run)
        exact = (None,) * 4 if more is None else (more.value, more.low, more.high, more.p)
        measured = (end for value in each.measures for end in value)
        raw.append((*start, each.rule, each.threshold, *measured, *exact, p))
        same = each.rule if each.threshold is None or each.rule in BOUNDS else each.threshold
        alike.setdefault((*start, same), []).append(each.rule)
    known = {
        (each.category, each.run, each.rule): (each, p) for each, p in zip(found, corrected, strict=True)
    }
    lines = [_row(*known[str(place[0]), str(place[1]), names[0]], names) for place, names in alike.items()]
    return TableBlock(
        "threshold_rules",
        "What each rule, fitted on validation, decides on the test images; the difference in F1 to the run's "
        "own decisions is in points, on the same resamples, and Holm's correction is for all of the table's "
        "rules.",
        narrow(Table(_COLUMNS, tuple(lines))),
        raw=Table(tuple(Column(key, key) for key in _RAW), tuple(raw)),
    )


def _row(each: Strategy, p: float, names: Sequence[str]) -> tuple[Cell, ...]:
    texts = [f"{shown(value[0], percent=True)} ({span(*value[1:])})" for value in each.measures]
    del texts[1]  # of precision, which the CSV file has
    more = each.more
    tested = ("", "") if more is None else (gain(more), p_value(p))
    return (each.category, each.run, " = ".join(names), each.threshold, *texts, *tested)


def _figure(found: Sequence[Strategy], category: str) -> Figure:
    own = [each for each in found if each.category == category]
    values = {
        f"run {run}": {each.rule: each.measures[0] for each in own if each.run == run}
        for run in dict.fromkeys(each.run for each in own)
    }
    return bars(
        slug("f1_by_rule", category),
        caption=f"F1 of each rule on the test images of {category}, with 95% bootstrap intervals.",
        values=values,
        y_name="F1, %",
    )


def _findings(found: Sequence[Strategy], corrected: Sequence[float]) -> list[str]:
    """A sentence a run and category in which a rule differs from the run's own threshold."""
    said = []
    for own in (each for each in found if each.rule == OWN):
        beside = [
            each
            for each, p in zip(found, corrected, strict=True)
            if (each.category, each.run) == (own.category, own.run) and _holds(each, p)
        ]
        if beside:
            others = "; ".join(f"{each.rule} {_said(each)}" for each in beside)
            said.append(
                f"In {own.category} F1 of run {own.run} is {_said(own)} at its own threshold; it differs "
                f"(after Holm's correction) with other rules fitted on validation: {others}."
            )
    return said


def _holds(each: Strategy, p: float) -> bool:
    return each.more is not None and each.rule not in BOUNDS and is_significant(p, each.more)


def _said(each: Strategy) -> str:
    f1, fpr = each.measures[0], each.measures[3]
    return f"{percent(f1[0])} ({span(*f1[1:])}), FPR {percent(fpr[0])}"
