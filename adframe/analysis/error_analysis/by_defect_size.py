"""Whether small defects, or those at the border, are found less often than others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from adframe.analysis.error_analysis.size_bins import BORDER, SIZE, BinnedRun, Criterion, binned_runs
from adframe.io.program import command_of
from adframe.reporting.document import Block, Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import gain, p_equals, p_value, percent, points, span
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.binned import MIN_BIN_IMAGES, bin_differences
from adframe.stats.intervals import interval_of

_TITLE = "By size of the defect, and by its distance from the border"
_BIN_COLUMNS = (
    Column("category", "category"),
    Column("bin", "defect"),
    Column("range", "range"),
    Column("run", "run"),
    Column("images", "images"),
    Column("found", "found"),
    Column("recall", "recall", True),
    Column("recall_ends", "95% interval"),
    Column("auroc", "AUROC", True),
    Column("auroc_ends", "95% interval"),
)
_BIN_CSV_COLUMNS = tuple(
    Column(key, key)
    for key in (
        *("category", "bin", "range", "run", "images", "found"),
        *("recall", "recall_low", "recall_high", "auroc", "auroc_low", "auroc_high"),
    )
)
_DIFFERENCE_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("sorted_by", "sorted by"),
    Column("measure", "measure"),
    Column("compared", "compared"),
    Column("difference_text", "difference"),
    Column("interval", "95% interval"),
    Column("p_text", "p (Holm)"),
)
_DIFFERENCE_CSV_COLUMNS = tuple(
    Column(key, key)
    for key in (
        *("category", "run", "sorted_by", "measure", "compared"),
        *("difference", "low", "high", "p", "p_holm"),
    )
)
_HOW = (
    "Each category's annotated test defects are divided into thirds, so that every bin has enough images for "
    "an interval. The limits are the category's own, are the same for all runs, and are given in the table. "
    "Equal values share a bin, so there may be fewer than three. AUROC is of a bin's defects against all "
    "normal images. Images without an annotation are left out. Bins may also differ in their types of "
    "defect, so that a difference does not show its cause."
)


def analyse_defect_size(runs: Sequence[ComparedRun]) -> Analysed:
    """Compares recall, and AUROC against normal images, by size and place of the defect.

    Args:
        runs: runs on the same images.
    """
    found = [
        binned
        for criterion in (SIZE, BORDER)
        for category in categories_of(runs)
        for binned in binned_runs(runs, category, criterion)
    ]
    if not found:
        nothing = (
            "No test image has an annotated defect in its predictions. For a run from before sizes were "
            f"kept, add them with: {command_of('evaluate')} run={runs[0].run.path}"
        )
        return Section(_TITLE, (nothing,)), []
    rows = _difference_rows(found)
    blocks: list[Block] = [_HOW]
    for criterion in (SIZE, BORDER):
        own = [binned for binned in found if binned.criterion is criterion]
        if own:
            blocks += [_bins_table(criterion, own), *_recall_bars(criterion, own)]
    blocks.append(
        TableBlock(
            "extent_differences",
            "The last bin compared with the first, in percentage points, with simultaneous intervals and p "
            f"values corrected by Holm for all of the table; bins of fewer than {MIN_BIN_IMAGES} images are "
            "not compared.",
            without_constant_names(table_of_columns(_DIFFERENCE_COLUMNS, rows)),
            raw=table_of_columns(_DIFFERENCE_CSV_COLUMNS, rows),
        )
    )
    findings = [_difference_sentence(row) for row in rows if is_significant(row["p_holm"])]
    return Section(_TITLE, tuple(blocks)), findings


def _bins_table(criterion: Criterion, found: Sequence[BinnedRun]) -> TableBlock:
    rows: list[dict[str, Any]] = []
    for binned in found:
        for name, range_, each in zip(binned.names, binned.ranges, binned.bins, strict=True):
            row: dict[str, Any] = {
                "category": binned.category,
                "bin": name,
                "range": range_,
                "run": binned.run,
                "images": each.images,
                "found": each.found,
            }
            for key, measured in (("recall", each.recall), ("auroc", each.auroc)):
                low, high = interval_of(measured)
                row |= {
                    key: measured.value,
                    f"{key}_low": low,
                    f"{key}_high": high,
                    f"{key}_ends": span(low, high),
                }
            rows.append(row)
    return TableBlock(
        file_stem("by", criterion.column),
        f"By {criterion.title}, {criterion.unit}: images with such defects, how many are found at the "
        "threshold, and their AUROC against all normal images.",
        without_constant_names(table_of_columns(_BIN_COLUMNS, rows)),
        raw=table_of_columns(_BIN_CSV_COLUMNS, rows),
    )


def _recall_bars(criterion: Criterion, found: Sequence[BinnedRun]) -> list[Figure]:
    categories = list(dict.fromkeys(binned.category for binned in found))[:CATEGORIES_WITH_FIGURES]
    return [
        bars(
            file_stem("recall_by", criterion.column, category),
            caption=f"Share of the defects of {category} that are found at the threshold, by "
            f"{criterion.title} ({criterion.unit}), with 95% intervals.",
            values={
                f"run {binned.run}": {
                    f"{name} ({range_})": (each.recall.value, *interval_of(each.recall))
                    for name, range_, each in zip(binned.names, binned.ranges, binned.bins, strict=True)
                }
                for binned in found
                if binned.category == category
            },
            y_name="found, %",
        )
        for category in categories
    ]


def _difference_rows(found: Sequence[BinnedRun]) -> list[dict[str, Any]]:
    """The last bin of each run compared with the first, in recall and in AUROC, all as one family."""
    pairs = [bin_differences(binned.bins[0], binned.bins[-1]) or (None, None) for binned in found]
    compared = iter(compare_together([number for pair in pairs for number in pair]))
    rows = []
    for binned in found:
        for measure, (difference, p) in zip(("recall", "AUROC"), compared, strict=False):
            rows.append(
                {
                    "binned": binned,
                    "comparison": difference,
                    "category": binned.category,
                    "run": binned.run,
                    "sorted_by": binned.criterion.title,
                    "measure": measure,
                    "compared": f"{binned.names[-1]} against {binned.names[0]}",
                    "difference": difference.value,
                    "low": difference.low,
                    "high": difference.high,
                    "difference_text": points(difference.value),
                    "interval": span(difference.low, difference.high, signed=True),
                    "p": difference.p,
                    "p_holm": p,
                    "p_text": p_value(p),
                }
            )
    return rows


def _difference_sentence(row: Mapping[str, Any]) -> str:
    binned: BinnedRun = row["binned"]
    is_recall = row["measure"] == "recall"
    values = [each.recall if is_recall else each.auroc for each in (binned.bins[0], binned.bins[-1])]
    first, last = (f"{percent(each.value)} ({span(*interval_of(each))})" for each in values)
    (first_name, last_name), unit = binned.criterion.ends, binned.criterion.unit
    verb, worse, better = ("finds", "less often", "more often") if is_recall else ("ranks", "worse", "better")
    return (
        f"In {binned.category} run {binned.run} {verb} {first_name} ({binned.ranges[0]}{unit}) "
        f"{worse if row['difference'] > 0 else better} than {last_name} ({binned.ranges[-1]}{unit}): "
        f"{row['measure']} {first} compared with {last}, difference {gain(row['comparison'])}, "
        f"{p_equals(row['p_holm'])} after Holm's correction."
    )
