"""Whether normal test images raise more alarms than the validation images of the threshold lead to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import ComparedRun, parts_of
from adframe.analysis.error_analysis.common import (
    DEPENDENT_IMAGES,
    categories_of,
    decisions_of,
    labels_of,
    rows_of,
    without_constant_names,
)
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.document import TableBlock
from adframe.reporting.format import p_equals, p_value, percent, span
from adframe.reporting.tables import Column, table_of_columns
from adframe.results.validation_scores import ValidationScores
from adframe.stats.proportions import excess_alarms_p
from adframe.stats.significance import holm

ScoresByRun = Mapping[tuple[str, str], ValidationScores | None]  # by name of the run and category
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("count", "normal validation images"),
    Column("above", "of them above the threshold"),
    Column("images", "normal test images"),
    Column("alarms", "false alarms"),
    Column("fpr", "FPR", True),
    Column("fpr_ends", "95% interval"),
    Column("p", "p as many by chance"),
    Column("holm", "p (Holm)"),
)


def analyse_false_alarms(
    runs: Sequence[ComparedRun], validation: ScoresByRun
) -> tuple[list[TableBlock], list[str]]:
    """Tests whether the normal test images of each run score higher than its normal validation images.

    Args:
        runs: runs on the same images.
        validation: the validation scores of each run and category; None where the run kept none.

    Returns:
        A table, and a sentence for each significant result; nothing without validation scores.
    """
    rows = [
        _false_alarm_row(run, category, scores)
        for category in categories_of(runs)
        for run in runs
        if (scores := validation[run.name, category]) is not None
    ]
    if not rows:
        return [], []
    corrected = holm([row["p_value"] for row in rows])
    shown = [row | {"holm": p_value(p)} for row, p in zip(rows, corrected, strict=True)]
    images, parts = parts_of(runs[0])
    caption = (
        "False alarms at the run's own threshold, compared with the number of normal validation images "
        "above it: p is the probability of as many or more if normal test images score like those of "
        "validation (exceedance test, one-sided), also after Holm's correction for the whole table."
    ) + (DEPENDENT_IMAGES if images > parts else "")
    findings = [
        _false_alarm_sentence(row, p)
        for row, p in zip(rows, corrected, strict=True)
        if is_significant(p) and images == parts
    ]
    table = without_constant_names(table_of_columns(_COLUMNS, shown))
    return [TableBlock("false_alarms", caption, table)], findings


def _false_alarm_row(run: ComparedRun, category: str, scores: ValidationScores) -> dict[str, Any]:
    rows = rows_of(run, category)
    normal = ~labels_of(rows)
    known = int(np.sum(scores.normal > rows[0]["threshold"])), len(scores.normal)
    new = int((decisions_of(rows) & normal).sum()), int(normal.sum())
    p = excess_alarms_p(known, new)
    return {
        "category": category,
        "run": run.name,
        "above": known[0],
        "count": known[1],
        "alarms": new[0],
        "images": new[1],
        "fpr": new[0] / new[1] if new[1] else None,
        "fpr_ends": span(*image_share_interval(rows, counted=decisions_of(rows), among=normal)),
        "p_value": p,
        "p": p_value(p),
    }


def _false_alarm_sentence(row: Mapping[str, Any], p: float) -> str:
    return (
        f"Run {row['run']} has more false alarms on {row['category']} than its normal validation images lead "
        f"to expect: {row['alarms']} of {row['images']}, {percent(row['fpr'])} ({row['fpr_ends']}), while "
        f"{row['above']} of {row['count']} in validation lie above the threshold ({p_equals(p)} after Holm's "
        "correction)."
    )
