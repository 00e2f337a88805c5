"""The table of decisions under each condition of a domain shift: counts of images, and rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adframe.analysis.settings import Setting
from adframe.analysis.studies.domain_shift_plots import (
    estimate_cells,
    estimate_csv_columns,
)
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.reporting.document import TableBlock
from adframe.reporting.format import span, title_of
from adframe.reporting.summary import Confusion, confusion
from adframe.reporting.tables import Column, table_of_columns

_RATES = ("image/recall", "image/fpr", "image/f1", "image/balanced_accuracy")
_START = (Column("method", "method"), Column("shift", "shift"), Column("condition", "condition"))
_COUNTS = ("found", "defects", "false_alarms", "normal")


def decisions_table(cases: Sequence[ShiftCase]) -> TableBlock:
    """Builds the table of decisions with the own and with the recalibrated threshold.

    Args:
        cases: the cases of the study.

    Returns:
        One row per case and condition: counts over all categories of the first seed, and rates in the mean
        over categories and seeds.
    """
    rows: list[dict[str, str | float | None]] = []
    ends: dict[tuple[int, int], str] = {}
    for case in cases:
        for condition in case.conditions:
            counts = decisions_of(condition, case.categories)
            defects, normal = counts.found + counts.missed, counts.false_alarms + counts.passed
            row: dict[str, str | float | None] = {
                "method": case.method,
                "shift": case.domain,
                "condition": condition.name,
                "found text": f"{counts.found} of {defects}",
                "alarms text": f"{counts.false_alarms} of {normal}",
            }
            row |= dict(zip(_COUNTS, (counts.found, defects, counts.false_alarms, normal), strict=True))
            for place, metric in enumerate(_RATES):
                estimate = condition.estimate(metric, case.categories)
                row |= estimate_cells(metric, estimate)
                if math.isfinite(estimate.low):
                    ends[len(rows), len(_START) + 2 + place] = f"({span(estimate.low, estimate.high)})"
            rows.append(row)
    shown = (Column("found text", "defects found"), Column("alarms text", "false alarms"))
    rates = [Column(metric, title_of(metric), True) for metric in _RATES]
    return TableBlock(
        "decisions",
        "Decisions by condition: images of all categories with the first seed, and rates in per cent in the "
        "mean over the categories, with 95% intervals. A lower false-positive rate is a gain only as far as "
        "recall is kept.",
        table_of_columns([*_START, *shown, *rates], rows),
        raw=table_of_columns(
            [*_START, *(Column(key, key) for key in _COUNTS), *estimate_csv_columns(_RATES)], rows
        ),
        notes=ends,
    )


def decisions_of(condition: Setting, categories: Sequence[str]) -> Confusion:
    """Counts the decisions of the first seed at the threshold of a condition.

    Args:
        condition: the tests under one condition; a recalibrated threshold replaces that of the predictions.
        categories: the categories that are counted.

    Returns:
        The counts.
    """
    decided = []
    for name in categories:
        threshold = condition.tests[name][0].image_threshold
        # Without a threshold (NaN) nothing was decided, although no score lies above it.
        known = math.isfinite(threshold)
        decided += [
            row | {"decision": row["score"] > threshold if known else None} for row in condition.rows(name)
        ]
    return confusion(decided)
