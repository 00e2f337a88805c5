"""Rules for the threshold, compared: a table, bars of F1, and what the intervals support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adframe.analysis.compare import compare_together, is_significant
from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.error_analysis.common import (
    CATEGORIES_WITH_FIGURES,
    Analysed,
    categories_of,
    file_stem,
    without_constant_names,
)
from adframe.analysis.error_analysis.false_alarm_test import ScoresByRun, analyse_false_alarms
from adframe.analysis.error_analysis.threshold_rules import BOUNDS, OWN_RULE, RuleResult, apply_rules
from adframe.reporting.document import Block, Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import gain, p_value, percent, span
from adframe.reporting.tables import Column, shown, table_of_columns
from adframe.results.validation_scores import read_scores
from adframe.stats.estimates import Difference
from adframe.stats.intervals import compare_with_zero

Gain = tuple[Difference, float]  # a gain in F1, and its p value after Holm's correction
_TITLE = "Rules for the threshold"
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("rules", "rule"),
    Column("threshold", "threshold"),
    Column("f1_text", "F1"),
    Column("recall_text", "recall"),
    Column("fpr_text", "FPR"),
    Column("f1_more_text", "F1 minus that of the run"),
    Column("p_text", "p (Holm)"),
)
_CSV_COLUMNS = tuple(
    Column(key, key)
    for key in (
        *("category", "run", "rule", "threshold", "f1", "f1_low", "f1_high"),
        *("precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high"),
        *("fpr", "fpr_low", "fpr_high", "f1_more", "f1_more_low", "f1_more_high", "p", "p_holm"),
    )
)
_HOW = (
    "Each rule is fitted on the scores of the run's validation images, those that its own threshold came "
    "from, and its decisions are compared with the labels of the test images. By the pixel threshold an "
    "image is anomalous where any pixel of its map is above it; by zone thresholds, where any zone is. "
    "The comparison reports: a rule that is "
    "chosen by it is chosen on test images. The oracle is the best F1 that any single threshold reaches on "
    "these test images: it uses their labels, so it is an upper bound and not a rule. F1 depends on the "
    "share of anomalous images: the last row shows the F1 of calling all images anomalous."
)


def analyse_threshold_rules(runs: Sequence[ComparedRun]) -> Analysed:
    """Compares F1, precision, recall and FPR of rules that are fitted on validation images.

    Args:
        runs: runs on the same images.
    """
    names = categories_of(runs)
    validation = {
        (run.name, name): read_scores(run.run.path, category=name) for run in runs for name in names
    }
    found = [
        each for name in names for run in runs for each in apply_rules(run, name, validation[run.name, name])
    ]
    if not found:
        return Section(_TITLE, ("Rules are compared where there are test images of both kinds.",)), []
    gains = compare_together([None if each.rule in BOUNDS else each.f1_gain for each in found])
    alarms, findings = analyse_false_alarms(runs, validation)
    blocks: list[Block] = [*alarms, _HOW, *_missing_scores(runs, validation), _rules_table(found, gains)]
    blocks += [
        _f1_bars(found, name)
        for name in names[:CATEGORIES_WITH_FIGURES]
        if any(each.category == name for each in found)
    ]
    return Section(_TITLE, tuple(blocks)), [*findings, *_rule_sentences(found, gains)]


def _missing_scores(runs: Sequence[ComparedRun], validation: ScoresByRun) -> list[str]:
    """Remarks on rules that could not be fitted."""
    remarks = []
    lacking = [run for run in runs if any(validation[run.name, name] is None for name in categories_of(runs))]
    if lacking:
        remarks.append(
            f"Without validation scores: {', '.join(run.name for run in lacking)}. An "
            "older adframe, which did not keep them in validation/, made these runs; train again to fit "
            "other rules."
        )
    missing = not any(scores is not None and len(scores.anomalous) for scores in validation.values())
    if missing and len(lacking) < len(runs):
        remarks.append(
            "No rule uses anomalous validation images, because there are none; "
            "split=mvtec_shift_protocol takes some from test."
        )
    return remarks


def _rules_table(found: Sequence[RuleResult], gains: Sequence[Gain]) -> TableBlock:
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}  # rules with one threshold share a row
    for each, (tested, p) in zip(found, gains, strict=True):
        # The bounds have a difference as well, but no test.
        more = compare_with_zero(each.f1_gain) if each.rule in BOUNDS and each.f1_gain else tested
        row: dict[str, Any] = {
            "category": each.category,
            "run": each.run,
            "rule": each.rule,
            "threshold": each.threshold,
            "f1_more": None if each.f1_gain is None else more.value,
            "f1_more_low": None if each.f1_gain is None else more.low,
            "f1_more_high": None if each.f1_gain is None else more.high,
            "f1_more_text": "" if each.f1_gain is None else gain(more),
            "p": None if each.f1_gain is None else more.p,
            "p_holm": p,
            "p_text": "" if each.f1_gain is None else p_value(p),
        }
        for name, (value, low, high) in each.measures.items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_text"] = f"{shown(value, percent=True)} ({span(low, high)})"
        rows.append(row)
        same = each.rule if each.threshold is None or each.rule in BOUNDS else each.threshold
        groups.setdefault((each.category, each.run, same), []).append(row)
    short = [own[0] | {"rules": " = ".join(row["rule"] for row in own)} for own in groups.values()]
    return TableBlock(
        "threshold_rules",
        "The decisions of each rule, fitted on validation, on the test images; the difference in F1 to the "
        "run's own decisions is in percentage points, with simultaneous intervals, and Holm's correction is "
        "for all rules of the table.",
        without_constant_names(table_of_columns(_COLUMNS, short)),
        raw=table_of_columns(_CSV_COLUMNS, rows),
    )


def _f1_bars(found: Sequence[RuleResult], category: str) -> Figure:
    own = [each for each in found if each.category == category]
    same: dict[object, list[str]] = {}  # rules with the same threshold in every run share a bar
    for rule in dict.fromkeys(each.rule for each in own):
        thresholds = tuple((each.run, each.threshold) for each in own if each.rule == rule)
        alone = rule in BOUNDS or all(threshold is None for _, threshold in thresholds)
        same.setdefault(rule if alone else thresholds, []).append(rule)
    names = {
        rules[0]: rules[0] + (f" and {len(rules) - 1} more" if rules[1:] else "") for rules in same.values()
    }
    return bars(
        file_stem("f1_by_rule", category),
        caption=f"F1 of each rule on the test images of {category}, with 95% intervals. Rules with the "
        "same threshold share a bar; the table names them.",
        values={
            f"run {run}": {
                names[each.rule]: each.measures["f1"]
                for each in own
                if each.run == run and each.rule in names
            }
            for run in dict.fromkeys(each.run for each in own)
        },
        y_name="F1, %",
    )


def _rule_sentences(found: Sequence[RuleResult], gains: Sequence[Gain]) -> list[str]:
    """One sentence for each run and category in which a rule differs from the run's own threshold."""
    sentences = []
    for own in (each for each in found if each.rule == OWN_RULE):
        others = [
            f"{each.rule} {_f1_and_fpr(each)}"
            for each, (_, p) in zip(found, gains, strict=True)
            if (each.category, each.run) == (own.category, own.run) and is_significant(p)
        ]
        if others:
            sentences.append(
                f"In {own.category} F1 of run {own.run} is {_f1_and_fpr(own)} at its own threshold; it "
                "differs (after Holm's correction) with other rules fitted on validation: "
                f"{'; '.join(others)}."
            )
    return sentences


def _f1_and_fpr(result: RuleResult) -> str:
    f1, low, high = result.measures["f1"]
    return f"{percent(f1)} ({span(low, high)}), FPR {percent(result.measures['fpr'][0])}"
