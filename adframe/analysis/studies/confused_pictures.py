"""Builds the pictures of defects similar to another category's normal patches, and their sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adframe.analysis.studies.confused_images import ConfusedImage, NearestPatch, PixelBox
from adframe.io.images import read_image
from adframe.reporting.document import Block, Picture, Pictures
from adframe.reporting.format import percent
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.outlines import Pixels, as_bytes, contour, encoded, outlined, resized, tile_size

_PICTURE_TITLES = (
    "image and defect",
    "its category's model",
    "model for all",
    "nearest normal patch of another category",
)
_BOX_COLOUR = (255, 200, 0)  # RGB
_CONFUSED_WIDTH = 230  # pixels
_FULL_COLOUR = 1.2  # a heatmap has its full colour at this multiple of the pixel threshold or above
_JPEG_QUALITY = 78

# Facts by fitted model: first those of the run with one model per category, then of the model for all.
ModelFacts = Sequence[Mapping[str, Mapping[str, float | None]]]


def confused_sentence(method: str, images: Sequence[ConfusedImage]) -> str:
    """Writes how many defects are closer to another category's normal patches than to their own category's.

    Args:
        method: name of the method.
        images: the images that are shown.

    Returns:
        One sentence.
    """
    closer = [
        each for each in images if _nearest_other(each).distance < each.nearest[each.record.category].distance
    ]
    return (
        f"{method}: {len(closer)} of the {len(images)} images that are shown have a defect that is closer to "
        "a normal patch of another category than to any of their own."
    )


def confused_blocks(method: str, images: Sequence[ConfusedImage], *, facts: ModelFacts) -> tuple[Block, ...]:
    """Builds the text and the pictures of confused images.

    Args:
        method: name of the method.
        images: the images to show.
        facts: facts of the fitted models, with `calibration/pixel_threshold`.

    Returns:
        A paragraph, and one row of pictures per image.
    """
    text = (
        f"Anomalous test images that lost most rank among the normal images of their category when {method} "
        "was fitted to all categories together. The box is the patch inside the annotation that the model of "
        "the category finds most anomalous; next to it is the most similar patch of normal training images "
        "of the other categories."
    )
    rows = tuple(
        (f"{each.record.category}, {each.record.defect}", _picture_row(each, facts)) for each in images
    )
    return text, Pictures("Each row is one image; distances are between features.", _PICTURE_TITLES, rows)


def _picture_row(each: ConfusedImage, facts: ModelFacts) -> tuple[Picture, ...]:
    other, own = _nearest_other(each), each.nearest[each.record.category]
    image = as_bytes(read_image(each.record.path, bits=each.record.bits))
    frame = image.shape[:2]
    plain = _with_box(outlined(_small(image), each.regions, frame=frame), frame, each.place)
    thresholds = [
        by_model[model].get("calibration/pixel_threshold")
        for by_model, model in zip(facts, (each.record.category, "global"), strict=True)
    ]
    heatmaps = [
        _heatmap_picture(image, values, threshold)
        for values, threshold in zip((each.own, each.pooled), thresholds, strict=True)
    ]
    texts = (
        f"{each.record.path.name}",
        f"above {percent(each.ranks[0])} of normal images",
        f"above {percent(each.ranks[1])} of normal images",
        f"{other.record.category}, distance {other.distance:.2f}; nearest in {own.record.category} "
        f"{own.distance:.2f}",
    )
    nearest = as_bytes(read_image(other.record.path, bits=other.record.bits))
    pictures = (plain, *heatmaps, _with_box(_small(nearest), nearest.shape[:2], other.box))
    return tuple(
        Picture(encoded(picture, kind="JPEG", quality=_JPEG_QUALITY), text)
        for picture, text in zip(pictures, texts, strict=True)
    )


def _nearest_other(each: ConfusedImage) -> NearestPatch:
    """Returns the nearest patch of another category."""
    return min(
        (patch for name, patch in each.nearest.items() if name != each.record.category),
        key=lambda patch: patch.distance,
    )


def _heatmap_picture(image: Pixels, values: np.ndarray, threshold: float | None) -> Pixels:
    """Draws a heatmap in the scale of its own model: the scores of two models are not comparable."""
    tile = _small(image)
    small = resized(values.astype(np.float32), (tile.shape[0], tile.shape[1]))
    high = max(float(small.max()), _FULL_COLOUR * float(threshold or 0))
    return overlaid(tile, small, threshold=threshold, low=float(np.median(small)), high=high)


def _small(image: Pixels) -> Pixels:
    return resized(image, tile_size(image.shape[:2], width=_CONFUSED_WIDTH))


def _with_box(tile: Pixels, frame: tuple[int, ...], box: PixelBox) -> Pixels:
    """Draws a box of the original image, whose size is `frame`, into a tile."""
    down, across = tile.shape[0] / frame[0], tile.shape[1] / frame[1]
    mask = np.zeros(tile.shape[:2], np.uint8)
    top, left = max(0, round(box[0] * down)), max(0, round(box[1] * across))
    mask[top : round((box[0] + box[2]) * down), left : round((box[1] + box[3]) * across)] = 1
    picture = tile.copy()
    contour(picture, mask, colour=_BOX_COLOUR, thickness=1)
    return picture
