"""Surveys as tables: one row per category, type of defect or light condition."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from adframe.contracts import Record
from adframe.reporting.dataset_stats import SPLITS, UNLABELLED, Survey, kind_of
from adframe.reporting.format import signed
from adframe.reporting.tables import Cell, Column, Table

ALL = "all"
_TIMES = "\u00d7"
_LABELS = {"good": 0, "anomalous": 1, UNLABELLED: None}


def overview(surveys: Sequence[Survey]) -> Table:
    """How many images of which kind each category has; for the terminal and the page."""
    parts = _parts([record for survey in surveys for record in survey.records])
    columns = ("category", *parts, "images", "defect types", "size")
    rows: list[tuple[Cell, ...]] = [
        (
            survey.category,
            *(_count(survey.records, part) for part in parts),
            len(survey.records),
            len(survey.defects),
            sizes(survey),
        )
        for survey in surveys
    ]
    if len(rows) > 1:
        sums = (sum(int(row[place] or 0) for row in rows) for place in range(1, len(parts) + 3))
        rows.append((ALL, *sums, ""))
    return _table(columns, rows)


def contents(survey: Survey) -> Table:
    """A category's types of defect: how many images in which split, how large, in how many regions."""
    splits = _splits(survey.records)
    columns = ["kind", *(SPLITS.get(split, split) for split in splits)]
    if survey.marks:
        columns += ["median area, %", "smallest, %", "largest, %", "median regions", "most regions"]
    rows = [_content(survey, kind, splits) for kind in survey.kinds]
    return _table(columns, rows)


def conditions(survey: Survey) -> Table | None:
    """The light conditions, where there are several: how many images, how bright the normal ones are."""
    names = sorted({record.condition for record in survey.records})
    if len(names) < 2:
        return None
    parts = _parts(survey.records)
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        records = [record for record in survey.records if record.condition == name]
        seen = [light for light in survey.lights if light.condition == name and light.group != UNLABELLED]
        bright = _spread([light.brightness for light in seen])
        contrast = _spread([light.contrast for light in seen])
        counts = (_count(records, part) or None for part in parts)
        rows.append((name or "none named", *counts, bright, contrast))
    return _table(("light", *parts, "brightness, %", "contrast, %"), rows)


def drift(surveys: Sequence[Survey]) -> Table:
    """Brightness and contrast of sampled normal images by split, and the difference of test and train."""
    found = {light.group for survey in surveys for light in survey.lights}
    groups = [group for group in (*SPLITS.values(), UNLABELLED) if group in found]
    columns = ["category", *(f"{what}, {group}" for what in ("brightness", "contrast") for group in groups)]
    rows: list[tuple[Cell, ...]] = []
    for survey in surveys:
        values = {
            what: {g: [getattr(light, what) for light in survey.lights if light.group == g] for g in groups}
            for what in ("brightness", "contrast")
        }
        cells = [_spread(values[what][group]) for what in values for group in groups]
        off = _off(values["brightness"].get("train", []), values["brightness"].get("test", []))
        rows.append((survey.category, *cells, off))
    return _table((*columns, "test minus train, SD"), rows)


def sizes(survey: Survey) -> str:
    """`1024 x 1024` (with a proper sign), height first, or the range and how many sizes there are."""
    heights, widths = zip(*survey.sizes, strict=True)
    if len(survey.sizes) == 1:
        return f"{heights[0]} {_TIMES} {widths[0]}"
    spans = (f"{min(s)} to {max(s)}" if min(s) < max(s) else str(min(s)) for s in (heights, widths))
    return f"{f' {_TIMES} '.join(spans)} ({len(survey.sizes)} sizes)"


def _content(survey: Survey, kind: str, splits: Sequence[str]) -> tuple[Cell, ...]:
    records = [record for record in survey.records if kind_of(record) == kind]
    counts = [sum(record.split == split for record in records) or None for split in splits]
    if not survey.marks:
        return kind, *counts
    marks = [mark for mark in survey.marks if mark.defect == kind]
    if not marks:
        return kind, *counts, *[None] * 5
    shares, regions = [mark.share for mark in marks], [mark.regions for mark in marks]
    area = (_area(statistics.median(shares)), _area(min(shares)), _area(max(shares)))
    return kind, *counts, *area, f"{statistics.median(regions):g}", max(regions)


def _parts(records: Sequence[Record]) -> list[str]:
    """The columns of counts that hold anything: `train`, `test good`, `test anomalous`, ..."""
    titles = [_title(split, name) for split in _splits(records) for name in _LABELS]
    return [title for title in titles if _count(records, title)]


def _count(records: Sequence[Record], title: str) -> int:
    names = {label: name for name, label in _LABELS.items()}
    return sum(_title(record.split, names[record.label]) == title for record in records)


def _title(split: str, name: str) -> str:
    plain = split != "test" and name == "good"  # all but the test set is normal, as a rule
    return SPLITS.get(split, split) if plain else f"{SPLITS.get(split, split)} {name}"


def _splits(records: Sequence[Record]) -> list[str]:
    found = dict.fromkeys(record.split for record in records)
    return sorted(found, key=lambda split: (*SPLITS, split).index(split))


def _area(share: float) -> str:
    """An area with two decimals, so that the points of a column stand below each other."""
    return f"{100 * share:.2f}" if share == 0 or share >= 5e-5 else "<0.01"


def _spread(values: Sequence[float]) -> str | None:
    """Mean and standard deviation, per cent of full scale."""
    if not values:
        return None
    return f"{100 * statistics.fmean(values):.1f} ± {100 * statistics.pstdev(values):.1f}"


def _off(train: Sequence[float], test: Sequence[float]) -> str | None:
    """The difference of the means of test and train, in standard deviations of train."""
    if len(train) < 2 or not test or (spread := statistics.stdev(train)) == 0:
        return None
    return signed((statistics.fmean(test) - statistics.fmean(train)) / spread, decimals=1)


def _table(columns: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> Table:
    return Table(tuple(Column(name, name) for name in columns), tuple(rows))
