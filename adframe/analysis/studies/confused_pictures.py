"""Pictures of defects that look like another category's normal, and the sentence below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adframe.analysis.studies.confused_images import ConfusedImage, Nearest
from adframe.io.images import read_image
from adframe.reporting.document import Block, Picture, Pictures
from adframe.reporting.format import percent
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.outlines import Pixels, as_bytes, contour, encoded, outlined, resized, tile_size

_COLUMNS = (
    "image and defect",
    "its category's model",
    "model for all",
    "nearest normal patch of another category",
)
_BOX = (255, 200, 0)  # RGB
_WIDTH = 230  # of a tile, in pixels
_SCALE = 1.2  # times the pixel threshold: where a heatmap has its full colour at least

ModelFacts = Sequence[
    Mapping[str, Mapping[str, float | None]]
]  # of the category's model, of the model for all


def confused_sentence(method: str, found: Sequence[ConfusedImage]) -> str:
    """How many of the defects are closer to another category's normal patches than to their own."""
    foreign = [each for each in found if _other(each).distance < each.nearest[each.record.category].distance]
    return (
        f"{method}: of the {len(found)} images shown that lost rank, {len(foreign)} have a defect that is "
        "closer "
        "to a normal patch of another category than to any of their own."
    )


def confused_blocks(method: str, found: Sequence[ConfusedImage], *, facts: ModelFacts) -> tuple[Block, ...]:
    """What the pictures show, and one row per image."""
    text = (
        f"Anomalous test images that lost most rank among their category's normal ones when {method} was "
        "fitted to all categories together. The box is the patch that the model of the category finds most "
        "anomalous inside the annotation; next to it is the most similar patch of normal training images "
        "of the other categories."
    )
    rows = tuple((f"{each.record.category}, {each.record.defect}", _row(each, facts)) for each in found)
    return text, Pictures("Each row is one image; distances are between features.", _COLUMNS, rows)


def _row(each: ConfusedImage, facts: ModelFacts) -> tuple[Picture, ...]:
    other, own = _other(each), each.nearest[each.record.category]
    image = as_bytes(read_image(each.record.path, bits=each.record.bits))
    frame = image.shape[:2]
    plain = _boxed(outlined(_small(image), each.regions, frame=frame), frame, each.place)
    thresholds = [
        book[unit].get("calibration/pixel_threshold")
        for book, unit in zip(facts, (each.record.category, "global"), strict=True)
    ]
    heats = [
        _heat(image, values, threshold)
        for values, threshold in zip((each.own, each.pooled), thresholds, strict=True)
    ]
    texts = (
        f"{each.record.path.name}",
        f"above {percent(each.ranks[0])} of normal images",
        f"above {percent(each.ranks[1])}",
        f"{other.category}, distance {other.distance:.2f}; nearest in {own.category} {own.distance:.2f}",
    )
    near = as_bytes(read_image(other.record.path, bits=other.record.bits))
    pictures = (plain, *heats, _boxed(_small(near), near.shape[:2], other.box))
    return tuple(
        Picture(encoded(picture, kind="JPEG", quality=78), text)
        for picture, text in zip(pictures, texts, strict=True)
    )


def _other(each: ConfusedImage) -> Nearest:
    return min(
        (near for name, near in each.nearest.items() if name != each.record.category),
        key=lambda near: near.distance,
    )


def _heat(image: Pixels, values: np.ndarray, threshold: float | None) -> Pixels:
    """On its model's own scale: from the image's median to beyond the pixel threshold."""
    tile = _small(image)
    small = resized(values.astype(np.float32), (tile.shape[0], tile.shape[1]))
    high = max(float(small.max()), _SCALE * float(threshold or 0))
    return overlaid(tile, small, threshold=threshold, low=float(np.median(small)), high=high)


def _small(image: Pixels) -> Pixels:
    return resized(image, tile_size(image.shape[:2], width=_WIDTH))


def _boxed(tile: Pixels, frame: tuple[int, ...], box: tuple[int, int, int, int]) -> Pixels:
    """A box of the original frame drawn into a tile."""
    down, across = tile.shape[0] / frame[0], tile.shape[1] / frame[1]
    mask = np.zeros(tile.shape[:2], np.uint8)
    top, left = max(0, round(box[0] * down)), max(0, round(box[1] * across))
    mask[top : round((box[0] + box[2]) * down), left : round((box[1] + box[3]) * across)] = 1
    picture = tile.copy()
    contour(picture, mask, colour=_BOX, thickness=1)
    return picture
