"""Misclassified test images: how far they are from the threshold, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.compared_runs import Entrant, Key
from adframe.analysis.error_analysis.common import (
    Part,
    categories_of,
    excesses,
    is_wrong,
    keys_of,
    margin,
    narrow,
)
from adframe.analysis.error_analysis.thumbnails import Album, Tiles
from adframe.reporting.document import Block, Picture, Pictures, Section, TableBlock
from adframe.reporting.format import counted, short_percent, signed
from adframe.reporting.tables import Cell, Column, Table

_ROWS, _PICTURES = 200, 100  # of the whole page: shared by runs, categories and kinds of mistake
_MOST_ROWS, _MOST_PICTURES = 12, 8  # of one of those
_KINDS = (("missed", 1), ("false alarm", 0))
_TITLE = "Misclassified test images"
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("mistake", "mistake"),
    Column("image", "image"),
    Column("defect", "defect type"),
    Column("excess", "SD above threshold"),
    Column("area", "defect area, % of image"),
    Column("also", "also wrong"),
    Column("score", "score"),  # these two for programs only
    Column("threshold", "threshold"),
)


def mistakes(runs: Sequence[Entrant], *, album: Album) -> Part:
    """Missed defects and false alarms at each run's own threshold, the clearest mistakes first."""
    groups = {
        (category, run.name, kind): _wrong(run, category, label=label)
        for category in categories_of(runs)
        for run in runs
        for kind, label in _KINDS
    }
    groups = {place: keys for place, keys in groups.items() if keys}
    if not groups:
        return Part(Section(_TITLE, ("No image is misclassified.",)))
    named = {run.name: run for run in runs}
    rows = {place: _rows(runs, place, keys) for place, keys in groups.items()}
    limit = min(_MOST_ROWS, max(3, _ROWS // len(groups)))
    shown = [row for lines in rows.values() for row in lines[:limit]]
    every = [row for lines in rows.values() for row in lines]
    left = len(every) - len(shown)
    more = (
        f" The clearest {limit} of each kind are shown, {left} are left out; the CSV file has all."
        if left
        else ""
    )
    table = TableBlock(
        "mistakes",
        "Images on the wrong side of the threshold, the clearest mistakes first. The distance from the "
        "threshold is in standard deviations of the run's normal validation scores." + more,
        narrow(Table(_COLUMNS[:-2], tuple((*row[:3], _short(row[3]), *row[4:-2]) for row in shown))),
        raw=Table(_COLUMNS, tuple(every)),
    )
    pictures = min(_MOST_PICTURES, max(1, _PICTURES // len(groups)))
    blocks: list[Block] = [table]
    blocks += [
        _pictures(named[place[1]], place, keys, album=album, limit=pictures) for place, keys in groups.items()
    ]
    return Part(Section(_TITLE, tuple(blocks)))


def _wrong(run: Entrant, category: str, *, label: int) -> list[Key]:
    keys = keys_of([run], category)
    wrong = [key for key in keys if run.images[key]["label"] == label and is_wrong(run.images[key])]
    return sorted(wrong, key=lambda key: margin(run, key))


def _rows(
    runs: Sequence[Entrant], place: tuple[str, str, str], keys: Sequence[Key]
) -> list[tuple[Cell, ...]]:
    category, name, kind = place
    run = next(each for each in runs if each.name == name)
    excess = excesses(run, category)
    found: list[tuple[Cell, ...]] = []
    for key in keys:
        row = run.images[key]
        also = [other.name for other in runs if other is not run and is_wrong(other.images[key])]
        area = row["defect_area"]
        found.append(
            (
                *(category, name, kind, key[1], row["defect"], signed_spreads(excess[key])),
                None if area is None else float(f"{100 * area:.2g}"),
                *(", ".join(also), row["score"], row["threshold"]),
            )
        )
    return found


def _short(path: Cell) -> str:
    """The last two names, which is where most datasets have the type."""
    return "/".join(Path(str(path)).parts[-2:])


def signed_spreads(excess: float) -> Cell:
    """+1.24, or nothing where the standard deviation is not known."""
    return signed(excess) if math.isfinite(excess) else None


def _pictures(
    run: Entrant, place: tuple[str, str, str], keys: Sequence[Key], *, album: Album, limit: int
) -> Pictures:
    category, name, kind = place
    excess = excesses(run, category)
    rows = []
    for key in keys[:limit]:
        tiles = album.tiles(run, key)
        rows.append((_named(run, key), (*_seen(run, key, tiles[:2], excess[key]), heat(tiles))))
    left = f", {len(keys) - limit} more are left out" if len(keys) > limit else ""
    count = counted(len(keys), kind) if label_of(kind) == 0 else f"{len(keys)} missed"
    caption = f"Run {name} on {category}: {count}, the clearest first{left}."
    return Pictures(caption, ("image", "annotated defect", "heatmap"), tuple(rows))


def label_of(kind: str) -> int:
    """The label of the images that a kind of mistake is about."""
    return dict(_KINDS)[kind]


def _named(run: Entrant, key: Key) -> str:
    return f"{run.images[key]['defect']} {Path(key[1]).name}"


def _seen(run: Entrant, key: Key, tiles: Sequence[bytes], excess: float) -> tuple[Picture, Picture]:
    row = run.images[key]
    side = "above" if row["score"] > row["threshold"] else "below"
    far = f", {abs(excess):.2f} SD {side} the threshold" if math.isfinite(excess) else ""
    return Picture(tiles[0], f"score {row['score']:.4g}{far}"), Picture(tiles[1], extent_text(run, key))


def extent_text(run: Entrant, key: Key) -> str:
    """What the annotation says of size and place."""
    row = run.images[key]
    if row["defect_area"] is None:
        return "nothing annotated" if row["label"] == 0 else ""
    return (
        f"covers {short_percent(row['defect_area'])}, {short_percent(row['defect_border'])} from the border"
    )


def heat(tiles: Tiles) -> Picture:
    """The heatmap that the run kept, or an empty tile that says so."""
    return Picture(tiles[2], "" if tiles[2] else "the run kept no heatmap of it")
