"""The content of the page for people who decide: counts, pictures and the threshold in whole sentences.

`one_page_figure` draws it as one page of paper.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from adframe.data.image_facts import IMAGE_FACTS
from adframe.errors import AdframeError, unknown
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.format import capitalised, counted, percent, span
from adframe.reporting.one_page_pictures import Shot, by_mistakes, picture_groups
from adframe.reporting.one_page_threshold import threshold_text, warning_text
from adframe.reporting.run_facts import dataset, facts, run_verdict, tested_categories
from adframe.reporting.summary import Confusion, confusion
from adframe.reporting.tables import DASH
from adframe.results.names import name_of
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

_MOST_ROWS = 15  # of the table of categories
_NUMBERS = (
    "All counts are test images. The share of defects found is the recall, the share of false alarms the "
    "false-positive rate; their 95% intervals are in brackets, in per cent."
)


@dataclass(frozen=True, slots=True)
class Count:
    """One of the four large numbers.

    Attributes:
        name: what is counted.
        number: of images.
        whole: of how many images.
        share: in per cent, with its 95% interval for the recall and for the false-positive rate.
        is_right: whether these decisions are right.

    Example:
        >>> Count("defects found", 37, "of 119 defects", "31.1% (23.5 to 39.9)", is_right=True).number
        37
    """

    name: str
    number: int
    whole: str
    share: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class OnePage:
    """Everything that stands on the page.

    Attributes:
        title: the result in one sentence.
        inspected: what was inspected.
        counts: found, missed, false alarms, passed; empty without labels or decisions.
        columns: titles of the table of categories.
        rows: one per category; empty where there is only one.
        groups: a heading with its pictures, right decisions first.
        remark: how the pictures are read, or why there are none.
        paragraphs: (heading, text) below the pictures.

    Example:
        >>> OnePage("Found 1 of 2 defects", "2 images", (), (), (), (), "", ()).title
        'Found 1 of 2 defects'
    """

    title: str
    inspected: str
    counts: tuple[Count, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, tuple[Shot, ...]], ...]
    remark: str
    paragraphs: tuple[tuple[str, str], ...]


def one_page(run: RunFolder, *, category: str | None = None) -> OnePage:
    """Collects the content of the page; neither model nor dataset is read.

    Args:
        run: the finished run.
        category: the category that the page is about; None for all.

    Returns:
        The content. What the run lacks (labels, decisions, pictures) is said in a sentence.

    Raises:
        AdframeError: the run has no such category.
    """
    run = run if category is None else run_of_category(run, category)
    counts = confusion(run.rows)
    decided = [row for row in run.rows if row["label"] is not None and row["decision"] is not None]
    groups = picture_groups(run, counts) if decided or not run.rows else ()
    several = counts.total > 0 and len(run.categories) > 1
    texts = (
        ("Threshold", threshold_text(run)),
        ("Caution", warning_text(run)),
        ("Numbers", _NUMBERS if decided else ""),
    )
    return OnePage(
        title=_title(run, counts),
        inspected=_inspected(run),
        counts=_counts(decided, counts) if decided else (),
        columns=(
            "category",
            "defects found",
            "recall (95% interval)",
            "false alarms",
            "rate (95% interval)",
        ),
        rows=tuple(_category_rows(run, decided)) if several else (),
        groups=groups,
        remark=_remark(run, groups),
        paragraphs=tuple((heading, text) for heading, text in texts if text),
    )


def run_of_category(run: RunFolder, category: str) -> RunFolder:
    """Restricts a run to one of its categories.

    Args:
        run: the run; it is not changed.
        category: the name of one of its categories.

    Returns:
        A run with the numbers and rows of this category alone.

    Raises:
        AdframeError: the run has no such category.
    """
    if category not in run.categories:
        raise AdframeError(unknown("category", category, run.categories, where=f"in {run.path}"))
    part = copy.copy(run)
    part.metrics = {**run.metrics, "test": {category: run.metrics["test"].get(category, {})}}
    part.rows = [row for row in run.rows if row["category"] == category]
    return part


def _title(run: RunFolder, counts: Confusion) -> str:
    decided = [row for row in run.rows if row["decision"] is not None]
    if counts.total:
        return capitalised(f"{tested_categories(run)}: {counts.decisions}")
    if decided:
        flagged = sum(row["decision"] for row in decided)
        return capitalised(
            f"{tested_categories(run)}: {flagged} of {counted(len(decided), 'image')} called anomalous; "
            "without labels, right and wrong decisions cannot be counted"
        )
    return run_verdict(run)


def _inspected(run: RunFolder) -> str:
    known = dict(facts(run))
    # The configuration names the network also where the option was `backbone=timm`.
    backbone = name_of(run.config.get("backbone")) or known.get("backbone")
    model = known["method"] + (f" with the features of {backbone}" if backbone else "")
    labels = Counter(row["label"] for row in run.rows)
    kinds = {1: "with a defect", 0: "without", None: "without a label"}
    listed = ", ".join(f"{labels[label]:,} {text}" for label, text in kinds.items() if labels[label])
    names = ", ".join(run.categories)
    where = f"{dataset(run)}: {names}".removeprefix(": ") if len(names) < 90 else tested_categories(run)
    sentences = [
        capitalised(where),
        f"{counted(len(run.rows), 'test image')} ({listed})" if run.rows else "",
        _image_sources(run),
        f"Model: {model}",
        _day(known.get("date", "")),
    ]
    return ". ".join(sentence for sentence in sentences if sentence) + "."


def _image_sources(run: RunFolder) -> str:
    counts = {name: facts["count"] for name, facts in run.environment.get(IMAGE_FACTS, {}).items()}
    models = [name for name in run.categories if name in counts] or [
        name for name in counts if name == "global"
    ]
    training = sum(int(counts[name]) for name in models)
    held_out = [run.val.get(name, {}).get("calibration/n") for name in (*run.categories, "global")]
    validation = sum(int(number) for number in held_out if number is not None)
    texts = [
        counted(training, "normal training image") if training else "",
        f"threshold set on {counted(validation, 'normal validation image')}" if validation else "",
    ]
    return capitalised(", ".join(text for text in texts if text))


def _day(text: str) -> str:
    """Writes the day of an ISO date, such as `26 November 2026`."""
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{day.day} {day:%B %Y}"


def _counts(decided: Sequence[Row], counts: Confusion) -> tuple[Count, ...]:
    defects, normals = counts.found + counts.missed, counts.false_alarms + counts.passed
    found, alarms = _share(decided, label=1), _share(decided, label=0)
    missed = percent(counts.missed / defects) if defects else DASH
    passed = percent(counts.passed / normals) if normals else DASH
    of_defects, of_normals = f"of {counted(defects, 'defect')}", f"of {counted(normals, 'normal image')}"
    return (
        Count("defects found", counts.found, of_defects, found, is_right=True),
        Count("defects missed", counts.missed, of_defects, missed, is_right=False),
        Count("false alarms", counts.false_alarms, of_normals, alarms, is_right=False),
        Count("correctly passed", counts.passed, of_normals, passed, is_right=True),
    )


def _share(rows: Sequence[Row], *, label: int) -> str:
    """Writes the share of images called anomalous among those of a label, with its interval."""
    among = [row["label"] == label for row in rows]
    called = [bool(row["decision"]) for row in rows]
    if not any(among):
        return DASH
    share = sum(np.logical_and(called, among)) / sum(among)
    return f"{percent(share)} ({span(*image_share_interval(rows, counted=called, among=among))})"


def _category_rows(run: RunFolder, decided: Sequence[Row]) -> Iterable[tuple[str, ...]]:
    """Gives one row per category, most mistakes first; the last row sums those that have no room."""
    names = [name for name in by_mistakes(run) if any(row["category"] == name for row in decided)]
    kept = names if len(names) <= _MOST_ROWS else names[: _MOST_ROWS - 1]
    parts = [(name, [row for row in decided if row["category"] == name]) for name in kept]
    if rest := set(names) - set(kept):
        parts.append((f"{len(rest)} other categories", [row for row in decided if row["category"] in rest]))
    for name, rows in parts:
        own = confusion(rows)
        yield (
            name,
            f"{own.found:,} of {own.found + own.missed:,}",
            _share(rows, label=1),
            f"{own.false_alarms:,} of {own.false_alarms + own.passed:,}",
            _share(rows, label=0),
        )


def _remark(run: RunFolder, groups: Sequence[object]) -> str:
    if groups:
        return (
            "Each image twice: an annotated defect is outlined in green; then the anomaly map, bright where "
            "the model sees something unusual, with a white line around values above those of all normal "
            "validation images."
        )
    if run.rows and all(row["label"] is None for row in run.rows):
        return "There are no pictures, because the test images have no labels."
    return "There are no pictures in the folder of this run (callbacks.gallery.pictures sets their number)."
