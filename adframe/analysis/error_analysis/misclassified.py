"""Misclassified test images: how far they are from the threshold, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.compared_runs import ComparedRun, Key
from adframe.analysis.error_analysis.common import (
    Analysed,
    categories_of,
    deviations_above_threshold,
    is_wrong,
    keys_of,
    margin,
    without_constant_names,
)
from adframe.analysis.error_analysis.thumbnails import Thumbnails, Tiles
from adframe.reporting.document import Picture, Pictures, Section, TableBlock
from adframe.reporting.format import counted, short_percent, signed
from adframe.reporting.tables import Column, table_of_columns

# The page stays readable: rows and pictures are shared by runs, categories and the two kinds of mistake.
_MAX_ROWS, _MAX_PICTURES = 200, 100
_ROWS_PER_GROUP, _PICTURES_PER_GROUP = 12, 8
_LABEL_OF_MISTAKE = {"missed": 1, "false alarm": 0}
_TITLE = "Misclassified test images"
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("mistake", "mistake"),
    Column("image", "image"),
    Column("defect", "defect type"),
    Column("excess", "SD above threshold"),
    Column("area", "defect area, % of image"),
    Column("also", "also wrong in run"),
)
_CSV_COLUMNS = (*_COLUMNS, Column("score", "score"), Column("threshold", "threshold"))
Group = tuple[str, str, str]  # category, name of the run, kind of mistake


def analyse_mistakes(runs: Sequence[ComparedRun], *, thumbnails: Thumbnails) -> Analysed:
    """Lists missed defects and false alarms at each run's own threshold, the clearest mistakes first.

    Args:
        runs: runs on the same images.
        thumbnails: gives the pictures.
    """
    every = {
        (category, run.name, mistake): _wrong_keys(run, category, label=label)
        for category in categories_of(runs)
        for run in runs
        for mistake, label in _LABEL_OF_MISTAKE.items()
    }
    groups = {group: keys for group, keys in every.items() if keys}
    if not groups:
        return Section(_TITLE, ("No image is misclassified.",)), []
    rows = {group: _mistake_rows(runs, group, keys) for group, keys in groups.items()}
    limit = min(_ROWS_PER_GROUP, max(3, _MAX_ROWS // len(groups)))
    shown = [row | {"image": _last_two_names(row["image"])} for own in rows.values() for row in own[:limit]]
    everything = [row for own in rows.values() for row in own]
    left = len(everything) - len(shown)
    table = TableBlock(
        "mistakes",
        "Images on the wrong side of the threshold, the clearest mistakes first. The distance from the "
        "threshold is in standard deviations of the run's normal validation scores."
        + (
            f" The clearest {limit} of each kind are shown, {left} are left out; the CSV file has all."
            if left
            else ""
        ),
        without_constant_names(table_of_columns(_COLUMNS if len(runs) > 1 else _COLUMNS[:-1], shown)),
        raw=table_of_columns(_CSV_COLUMNS, everything),
    )
    run_of = {run.name: run for run in runs}
    pictures = min(_PICTURES_PER_GROUP, max(1, _MAX_PICTURES // len(groups)))
    blocks = [
        _mistake_pictures(run_of[group[1]], group, keys, thumbnails=thumbnails, limit=pictures)
        for group, keys in groups.items()
    ]
    return Section(_TITLE, (table, *blocks)), []


def truth_pictures(run: ComparedRun, keys: Sequence[Key], tiles: Sequence[Tiles]) -> list[Picture]:
    """Returns the annotated defect of each image, with its size and its place.

    Args:
        run: a run that tested the images.
        keys: keys of the images.
        tiles: pictures of each image, of `Thumbnails.tiles`.

    Returns:
        One picture per image, an empty one for an image without an annotation; [] where no image has one.
    """
    annotated = run.run.annotated
    has_truth = [str(run.images[key]["path"]) in annotated for key in keys]
    found = []
    for key, own, has in zip(keys, tiles, has_truth, strict=True):
        row = run.images[key]
        text = "" if has else "nothing annotated"
        if row["defect_area"] is not None:
            area, border = short_percent(row["defect_area"]), short_percent(row["defect_border"])
            text = f"covers {area}, {f'{border} from' if row['defect_border'] else 'at'} the border"
        found.append(Picture(own[1] if has else b"", text))
    return found if any(has_truth) else []


def heatmap_picture(tiles: Tiles) -> Picture:
    """Returns the heatmap that the run kept, or an empty picture with a caption that says so.

    Args:
        tiles: pictures of one image, of `Thumbnails.tiles`.
    """
    return Picture(tiles[2], "" if tiles[2] else "the run kept no heatmap of it")


def _wrong_keys(run: ComparedRun, category: str, *, label: int) -> list[Key]:
    keys = keys_of([run], category)
    wrong = [key for key in keys if run.images[key]["label"] == label and is_wrong(run.images[key])]
    return sorted(wrong, key=lambda key: margin(run, key))


def _mistake_rows(runs: Sequence[ComparedRun], group: Group, keys: Sequence[Key]) -> list[dict[str, Any]]:
    category, name, mistake = group
    run = next(each for each in runs if each.name == name)
    distances = deviations_above_threshold(run, category)
    found: list[dict[str, Any]] = []
    for key in keys:
        row, distance = run.images[key], distances[key]
        area = row["defect_area"]
        found.append(
            {
                "category": category,
                "run": name,
                "mistake": mistake,
                "image": key[1],
                "defect": row["defect"],
                "excess": signed(distance) if math.isfinite(distance) else None,
                "area": None if area is None else float(f"{100 * area:.2g}"),
                "also": ", ".join(
                    other.name for other in runs if other is not run and is_wrong(other.images[key])
                ),
                "score": row["score"],
                "threshold": row["threshold"],
            }
        )
    return found


def _last_two_names(path: str) -> str:
    """The folder and the file, which in most datasets are the type of defect and the image."""
    return "/".join(Path(path).parts[-2:])


def _mistake_pictures(
    run: ComparedRun, group: Group, keys: Sequence[Key], *, thumbnails: Thumbnails, limit: int
) -> Pictures:
    category, name, mistake = group
    distances = deviations_above_threshold(run, category)
    shown = list(keys[:limit])
    every = [thumbnails.tiles(run, key) for key in shown]
    truths = truth_pictures(run, shown, every)
    rows = []
    for place, (key, tiles) in enumerate(zip(shown, every, strict=True)):
        row: Mapping[str, Any] = run.images[key]
        side = "above" if row["score"] > row["threshold"] else "below"
        far = f", {abs(distances[key]):.2f} SD {side} the threshold" if math.isfinite(distances[key]) else ""
        pictures = (
            Picture(tiles[0], f"score {row['score']:.4g}{far}"),
            *truths[place : place + 1],
            heatmap_picture(tiles),
        )
        rows.append((f"{row['defect']} {Path(key[1]).name}", pictures))
    left = f", {len(keys) - limit} more are left out" if len(keys) > limit else ""
    count = f"{len(keys)} missed" if _LABEL_OF_MISTAKE[mistake] else counted(len(keys), mistake)
    caption = f"Run {name} on {category}: {count}, the clearest first{left}."
    columns = ("image", *(("annotated defect",) if truths else ()), "heatmap")
    return Pictures(caption, columns, tuple(rows))
