"""Example pictures of a category: seeded choice, defects outlined, before and after a domain shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import Record, Region
from adframe.ops.regions import union
from adframe.reporting.dataset_stats import SPLITS, Progress, Reader, Survey, as_bytes, draw, kind_of
from adframe.reporting.outlines import Pixels, encoded, outlined, resized, tile_size
from adframe.reporting.tables import shown
from adframe.transforms.shift.shift import Shift
from adframe.transforms.shift.transform import Params

_WIDTH = 288  # pixels of a tile
_PAIRS = 2  # images a category that are shown before and after a shift
_ORIGINAL = "original"
_SEED_OF_NOISE = ".field"  # drawn like the others, says nothing to a person


class Album:
    """The pictures of a page by name, as JPEG bytes: the pixels are let go at once."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, image: NDArray[Any], regions: Sequence[Region], *, width: int = _WIDTH) -> str:
        """Shrinks an image (H, W, 3) uint8 or uint16, outlines its regions; returns the picture's name."""
        frame = image.shape[:2]
        tile = resized(as_bytes(image), tile_size(frame, width=width))
        return self.paste(outlined(tile, regions, frame=frame))

    def paste(self, picture: Pixels) -> str:
        """Takes a picture (h, w, 3) as it is."""
        name = f"picture-{len(self.files)}"
        self.files[name] = encoded(picture, kind="JPEG", quality=82)
        return name


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture and what stands below it."""

    picture: str  # its name in the album
    alt: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Examples of one kind: good, a type of defect, or unlabelled."""

    kind: str
    total: int
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """One image, then the same under one or several shifts."""

    name: str
    kind: str
    tiles: tuple[Tile, ...]
    shifts: tuple[str, ...]
    drawn: tuple[tuple[str, tuple[str, ...]], ...]  # what was drawn: its name, its value under each shift


def example_rows(
    survey: Survey, album: Album, *, read: Reader, count: int, seed: int, progress: Progress
) -> list[Row]:
    """A few images of each kind, the annotated defects outlined.

    Args:
        survey: the category.
        album: takes in the pictures.
        read: from files to pixels.
        count: how many of a kind at most.
        seed: draws them: the same images for the same seed.
        progress: told before every kind.
    """
    rows = []
    for place, kind in enumerate(survey.kinds):
        progress("examples", place, len(survey.kinds))
        members = [record for record in survey.records if kind_of(record) == kind]
        chosen = draw(members, count, seed=seed, key=f"examples/{kind}")
        rows.append(Row(kind, len(members), tuple(_tile(record, album, read=read) for record in chosen)))
    return rows


def shift_strips(
    survey: Survey, album: Album, *, read: Reader, shifts: Sequence[Shift], seed: int, progress: Progress
) -> list[Strip]:
    """A few defective test images (any test images where none is known), before and after each shift."""
    test = [record for record in survey.records if record.split == "test"] or list(survey.records)
    defective = [record for record in test if record.label == 1] or test
    kinds = sorted({kind_of(record) for record in defective})
    one_each = [
        draw([r for r in defective if kind_of(r) == kind], 1, seed=seed, key=f"shift/{kind}")[0]
        for kind in kinds
    ]
    chosen = draw(one_each if len(kinds) >= _PAIRS else defective, _PAIRS, seed=seed, key="shift")
    strips = []
    for place, record in enumerate(chosen):
        progress("shifts", place, len(chosen))
        strips.append(_strip(record, album, read=read, shifts=shifts))
    return strips


def _tile(record: Record, album: Album, *, read: Reader) -> Tile:
    image = read.image(record)
    frame = image.shape[0], image.shape[1]
    regions = read.regions(record, read.masks(record)) or []
    note = SPLITS.get(record.split, record.split)
    if regions:
        share = float(union(regions, frame).mean())
        note = f"{percent(share)} %, {counted(len(regions), 'region')}"
    elif record.label == 1:
        note = "no mask"
    what = f"{record.category}, {kind_of(record)}, {record.path.name}"
    alt = f"{what}: {note} of the image, outlined." if regions else f"{what}."
    return Tile(album.add(image, regions), alt, record.path.name, note)


def _strip(record: Record, album: Album, *, read: Reader, shifts: Sequence[Shift]) -> Strip:
    image, masks = read.image(record), read.masks(record)
    what = f"{record.category}, {kind_of(record)}, {record.path.name}"
    first = album.add(image, read.regions(record, masks) or [])
    tiles = [Tile(first, f"{what}: {_ORIGINAL}.", _ORIGINAL, _marked(masks))]
    facts: list[Params] = []
    for shift in shifts:
        shifted, moved, drawn = shift(image, masks, index=record.place)
        alt = f"{what}: under the shift {shift.name}."
        picture = album.add(shifted, read.regions(record, moved) or [])
        tiles.append(Tile(picture, alt, shift.name, _marked(moved)))
        facts.append(drawn)
    names = tuple(shift.name for shift in shifts)
    return Strip(record.path.name, kind_of(record), tuple(tiles), names, _lines(facts))


def _lines(facts: Sequence[Params]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = dict.fromkeys(name for drawn in facts for name in drawn if not name.endswith(_SEED_OF_NOISE))
    return tuple((name, tuple(_value(drawn.get(name)) for drawn in facts)) for name in names)


def _value(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def _marked(masks: Sequence[NDArray[Any]]) -> str:
    return f"{percent(float(np.logical_or.reduce([mask > 0 for mask in masks]).mean()))} %" if masks else ""


def percent(share: float) -> str:
    """A share as a percentage with two significant digits: small defects need them."""
    value = 100 * share
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def counted(number: int, noun: str) -> str:
    """`1 region`, `2 regions`, `1,200 images`; the plural of what ends in y is in -ies."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"
