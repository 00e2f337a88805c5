"""Three tiles that explain a score: the image, the image with the annotated defect, the heatmap."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from adframe.contracts import Region
from adframe.io.files import write_whole
from adframe.reporting.outlines import Heatmap, Pixels, contour, encoded, outlined, resized, tile_size
from adframe.results.gallery import TILES

_DECIDED = (255, 255, 255)


def heatmap_tiles(
    image: Pixels,
    *,
    heatmap: Heatmap,
    regions: list[Region],
    threshold: float | None,
    low: float,
    high: float,
    width: int = 256,
) -> dict[str, Pixels]:
    """Three pictures of one size by the names in `TILES`.

    They are the image, the image with the annotated defects outlined, and the heatmap over the image.

    The colour scale is fixed by `low` and `high`, so that the pictures of a category compare.

    Args:
        image: (H, W, 3) uint8 RGB, the original frame.
        heatmap: (H, W) float32, raw, in the original frame; NaN counts as low.
        regions: the annotated defects in the original frame; [] where there are none.
        threshold: in the heatmap's units: what lies above it is outlined in white; None outlines nothing.
        low: the heatmap value that gets no colour.
        high: the heatmap value that gets the full colour.
        width: a tile's width in pixels; tall images get a narrower tile, at most 1.5 `width` high.

    Returns:
        (h, w, 3) uint8 RGB each, the image's aspect kept.

    Raises:
        ValueError: image and heatmap are not of one size, or not of these kinds.
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
    return dict(zip(TILES, (plain, truth, heat), strict=True))


def write_picture(path: Path, picture: Pixels, *, quality: int = 80) -> None:
    """Write a picture whole or not at all, as PNG or JPEG by the path's suffix.

    Args:
        path: ends in .png, .jpg or .jpeg.
        picture: (h, w, 3) uint8 RGB.
        quality: of the JPEG, 1 to 95.

    Raises:
        AdframeError: the file cannot be written.
        ValueError: another suffix.
    """
    kinds: dict[str, Literal["PNG", "JPEG"]] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
    if path.suffix.lower() not in kinds:
        raise ValueError(f"a picture ends in .png, .jpg or .jpeg, not in {path.name!r}")
    write_whole(path, encoded(picture, kind=kinds[path.suffix.lower()], quality=quality))


def overlaid(tile: Pixels, values: Heatmap, *, threshold: float | None, low: float, high: float) -> Pixels:
    """Colour grows in, with the score, over a dimmed grey image: only what is high draws the eye.

    Args:
        tile: (h, w, 3) uint8 RGB; not changed.
        values: (h, w) float32.
        threshold: what lies above it is outlined in white; None outlines nothing.
        low: the value that gets no colour.
        high: the value that gets the full colour.
    """
    span = max(high - low, 1e-12)
    share = np.clip((values - low) / span, 0.0, 1.0)  # (h, w)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    calm = 0.8 * (0.75 * grey + 0.25 * tile)
    alpha = (0.9 * share**0.7)[..., None]
    picture = np.ascontiguousarray(((1 - alpha) * calm + alpha * colours).astype(np.uint8))
    if threshold is not None:
        contour(picture, (values > threshold).astype(np.uint8), colour=_DECIDED, thickness=1)
    return picture
