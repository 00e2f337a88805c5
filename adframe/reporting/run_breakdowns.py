"""Results of a run by type of defect, by light, and by one threshold compared with zone thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.reporting.format import hundredths
from adframe.reporting.summary import NO_LIGHT, Group, by_condition, by_defect
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.names import MEAN, TITLES
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

ALL = "all lights"
_DEFECT = (
    "image/auroc",
    "image/recall",
    "pixel/auroc",
    "pixel/aupro_0.3",
    "pixel/aupro_0.05",
    "pixel/auspro_0.05",
)
_LIGHT = ("image/auroc", "image/class_f1", "pixel/aupro_0.05", "pixel/auspro_0.05", "pixel/segf1")
_DECIDED = ("image/f1", "image/recall", "image/fpr", "pixel/segf1", "pixel/iou")
_PLAIN_LIGHT = "regular"  # the light of training: the others are read against it

Line = dict[str, Cell]


def defect_table(run: RunFolder) -> Table | None:
    """Every category's types of defect in one table, worst first; None where metrics.json has none.

    Nor where each category has a single type: the table of categories says the same.
    """
    if not any(len(types) > 1 for types in run.defects.values()):
        return None
    many = len(run.categories) > 1
    lines = [
        line | {"defect": f"{name}: {line['defect']}" if many else line["defect"]}
        for name in run.categories
        for line in _defects(run, name)
    ]
    return _table(_worst_first(lines), first="defect", keys=("images", *_DEFECT))


def category_defects(run: RunFolder, name: str) -> Table | None:
    """A category's types of defect, worst first: numbers of metrics.json, counts of the predictions."""
    return _table(_worst_first(_defects(run, name)), first="defect", keys=("images", "found", *_DEFECT))


def light_table(run: RunFolder) -> Table | None:
    """The mean over categories (or the only category) in each light, then over all images."""
    name = run.categories[0] if len(run.categories) == 1 else MEAN
    numbers = run.test.get(name, {})
    lights = _lights(run)
    lines = [_light(numbers, light, count=_count(run.rows, light)) for light in lights]
    if not any(line.get(key) is not None for line in lines for key in _LIGHT):
        return None
    whole: Line = {"light": ALL, "images": len(run.rows), **{key: numbers.get(key) for key in _LIGHT}}
    table = _table([*lines, whole], first="light", keys=("images", *_LIGHT))
    return table if table is not None and len(lines) > 1 else None


def category_lights(run: RunFolder, name: str) -> Table | None:
    """A category in each light; the numbers of metrics.json with the counts of the predictions."""
    rows = [row for row in run.rows if row["category"] == name]
    groups = by_condition(rows)
    numbers = run.test.get(name, {})
    lines = [
        _counted(group, first="light") | _known(_light(numbers, group.name, count=_count(rows, group.name)))
        for group in sorted(groups, key=lambda group: group.name != _PLAIN_LIGHT)
    ]
    return _table(lines, first="light", keys=("images", "image/recall", *_LIGHT))


def zone_table(run: RunFolder) -> tuple[Table, dict[tuple[int, int], str]] | None:
    """Decisions by one threshold and by the thresholds of zones; None where no zones were set.

    Returns:
        Two columns per metric, and the cells that are the better of their pair.
    """
    names = [name for name in (*run.categories, MEAN) if name in run.test]
    if len(run.categories) == 1:
        names = [name for name in names if name != MEAN]
    keys = [
        key for key in _DECIDED if any(_finite(run.test[n].get(f"zones/{key}")) is not None for n in names)
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
        if (side := _better(*(_finite(run.test[name].get(each)) for each in pair), key=pair[0])) is not None
    }
    return Table((Column("category", "category"), *columns), rows), better


def _defects(run: RunFolder, name: str) -> list[Line]:
    groups = by_defect([row for row in run.rows if row["category"] == name])
    lines = {group.name: _counted(group, first="defect") for group in groups}
    for defect, numbers in run.defects.get(name, {}).items():
        images = numbers.get("images")
        counted: Line = {"images": int(images)} if images is not None and math.isfinite(images) else {}
        known = _known({key: numbers.get(key) for key in _DEFECT})
        lines[defect] = {"defect": defect, **lines.get(defect, {}), **counted, **known}
    return list(lines.values())


def _counted(group: Group, *, first: str) -> Line:
    numbers: Line = {"image/recall": group.recall, "image/auroc": group.auroc}
    return {first: group.name, "images": group.images, "found": group.found, **numbers}


def _lights(run: RunFolder) -> list[str]:
    """The predictions know which of metrics.json's prefixes are lights, and not subsets."""
    names = sorted({row["condition"] for row in run.rows} - {""})
    return sorted(names, key=lambda name: name != _PLAIN_LIGHT)


def _light(numbers: Mapping[str, float | None], light: str, *, count: int) -> Line:
    found: Line = {key: numbers.get(f"{light}/{key}") for key in _LIGHT}
    return {"light": light, "images": count, **found}


def _count(rows: Sequence[Row], light: str) -> int:
    return sum((row["condition"] or NO_LIGHT) == light for row in rows)


def _better(one: float | None, zones: float | None, *, key: str) -> int | None:
    """The place of the better one of a pair; None where they look alike or one of them is not known."""
    if one is None or zones is None or hundredths(one) == hundredths(zones):
        return None
    return int((zones < one) if key == "image/fpr" else (zones > one))


def _worst_first(lines: Sequence[Line]) -> list[Line]:
    """By image AUROC; where that is equal by recall, then by the pixel metrics. Unknown goes last."""

    def rank(line: Line) -> list[float]:
        values = (_finite(line.get(key)) for key in _DEFECT)
        return [math.inf if value is None else value for value in values]

    return sorted(lines, key=rank)


def _table(lines: Sequence[Line], *, first: str, keys: Sequence[str]) -> Table | None:
    """The lines under those of `keys` that any of them knows."""
    kept = [key for key in keys if any(line.get(key) is not None for line in lines)]
    if not lines or not kept:
        return None
    titles = TITLES | {"images": "images", "found": "found"}
    columns = (Column(first, first), *(Column(key, titles[key], key in TITLES) for key in kept))
    return Table(columns, tuple(tuple(line.get(key) for key in (first, *kept)) for line in lines))


def _known(line: Line) -> Line:
    return {key: value for key, value in line.items() if value is not None}


def _finite(value: Cell) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
