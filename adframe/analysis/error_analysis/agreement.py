"""Whether runs make the same mistakes: agreement, McNemar's test, and what no run gets right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import Entrant, Key, parts_of
from adframe.analysis.error_analysis.common import (
    DEPENDENT,
    Part,
    categories_of,
    excesses,
    is_wrong,
    keys_of,
    margin,
    narrow,
)
from adframe.analysis.error_analysis.misclassified import extent_text, heat
from adframe.analysis.error_analysis.thumbnails import Album
from adframe.reporting.document import Block, Picture, Pictures, Section, TableBlock
from adframe.reporting.format import counted, p_equals, p_value, percent, signed, span
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.proportions import mcnemar, wilson
from adframe.stats.significance import holm

_PICTURES = 10  # a category, of all that no run gets right
_ALL_PICTURES = 40
_COLUMNS = (
    *(Column("category", "category"), Column("pair", "runs"), Column("images", "images")),
    *(Column("both", "both right"), Column("first", "only the first"), Column("last", "only the second")),
    *(Column("none", "none"), Column("p", "p McNemar"), Column("holm", "p Holm")),
)
_TYPES = (
    *(Column("category", "category"), Column("type", "defect type"), Column("images", "images")),
    *(Column("all", "wrong by all"), Column("share", "share", True), Column("interval", "95% interval")),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """How the decisions of two runs agree with the truth, in images."""

    category: str
    names: tuple[str, str]
    both: int
    first: int  # only the first is right
    last: int
    none: int

    @property
    def p(self) -> float:
        return mcnemar(self.first, self.last)


def agreement(runs: Sequence[Entrant], *, album: Album) -> Part:
    """Each run compared with the first, and the images that every run misclassifies."""
    pairs = [_pair(runs[0], run, category) for category in categories_of(runs) for run in runs[1:]]
    corrected = holm([pair.p for pair in pairs])
    rows = tuple(_row(pair, p) for pair, p in zip(pairs, corrected, strict=True))
    caption = (
        "Decisions of each run at its own threshold, in images. McNemar's exact test asks whether the two "
        "are equally often right; Holm's correction is for all of the table."
    )
    images, parts = parts_of(runs[0])
    caption += DEPENDENT if images > parts else ""
    numbers = TableBlock("agreement", caption, narrow(Table(_COLUMNS, rows)))
    blocks: list[Block] = [numbers, *_shared(runs, album=album)]
    held = [_finding(*each) for each in zip(pairs, corrected, strict=True) if is_significant(each[1])]
    findings = tuple(held) if images == parts else ()
    return Part(Section("Where the runs agree, and where all fail", tuple(blocks)), findings)


def shared(runs: Sequence[Entrant], category: str) -> list[Key]:
    """The images that every run misclassifies, the clearest mistakes first."""
    keys = [key for key in keys_of(runs, category) if all(is_wrong(run.images[key]) for run in runs)]
    least = {key: max(_depth(run, key) for run in runs) for key in keys}
    return sorted(keys, key=lambda key: least[key])


def _depth(run: Entrant, key: Key) -> float:
    """A margin on a scale that runs share: validation SDs where they are known, else the threshold's size."""
    row = run.images[key]
    excess = excesses(run, key[0])[key]
    sign = 1 if row["label"] == 1 else -1
    return sign * excess if math.isfinite(excess) else margin(run, key) / (abs(row["threshold"]) or 1.0)


def _pair(first: Entrant, last: Entrant, category: str) -> Pair:
    keys = keys_of([first], category)
    right = [(not is_wrong(first.images[key]), not is_wrong(last.images[key])) for key in keys]
    counts = (right.count(each) for each in ((True, True), (True, False), (False, True), (False, False)))
    return Pair(category, (first.name, last.name), *counts)


def _row(pair: Pair, p: float) -> tuple[Cell, ...]:
    counts = (pair.both, pair.first, pair.last, pair.none)
    return (pair.category, " and ".join(pair.names), sum(counts), *counts, p_value(pair.p), p_value(p))


def _shared(runs: Sequence[Entrant], *, album: Album) -> list[Block]:
    found = {category: shared(runs, category) for category in categories_of(runs)}
    found = {category: keys for category, keys in found.items() if keys}
    if not found:
        return ["No image is misclassified by every run."]
    blocks: list[Block] = [_types(runs, found)]
    limit = min(_PICTURES, max(2, _ALL_PICTURES // len(found)))
    return [
        *blocks,
        *(_pictures(runs, category, keys, album=album, limit=limit) for category, keys in found.items()),
    ]


def _types(runs: Sequence[Entrant], found: dict[str, list[Key]]) -> TableBlock:
    rows: list[tuple[Cell, ...]] = []
    images = runs[0].images
    for category, wrong in found.items():
        every = [images[key]["defect"] for key in keys_of(runs, category)]
        fails = [images[key]["defect"] for key in wrong]
        for name in sorted(set(fails), key=lambda name: (-fails.count(name) / every.count(name), name)):
            part, whole = fails.count(name), every.count(name)
            rows.append((category, name, whole, part, part / whole, span(*wilson(part, whole))))
    text = "Images that every run misclassifies at its own threshold, with Wilson's interval of their share."
    return TableBlock("wrong_by_all", text, narrow(Table(_TYPES, tuple(rows))))


def _pictures(
    runs: Sequence[Entrant], category: str, keys: Sequence[Key], *, album: Album, limit: int
) -> Pictures:
    excess = [excesses(run, category) for run in runs]
    rows = []
    for key in keys[:limit]:
        tiles = [album.tiles(run, key) for run in runs]
        row = runs[0].images[key]
        first = Picture(
            tiles[0][0],
            "a defect that every run misses" if row["label"] == 1 else "a false alarm of every run",
        )
        heats = []
        for own, each in zip(excess, tiles, strict=True):
            picture = heat(each)
            far = f"{signed(own[key])} SD from the threshold" if math.isfinite(own[key]) else ""
            heats.append(Picture(picture.content, "; ".join(text for text in (far, picture.caption) if text)))
        name = f"{row['defect']} {Path(key[1]).name}"
        rows.append((name, (first, Picture(tiles[0][1], extent_text(runs[0], key)), *heats)))
    left = f"; {len(keys) - limit} more are left out" if len(keys) > limit else ""
    caption = (
        f"{counted(len(keys), 'image')} of {category} that every run misclassifies, the clearest first{left}."
    )
    columns = ("image", "annotated defect", *(f"heatmap of run {run.name}" for run in runs))
    return Pictures(caption, columns, tuple(rows))


def _finding(pair: Pair, p: float) -> str:
    better, other = pair.names if pair.first > pair.last else pair.names[::-1]
    right = max(pair.first, pair.last), min(pair.first, pair.last)
    total = pair.both + pair.first + pair.last + pair.none
    return (
        f"At their own thresholds run {better} decides more images of {pair.category} rightly than run "
        f"{other}: {counted(right[0], 'image')} only {better} gets right, {right[1]} only {other}, "
        f"{percent((pair.both + right[0]) / total)} compared with {percent((pair.both + right[1]) / total)} "
        "in all "
        f"(McNemar's exact test: {p_equals(p)} after Holm's correction)."
    )
