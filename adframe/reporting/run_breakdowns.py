"""Results of a run by type of defect, by light, and by one threshold compared with zone thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.reporting.format import hundredths
from adframe.reporting.run_facts import finite_number
from adframe.reporting.summary import NO_LIGHT, GroupSummary, by_condition, by_defect
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.names import MEAN, TITLES
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

ALL_LIGHTS = "all lights"
_DEFECT_METRICS = (
    "image/auroc",
    "image/recall",
    "pixel/auroc",
    "pixel/aupro_0.3",
    "pixel/aupro_0.05",
    "pixel/auspro_0.05",
)
_LIGHT_METRICS = ("image/auroc", "image/class_f1", "pixel/aupro_0.05", "pixel/auspro_0.05", "pixel/segf1")
_DECISION_METRICS = ("image/f1", "image/recall", "image/fpr", "pixel/segf1", "pixel/iou")
_PLAIN_LIGHT = "regular"  # the light of training images, which comes first in each table

BreakdownRow = dict[str, Cell]


def defect_table(run: RunFolder) -> Table | None:
    """Lists the types of defect of all categories in one table, worst first.

    Args:
        run: the run.

    Returns:
        One row per type; None where no category has several types in metrics.json, because the table of
        categories would say the same.
    """
    if not any(len(types) > 1 for types in run.defects.values()):
        return None
    many = len(run.categories) > 1
    lines = [
        line | {"defect": f"{name}: {line['defect']}" if many else line["defect"]}
        for name in run.categories
        for line in _defect_rows(run, name)
    ]
    return _breakdown_table(_worst_first(lines), first="defect", keys=("images", *_DEFECT_METRICS))


def category_defects(run: RunFolder, name: str) -> Table | None:
    """Lists the types of defect of one category, worst first.

    Args:
        run: the run.
        name: of the category.

    Returns:
        Numbers of metrics.json and counts of the predictions; None without any.
    """
    return _breakdown_table(
        _worst_first(_defect_rows(run, name)), first="defect", keys=("images", "found", *_DEFECT_METRICS)
    )


def light_table(run: RunFolder) -> Table | None:
    """Lists the metrics in each light, then over all images.

    Args:
        run: the run.

    Returns:
        The mean over categories, or the only category; None with fewer than two lights or without their
        metrics.
    """
    name = run.categories[0] if len(run.categories) == 1 else MEAN
    numbers = run.test.get(name, {})
    lights = _light_names(run)
    lines = [_light_row(numbers, light, count=_count_in_light(run.rows, light)) for light in lights]
    if not any(line.get(key) is not None for line in lines for key in _LIGHT_METRICS):
        return None
    whole: BreakdownRow = {
        "light": ALL_LIGHTS,
        "images": len(run.rows),
        **{key: numbers.get(key) for key in _LIGHT_METRICS},
    }
    table = _breakdown_table([*lines, whole], first="light", keys=("images", *_LIGHT_METRICS))
    return table if table is not None and len(lines) > 1 else None


def category_lights(run: RunFolder, name: str) -> Table | None:
    """Lists the metrics of one category in each light.

    Args:
        run: the run.
        name: of the category.

    Returns:
        Numbers of metrics.json with counts of the predictions; None without any.
    """
    rows = [row for row in run.rows if row["category"] == name]
    groups = by_condition(rows)
    numbers = run.test.get(name, {})
    lines = [
        _group_row(group, first="light")
        | _without_missing(_light_row(numbers, group.name, count=_count_in_light(rows, group.name)))
        for group in sorted(groups, key=lambda group: group.name != _PLAIN_LIGHT)
    ]
    return _breakdown_table(lines, first="light", keys=("images", "image/recall", *_LIGHT_METRICS))


def zone_table(run: RunFolder) -> tuple[Table, dict[tuple[int, int], str]] | None:
    """Compares decisions by one threshold with decisions by the thresholds of zones.

    Args:
        run: the run.

    Returns:
        A table with two columns per metric, and the cells that are the better ones of their pairs; None where
        no zones were calibrated.
    """
    names = [name for name in (*run.categories, MEAN) if name in run.test]
    if len(run.categories) == 1:
        names = [name for name in names if name != MEAN]
    keys = [
        key
        for key in _DECISION_METRICS
        if any(finite_number(run.test[n].get(f"zones/{key}")) is not None for n in names)
    ]
    if not keys:
        return None
    pairs = [(key, f"zones/{key}") for key in keys]
    titles = {"image/recall": "image recall", "image/fpr": "image FPR"}
    columns = [
        Column(name, f"{titles.get(key, TITLES[key])}, {how}", True)
        for key, zones in pairs
        for name, how in ((key, "one threshold"), (zones, "zones"))
    ]
    rows = tuple((name, *(run.test[name].get(each) for pair in pairs for each in pair)) for name in names)
    better = {
        (line, 1 + 2 * place + side): "better"
        for line, name in enumerate(names)
        for place, pair in enumerate(pairs)
        if (side := _better(*(finite_number(run.test[name].get(each)) for each in pair), key=pair[0]))
        is not None
    }
    return Table((Column("category", "category"), *columns), rows), better


def _defect_rows(run: RunFolder, name: str) -> list[BreakdownRow]:
    groups = by_defect([row for row in run.rows if row["category"] == name])
    lines = {group.name: _group_row(group, first="defect") for group in groups}
    for defect, numbers in run.defects.get(name, {}).items():
        images = numbers.get("images")
        counted: BreakdownRow = (
            {"images": int(images)} if images is not None and math.isfinite(images) else {}
        )
        known = _without_missing({key: numbers.get(key) for key in _DEFECT_METRICS})
        lines[defect] = {"defect": defect, **lines.get(defect, {}), **counted, **known}
    return list(lines.values())


def _group_row(group: GroupSummary, *, first: str) -> BreakdownRow:
    numbers: BreakdownRow = {"image/recall": group.recall, "image/auroc": group.auroc}
    return {first: group.name, "images": group.images, "found": group.found, **numbers}


def _light_names(run: RunFolder) -> list[str]:
    """Returns the lights of the predictions; metrics.json also has prefixes that are subsets."""
    names = sorted({row["condition"] for row in run.rows} - {""})
    return sorted(names, key=lambda name: name != _PLAIN_LIGHT)


def _light_row(numbers: Mapping[str, float | None], light: str, *, count: int) -> BreakdownRow:
    found: BreakdownRow = {key: numbers.get(f"{light}/{key}") for key in _LIGHT_METRICS}
    return {"light": light, "images": count, **found}


def _count_in_light(rows: Sequence[Row], light: str) -> int:
    return sum((row["condition"] or NO_LIGHT) == light for row in rows)


def _better(one: float | None, zones: float | None, *, key: str) -> int | None:
    """Returns the place of the better value; None where both are written alike or one is unknown."""
    if one is None or zones is None or hundredths(one) == hundredths(zones):
        return None
    return int((zones < one) if key == "image/fpr" else (zones > one))


def _worst_first(lines: Sequence[BreakdownRow]) -> list[BreakdownRow]:
    """Sorts by image AUROC, then by recall, then by the pixel metrics; unknown values come last."""

    def rank(line: BreakdownRow) -> list[float]:
        values = (finite_number(line.get(key)) for key in _DEFECT_METRICS)
        return [math.inf if value is None else value for value in values]

    return sorted(lines, key=rank)


def _breakdown_table(lines: Sequence[BreakdownRow], *, first: str, keys: Sequence[str]) -> Table | None:
    """Makes a table with those columns of `keys` for which at least one row has a value."""
    kept = [key for key in keys if any(line.get(key) is not None for line in lines)]
    if not lines or not kept:
        return None
    titles = TITLES | {"images": "images", "found": "found"}
    columns = (Column(first, first), *(Column(key, titles[key], key in TITLES) for key in kept))
    return Table(columns, tuple(tuple(line.get(key) for key in (first, *kept)) for line in lines))


def _without_missing(line: BreakdownRow) -> BreakdownRow:
    return {key: value for key, value in line.items() if value is not None}
