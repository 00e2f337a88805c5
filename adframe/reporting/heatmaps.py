"""The three tiles of a test image: the image, the annotated defects, and the anomaly map."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from adframe.contracts import Region
from adframe.io.files import write_whole
from adframe.reporting.outlines import (
    Heatmap,
    Pixels,
    contour,
    encoded,
    outline_inspected,
    outlined,
    resized,
    tile_size,
)  # fmt: skip
from adframe.results.gallery import TILES

_THRESHOLD_COLOUR = (255, 255, 255)


def heatmap_tiles(
    image: Pixels,
    *,
    heatmap: Heatmap,
    regions: list[Region],
    threshold: float | None,
    low: float,
    high: float,
    width: int = 256,
    inside: np.ndarray | None = None,
) -> dict[str, Pixels]:
    """Draws the image, its annotated defects outlined, and the heatmap over the image, as tiles of one size.

    The colour scale is fixed by `low` and `high`, so that the tiles of a category can be compared.

    Args:
        image: (H, W, 3) uint8 RGB in its original size.
        heatmap: (H, W) float32, raw anomaly scores in the original size; NaN counts as `low`.
        regions: the annotated defects in the original size; [] without any.
        threshold: a heatmap value; larger values are outlined in white. None outlines nothing.
        low: the heatmap value that gets no colour.
        high: the heatmap value that gets the full colour.
        width: of a tile in pixels; tall images get a narrower tile, not more than 1.5 `width` high.
        inside: (H, W) bool, the region of interest, which is outlined in blue; None for the whole image.

    Returns:
        (h, w, 3) uint8 RGB by the names in `TILES`; the aspect ratio of the image is kept.

    Raises:
        ValueError: image and heatmap differ in size, or have another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
    if heatmap.shape != image.shape[:2]:
        raise ValueError(f"the heatmap {heatmap.shape} must have the image's size {image.shape[:2]}")
    size = tile_size(image.shape[:2], width=width)
    plain = resized(image, size)
    values = resized(np.nan_to_num(heatmap.astype(np.float32), nan=low, posinf=high, neginf=low), size)
    truth = outlined(plain, regions, frame=image.shape[:2])
    heat = overlaid(plain, values, threshold=threshold, low=low, high=high)
    tiles = dict(zip(TILES, (plain, truth, heat), strict=True))
    if inside is not None:
        for tile in tiles.values():
            outline_inspected(tile, inside)
    return tiles


def write_picture(path: Path, picture: Pixels, *, quality: int = 80) -> None:
    """Writes a picture as PNG or JPEG by the suffix of the path; the file is complete or absent.

    Args:
        path: ends in .png, .jpg or .jpeg.
        picture: (h, w, 3) uint8 RGB.
        quality: of the JPEG, 1 to 95.

    Raises:
        AdframeError: the file cannot be written.
        ValueError: the path has another suffix.
    """
    kinds: dict[str, Literal["PNG", "JPEG"]] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
    if path.suffix.lower() not in kinds:
        raise ValueError(f"the name of a picture must end in .png, .jpg or .jpeg, got {path.name!r}")
    write_whole(path, encoded(picture, kind=kinds[path.suffix.lower()], quality=quality))


def overlaid(tile: Pixels, values: Heatmap, *, threshold: float | None, low: float, high: float) -> Pixels:
    """Draws a heatmap over a dimmed grey version of an image; the colour grows stronger with the score.

    Args:
        tile: (h, w, 3) uint8 RGB; it is not changed.
        values: (h, w) float32, the heatmap.
        threshold: larger values are outlined in white; None outlines nothing.
        low: the value that gets no colour.
        high: the value that gets the full colour.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    span = max(high - low, 1e-12)
    share = np.clip((values - low) / span, 0.0, 1.0)  # (h, w)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    # The image is dimmed and loses most of its colour, so that only high scores attract attention.
    dimmed = 0.8 * (0.75 * grey + 0.25 * tile)
    alpha = (0.9 * share**0.7)[..., None]
    picture = np.ascontiguousarray(((1 - alpha) * dimmed + alpha * colours).astype(np.uint8))
    if threshold is not None:
        contour(picture, (values > threshold).astype(np.uint8), colour=_THRESHOLD_COLOUR, thickness=1)
    return picture
