"""Tables of surveys: one row per category, type of defect or light condition."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from adframe.contracts import UNLABELLED, Record
from adframe.reporting.dataset_stats import SPLIT_TITLES, Survey, kind_of_record
from adframe.reporting.format import signed
from adframe.reporting.tables import Cell, Column, Table

ALL_CATEGORIES = "all"
_TIMES = "\u00d7"
_LABELS = {"good": 0, "anomalous": 1, UNLABELLED: None}


def overview(surveys: Sequence[Survey]) -> Table:
    """Counts the images of each kind per category, for the terminal and the page.

    Args:
        surveys: one per category.

    Returns:
        One row per category; with several a row `all` with the sums comes last.
    """
    parts = _count_titles([record for survey in surveys for record in survey.records])
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
        rows.append((ALL_CATEGORIES, *sums, ""))
    return _plain_table(columns, rows)


def contents(survey: Survey) -> Table:
    """Lists the kinds of image of a category: counts by split, areas in per cent, and numbers of regions.

    Args:
        survey: the measured category.

    Returns:
        One row per kind; the columns of areas and regions only where there are masks.
    """
    splits = _splits(survey.records)
    columns = ["kind", *(SPLIT_TITLES.get(split, split) for split in splits)]
    if survey.marks:
        columns += ["median area, %", "smallest, %", "largest, %", "median regions", "most regions"]
    rows = [_kind_row(survey, kind, splits) for kind in survey.kinds]
    return _plain_table(columns, rows)


def conditions(survey: Survey) -> Table | None:
    """Lists the light conditions of a category: counts, brightness and contrast.

    Args:
        survey: the measured category.

    Returns:
        One row per condition; None where the dataset names fewer than two.
    """
    names = sorted({record.condition for record in survey.records})
    if len(names) < 2:
        return None
    parts = _count_titles(survey.records)
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        records = [record for record in survey.records if record.condition == name]
        sampled = [light for light in survey.lights if light.condition == name and light.group != UNLABELLED]
        bright = _mean_and_sd([light.brightness for light in sampled])
        contrast = _mean_and_sd([light.contrast for light in sampled])
        counts = (_count(records, part) or None for part in parts)
        rows.append((name or "not named", *counts, bright, contrast))
    return _plain_table(("light", *parts, "brightness, %", "contrast, %"), rows)


def drift(surveys: Sequence[Survey]) -> Table:
    """Compares the light of the splits, in brightness and contrast.

    Args:
        surveys: one per category.

    Returns:
        One row per category, in per cent of full scale; the last column is the difference of the mean
        brightness of test and training images in standard deviations of the training images.
    """
    found = {light.group for survey in surveys for light in survey.lights}
    groups = [group for group in (*SPLIT_TITLES.values(), UNLABELLED) if group in found]
    columns = ["category", *(f"{what}, {group}" for what in ("brightness", "contrast") for group in groups)]
    rows: list[tuple[Cell, ...]] = []
    for survey in surveys:
        values = {
            what: {g: [getattr(light, what) for light in survey.lights if light.group == g] for g in groups}
            for what in ("brightness", "contrast")
        }
        cells = [_mean_and_sd(values[what][group]) for what in values for group in groups]
        difference = _standardised_difference(
            values["brightness"].get("train", []), values["brightness"].get("test", [])
        )
        rows.append((survey.category, *cells, difference))
    return _plain_table((*columns, "test minus train, SD"), rows)


def sizes(survey: Survey) -> str:
    """Writes the image sizes of a category, height first.

    Args:
        survey: the measured category.

    Returns:
        `1024 x 1024` (with a multiplication sign); with several sizes their range and number.
    """
    heights, widths = zip(*survey.sizes, strict=True)
    if len(survey.sizes) == 1:
        return f"{heights[0]} {_TIMES} {widths[0]}"
    spans = (f"{min(s)} to {max(s)}" if min(s) < max(s) else str(min(s)) for s in (heights, widths))
    return f"{f' {_TIMES} '.join(spans)} ({len(survey.sizes)} sizes)"


def _kind_row(survey: Survey, kind: str, splits: Sequence[str]) -> tuple[Cell, ...]:
    records = [record for record in survey.records if kind_of_record(record) == kind]
    counts = [sum(record.split == split for record in records) or None for split in splits]
    if not survey.marks:
        return kind, *counts
    marks = [mark for mark in survey.marks if mark.defect == kind]
    if not marks:
        return kind, *counts, *[None] * 5
    shares, regions = [mark.share for mark in marks], [mark.regions for mark in marks]
    area = (_area_percent(statistics.median(shares)), _area_percent(min(shares)), _area_percent(max(shares)))
    return kind, *counts, *area, f"{statistics.median(regions):g}", max(regions)


def _count_titles(records: Sequence[Record]) -> list[str]:
    """Returns the non-empty columns of counts: `train`, `test good`, `test anomalous`, ..."""
    titles = [_count_title(split, name) for split in _splits(records) for name in _LABELS]
    return [title for title in titles if _count(records, title)]


def _count(records: Sequence[Record], title: str) -> int:
    names = {label: name for name, label in _LABELS.items()}
    return sum(_count_title(record.split, names[record.label]) == title for record in records)


def _count_title(split: str, name: str) -> str:
    plain = split != "test" and name == "good"  # training and validation sets are usually all normal
    return SPLIT_TITLES.get(split, split) if plain else f"{SPLIT_TITLES.get(split, split)} {name}"


def _splits(records: Sequence[Record]) -> list[str]:
    found = dict.fromkeys(record.split for record in records)
    return sorted(found, key=lambda split: (*SPLIT_TITLES, split).index(split))


def _area_percent(share: float) -> str:
    """Writes an area in per cent with two decimals, so that the decimal points of a column are aligned."""
    return f"{100 * share:.2f}" if share == 0 or share >= 5e-5 else "<0.01"


def _mean_and_sd(values: Sequence[float]) -> str | None:
    """Writes the mean and standard deviation in per cent of full scale; None without values."""
    if not values:
        return None
    return f"{100 * statistics.fmean(values):.1f} ± {100 * statistics.pstdev(values):.1f}"


def _standardised_difference(train: Sequence[float], test: Sequence[float]) -> str | None:
    """Returns the difference of the means of test and train in standard deviations of train."""
    if len(train) < 2 or not test or (spread := statistics.stdev(train)) == 0:
        return None
    return signed((statistics.fmean(test) - statistics.fmean(train)) / spread, decimals=1)


def _plain_table(columns: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> Table:
    return Table(tuple(Column(name, name) for name in columns), tuple(rows))
