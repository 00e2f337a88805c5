"""Pictures of a category: where defects lie, a seeded choice of images, before and after a domain shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import Record, Region
from adframe.ops.regions import union
from adframe.reporting.dataset_stats import SPLITS, Progress, Reader, Survey, draw, kind_of
from adframe.reporting.document import Block, Card, Details, Gallery, Heading, Picture, TableBlock, Text
from adframe.reporting.format import counted, short_percent
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.outlines import Heatmap, Pixels, as_bytes, encoded, outlined, resized, tile_size
from adframe.reporting.tables import Column, Table, shown
from adframe.transforms.shift.shift import Shift
from adframe.transforms.shift.transform import Params

_WIDTH = 288  # pixels of a picture
_MAP = 176  # pixels, the width of a small map of where defects lie
_MAPS = 11  # types of defect with a map of their own
_PAIRS = 2  # images per category that are shown before and after a shift
_ORIGINAL = "original"
_SEED_OF_NOISE = ".field"  # drawn like the others, but of no interest to a reader


def jpeg(pixels: Pixels, *, alt: str) -> Picture:
    """A picture (h, w, 3) as it is, with what it shows in words."""
    return Picture(encoded(pixels, kind="JPEG", quality=82), alt=alt)


def example_galleries(
    survey: Survey, *, read: Reader, count: int, seed: int, progress: Progress
) -> list[Gallery]:
    """A few images of each kind, the annotated defects outlined.

    Args:
        survey: the category.
        read: from files to pixels.
        count: the largest number of images of a kind.
        seed: of the choice: the same seed chooses the same images.
        progress: is called before every kind.
    """
    galleries = []
    for place, kind in enumerate(survey.kinds):
        progress("examples", place, len(survey.kinds))
        members = [record for record in survey.records if kind_of(record) == kind]
        chosen = draw(members, count, seed=seed, key=f"examples/{kind}")
        cards = tuple(_example(record, read=read) for record in chosen)
        galleries.append(Gallery(cards, kind, counted(len(members), "image"), size="medium"))
    return galleries


def shifted_examples(
    survey: Survey, *, name: str, read: Reader, shifts: Sequence[Shift], seed: int, progress: Progress
) -> list[Block]:
    """A few defective test images (any test images where none is known), before and after each shift.

    Args:
        survey: the category.
        name: with which the names of the tables begin.
        read: from files to pixels.
        shifts: at least one.
        seed: of the choice.
        progress: is called before every image.
    """
    test = [record for record in survey.records if record.split == "test"] or list(survey.records)
    defective = [record for record in test if record.label == 1] or test
    kinds = sorted({kind_of(record) for record in defective})
    one_each = [
        draw([r for r in defective if kind_of(r) == kind], 1, seed=seed, key=f"shift/{kind}")[0]
        for kind in kinds
    ]
    chosen = draw(one_each if len(kinds) >= _PAIRS else defective, _PAIRS, seed=seed, key="shift")
    blocks: list[Block] = []
    for place, record in enumerate(chosen):
        progress("shifts", place, len(chosen))
        blocks += _shifted(record, name=f"{name}_{place}", read=read, shifts=shifts)
    return blocks


def defect_maps(survey: Survey) -> list[Block]:
    """The mean normal image, then where the defects lie on it: all of them, and type by type."""
    if survey.mean is None:
        return []
    name = survey.category
    first = jpeg(survey.mean, alt=f"{name}: the mean of normal images.")
    cards = [Card((first,), "mean normal image")]
    counts = {defect: sum(mark.defect == defect for mark in survey.marks) for defect in survey.density}
    maps: dict[str, Heatmap] = {}
    if len(survey.density) > 1:
        every = sum(survey.density[defect] * count for defect, count in counts.items())
        maps["all defects"] = np.asarray(every / sum(counts.values()), np.float32)
    for what, values in (maps | dict(list(survey.density.items())[:_MAPS])).items():
        highest = f"up to {short_percent(float(values.max()))}"
        alt = f"{name}: where the masks of {what} lie; {highest} of the images are marked at one place."
        cards.append(Card((jpeg(_map(survey.mean, values), alt=alt),), what, highest))
    text = (
        "The colour is the share of the annotated images that have a mask at that place, from black for none "
        "to yellow for the share that the map's caption says."
    )
    return [
        Heading("Where defects lie"),
        *([Text(text)] if len(cards) > 1 else []),
        Gallery(tuple(cards), size="small"),
    ]


def _example(record: Record, *, read: Reader) -> Card:
    image = read.image(record)
    frame = image.shape[0], image.shape[1]
    regions = read.regions(record, read.masks(record)) or []
    note = SPLITS.get(record.split, record.split)
    if regions:
        share = float(union(regions, frame).mean())
        note = f"{short_percent(share)}, {counted(len(regions), 'region')}"
    elif record.label == 1:
        note = "no mask"
    what = f"{record.category}, {kind_of(record)}, {record.path.name}"
    alt = f"{what}: {note} of the image, outlined." if regions else f"{what}."
    return Card((_picture(image, regions, alt=alt),), record.path.name, note)


def _shifted(record: Record, *, name: str, read: Reader, shifts: Sequence[Shift]) -> list[Block]:
    image, masks = read.image(record), read.masks(record)
    what = f"{record.category}, {kind_of(record)}, {record.path.name}"
    first = _picture(image, read.regions(record, masks) or [], alt=f"{what}: {_ORIGINAL}.")
    cards = [Card((first,), _ORIGINAL, _marked(masks))]
    drawn: list[Params] = []
    for shift in shifts:
        shifted, moved, parameters = shift(image, masks, index=record.place)
        alt = f"{what}: under the shift {shift.name}."
        picture = _picture(shifted, read.regions(record, moved) or [], alt=alt)
        cards.append(Card((picture,), shift.name, _marked(moved)))
        drawn.append(parameters)
    rows = _parameters(drawn)
    if not rows:
        return [Gallery(tuple(cards), kind_of(record), record.path.name, size="medium")]
    columns = tuple(Column(title, title) for title in ("parameter", *(shift.name for shift in shifts)))
    table = TableBlock(name, "", Table(columns, tuple(rows)), total="")
    return [
        Gallery(tuple(cards), kind_of(record), record.path.name, size="medium"),
        Details("Parameters that were drawn", (table,), is_open=len(shifts) == 1),
    ]


def _parameters(drawn: Sequence[Params]) -> list[tuple[str, ...]]:
    """A row per parameter: its name, and its value under each shift."""
    names = dict.fromkeys(name for one in drawn for name in one if not name.endswith(_SEED_OF_NOISE))
    return [(name, *(_value(one.get(name)) for one in drawn)) for name in names]


def _value(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def _marked(masks: Sequence[NDArray[Any]]) -> str:
    return short_percent(float(np.logical_or.reduce([mask > 0 for mask in masks]).mean())) if masks else ""


def _picture(image: NDArray[Any], regions: Sequence[Region], *, alt: str) -> Picture:
    """A shrunk image (H, W, 3) uint8 or uint16 with its regions outlined."""
    frame = image.shape[:2]
    tile = resized(as_bytes(image), tile_size(frame, width=_WIDTH))
    return jpeg(outlined(tile, regions, frame=frame), alt=alt)


def _map(mean: Pixels, values: Heatmap) -> Pixels:
    size = round(mean.shape[0] * _MAP / mean.shape[1]), _MAP
    return overlaid(
        resized(mean, size), resized(values, size), threshold=None, low=0.0, high=float(values.max())
    )
