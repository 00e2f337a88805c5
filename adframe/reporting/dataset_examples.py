"""Pictures of a category: maps of defects, a seeded choice of images, and images before and after a shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import Record, Region
from adframe.data.base import ProgressCallback
from adframe.ops.regions import union
from adframe.reporting.dataset_stats import SPLIT_TITLES, ImageReader, Survey, draw, kind_of_record
from adframe.reporting.document import Block, Card, Details, Gallery, Heading, Picture, TableBlock, Text
from adframe.reporting.format import counted, short_percent
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.outlines import Heatmap, Pixels, as_bytes, encoded, outlined, resized, tile_size
from adframe.reporting.tables import Column, Table, shown
from adframe.transforms.shift.shift import Shift
from adframe.transforms.shift.transform import Params

_PICTURE_WIDTH = 288  # pixels of a picture
_MAP_WIDTH = 176  # pixels, the width of a small map of where defects lie
_MAPS = 11  # types of defect that get their own map
_SHIFTED_IMAGES = 2  # images per category that are shown before and after a shift
_ORIGINAL = "original"
_SEED_OF_NOISE = ".field"  # a drawn parameter that no reader needs


def jpeg(pixels: Pixels, *, alt: str) -> Picture:
    """Encodes pixels as a JPEG picture for a page.

    Args:
        pixels: (h, w, 3) uint8 RGB; the picture keeps this size.
        alt: what the picture shows, in words.

    Returns:
        The picture, without a caption.
    """
    return Picture(encoded(pixels, kind="JPEG", quality=82), alt=alt)


def example_galleries(
    survey: Survey, *, read: ImageReader, count: int, seed: int, progress: ProgressCallback
) -> list[Gallery]:
    """Builds one gallery per kind of image, with the annotated defects outlined.

    Args:
        survey: the measured category.
        read: reads the files.
        count: the largest number of images of a kind.
        seed: of the choice; the same seed chooses the same images.
        progress: is called before each kind.

    Returns:
        The galleries in the order of `survey.kinds`.
    """
    galleries = []
    for place, kind in enumerate(survey.kinds):
        progress("examples", place, len(survey.kinds))
        members = [record for record in survey.records if kind_of_record(record) == kind]
        chosen = draw(members, count, seed=seed, key=f"examples/{kind}")
        cards = tuple(_example(record, read=read) for record in chosen)
        galleries.append(Gallery(cards, kind, counted(len(members), "image"), size="medium"))
    return galleries


def shifted_examples(
    survey: Survey,
    *,
    name: str,
    read: ImageReader,
    shifts: Sequence[Shift],
    seed: int,
    progress: ProgressCallback,
) -> list[Block]:
    """Shows two test images before and after each shift, defective ones where there are any.

    Args:
        survey: the measured category.
        name: prefix of the names of the tables.
        read: reads the files.
        shifts: at least one.
        seed: of the choice of images.
        progress: is called before each image.

    Returns:
        A gallery per image and, where a shift draws parameters, a table of them.
    """
    test = [record for record in survey.records if record.split == "test"] or list(survey.records)
    defective = [record for record in test if record.label == 1] or test
    kinds = sorted({kind_of_record(record) for record in defective})
    # Two different types of defect show more of a shift than two images of the same type.
    one_each = [
        draw([r for r in defective if kind_of_record(r) == kind], 1, seed=seed, key=f"shift/{kind}")[0]
        for kind in kinds
    ]
    chosen = draw(
        one_each if len(kinds) >= _SHIFTED_IMAGES else defective, _SHIFTED_IMAGES, seed=seed, key="shift"
    )
    blocks: list[Block] = []
    for place, record in enumerate(chosen):
        progress("shifts", place, len(chosen))
        blocks += _shifted_blocks(record, name=f"{name}_{place}", read=read, shifts=shifts)
    return blocks


def defect_maps(survey: Survey) -> list[Block]:
    """Shows the mean normal image, and where defects lie on it: all of them, and each type by itself.

    Args:
        survey: the measured category.

    Returns:
        A heading and a gallery; nothing where no normal image was sampled.
    """
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
        size = round(survey.mean.shape[0] * _MAP_WIDTH / survey.mean.shape[1]), _MAP_WIDTH
        heatmap = overlaid(
            resized(survey.mean, size),
            resized(values, size),
            threshold=None,
            low=0.0,
            high=float(values.max()),
        )
        cards.append(Card((jpeg(heatmap, alt=alt),), what, highest))
    text = (
        "The colour is the share of the annotated images that have a mask at that place: black is none, "
        "yellow is the share that stands below the map."
    )
    return [
        Heading("Where defects lie"),
        *([Text(text)] if len(cards) > 1 else []),
        Gallery(tuple(cards), size="small"),
    ]


def _example(record: Record, *, read: ImageReader) -> Card:
    image = read.image(record)
    frame = image.shape[0], image.shape[1]
    regions = read.regions(record, read.masks(record)) or []
    note = SPLIT_TITLES.get(record.split, record.split)
    if regions:
        share = float(union(regions, frame).mean())
        note = f"{short_percent(share)}, {counted(len(regions), 'region')}"
    elif record.label == 1:
        note = "no mask"
    what = f"{record.category}, {kind_of_record(record)}, {record.path.name}"
    alt = f"{what}: {note} of the image, outlined." if regions else f"{what}."
    return Card((_outlined_picture(image, regions, alt=alt),), record.path.name, note)


def _shifted_blocks(record: Record, *, name: str, read: ImageReader, shifts: Sequence[Shift]) -> list[Block]:
    image, masks = read.image(record), read.masks(record)
    what = f"{record.category}, {kind_of_record(record)}, {record.path.name}"
    first = _outlined_picture(image, read.regions(record, masks) or [], alt=f"{what}: {_ORIGINAL}.")
    cards = [Card((first,), _ORIGINAL, _marked(masks))]
    drawn: list[Params] = []
    for shift in shifts:
        shifted, moved, parameters = shift(image, masks, index=record.place)
        alt = f"{what}: under the shift {shift.name}."
        picture = _outlined_picture(shifted, read.regions(record, moved) or [], alt=alt)
        cards.append(Card((picture,), shift.name, _marked(moved)))
        drawn.append(parameters)
    names = dict.fromkeys(name for one in drawn for name in one if not name.endswith(_SEED_OF_NOISE))
    rows = [(name, *(_parameter_text(one.get(name)) for one in drawn)) for name in names]
    if not rows:
        return [Gallery(tuple(cards), kind_of_record(record), record.path.name, size="medium")]
    columns = tuple(Column(title, title) for title in ("parameter", *(shift.name for shift in shifts)))
    table = TableBlock(name, "", Table(columns, tuple(rows)), total="")
    return [
        Gallery(tuple(cards), kind_of_record(record), record.path.name, size="medium"),
        Details("Drawn parameters", (table,), is_open=len(shifts) == 1),
    ]


def _parameter_text(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def _marked(masks: Sequence[NDArray[Any]]) -> str:
    return short_percent(float(np.logical_or.reduce([mask > 0 for mask in masks]).mean())) if masks else ""


def _outlined_picture(image: NDArray[Any], regions: Sequence[Region], *, alt: str) -> Picture:
    """Shrinks an image (H, W, 3), uint8 or uint16, and outlines its regions."""
    frame = image.shape[:2]
    tile = resized(as_bytes(image), tile_size(frame, width=_PICTURE_WIDTH))
    return jpeg(outlined(tile, regions, frame=frame), alt=alt)
