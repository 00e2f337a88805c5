"""Decisions by type of defect: how many of each are found, and how many normal images raise an alarm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import ComparedRun, parts_of
from adframe.analysis.error_analysis.common import (
    CATEGORIES_WITH_FIGURES,
    DEPENDENT_IMAGES,
    Analysed,
    categories_of,
    decisions_of,
    file_stem,
    labels_of,
    rows_of,
    without_constant_names,
)
from adframe.contracts import GOOD
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.document import Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import p_equals, p_value, percent, span
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.proportions import fisher, share_interval
from adframe.stats.significance import holm

_MIN_IMAGES = 5  # of a type, and of the others, for the two to be compared
_TYPE_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("type", "defect type"),
    Column("tp", "found (TP)"),
    Column("fn", "missed (FN)"),
    Column("tn", "passed (TN)"),
    Column("fp", "false alarms (FP)"),
    Column("share", "called anomalous", True),
    Column("interval", "95% interval"),
    Column("p_text", "p (Holm), recall differs from other types"),
)
_CSV_COLUMNS = tuple(
    Column(key, key)
    for key in (
        *("category", "run", "type", "tp", "fn", "tn", "fp"),
        *("share", "share_low", "share_high", "p", "p_holm"),
    )
)


def analyse_types(runs: Sequence[ComparedRun]) -> Analysed:
    """Compares the recall of each type of defect with that of the other types.

    Args:
        runs: runs on the same images.
    """
    rows = [row for category in categories_of(runs) for run in runs for row in _type_rows(run, category)]
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": corrected, "p_text": p_value(corrected)}
    images, parts = parts_of(runs[0])
    numbers = TableBlock(
        "by_type",
        "Decisions at the calibrated threshold, in images, with the interval of the share that was "
        "called anomalous; p of Fisher's exact test of each type against the category's other types, "
        "corrected by Holm for all comparisons of the table. Types with fewer than "
        f"{_MIN_IMAGES} images are not tested." + (DEPENDENT_IMAGES if images > parts else ""),
        without_constant_names(table_of_columns(_TYPE_COLUMNS, rows)),
        raw=table_of_columns(_CSV_COLUMNS, rows),
    )
    figures = [_type_bars(runs, rows, category) for category in categories_of(runs)[:CATEGORIES_WITH_FIGURES]]
    findings = [
        _type_sentence(row)
        for row in rows
        if images == parts
        and row["others"] is not None
        and is_significant(row["p_holm"])
        and row["share"] < row["others"][0] / row["others"][1]
    ]
    return Section("By type of defect", (numbers, *figures)), findings


def _type_rows(run: ComparedRun, category: str) -> list[dict[str, Any]]:
    """One row per type, `good` first; `others` is (found, images) of the other types of defect."""
    rows = rows_of(run, category)
    labels, called = labels_of(rows), decisions_of(rows)
    names = [row["defect"] if row["label"] == 1 else GOOD for row in rows]
    all_found, all_defects = int((called & labels).sum()), int(labels.sum())
    found: list[dict[str, Any]] = []
    for name in sorted(set(names), key=lambda name: (name == GOOD, name)):
        own = [place for place, each in enumerate(names) if each == name]
        hits, images = int(called[own].sum()), len(own)
        others = None if name == GOOD else (all_found - hits, all_defects - images)
        tested = others is not None and min(images, others[1]) >= _MIN_IMAGES
        is_own = [each == name for each in names]
        low, high = image_share_interval(rows, counted=called, among=is_own)
        counts = (None, None, images - hits, hits) if others is None else (hits, images - hits, None, None)
        found.append(
            {
                "category": category,
                "run": run.name,
                "type": name,
                **dict(zip(("tp", "fn", "tn", "fp"), counts, strict=True)),
                "called": hits,
                "images": images,
                "share": hits / images,
                "share_low": low,
                "share_high": high,
                "interval": span(low, high),
                "others": others,
                "p": fisher((hits, images), others) if tested and others is not None else math.nan,
            }
        )
    return found


def _type_bars(runs: Sequence[ComparedRun], rows: Sequence[Mapping[str, Any]], category: str) -> Figure:
    values = {
        f"run {run.name}": {
            row["type"]: (row["share"], row["share_low"], row["share_high"])
            for row in rows
            if row["category"] == category and row["run"] == run.name
        }
        for run in runs
    }
    return bars(
        file_stem("by_type", category),
        caption=f"Share of the images of {category} that are called anomalous, by type of defect; for "
        f"{GOOD} images these are false alarms. Whiskers are 95% intervals.",
        values=values,
        y_name="called anomalous, %",
    )


def _type_sentence(row: Mapping[str, Any]) -> str:
    others = row["others"]
    return (
        f"Run {row['run']} misses {row['type']} in {row['category']} more often than the other types: it "
        f"finds {row['called']} of {row['images']}, {percent(row['share'])} ({row['interval']}), "
        f"compared with {percent(others[0] / others[1])} ({span(*share_interval(*others))}) of the others "
        f"({p_equals(row['p_holm'])} after Holm's correction)."
    )
