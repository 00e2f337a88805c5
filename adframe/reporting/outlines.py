"""Tiles of pictures: one size, defects outlined so that they stay visible, encoded for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adframe.contracts import Region

Pixels = NDArray[np.uint8]
Heatmap = NDArray[np.float32]

_TRUTH = (0, 230, 170)  # RGB: a green that none of inferno's colours comes near
_HALO = (10, 20, 25)
_TALLEST = 1.5  # times the tile's width; taller images get a narrower tile instead


def tile_size(frame: tuple[int, ...], *, width: int) -> tuple[int, int]:
    """(h, w) of a tile `width` wide that keeps the frame's aspect, at most 1.5 `width` high."""
    height_0, width_0 = frame
    scale = min(width / width_0, _TALLEST * width / height_0)
    return max(1, round(height_0 * scale)), max(1, round(width_0 * scale))


def resized(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(H, W) or (H, W, 3) to (h, w): area averaging on the way down, bilinear on the way up."""
    # Area averaging, or thin lines and small defects would flicker away.
    shrinks = array.shape[0] > size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, (size[1], size[0]), interpolation=how))


def outlined(tile: Pixels, regions: Sequence[Region], *, frame: tuple[int, ...]) -> Pixels:
    """Each region by itself, drawn a little outside its edge, so that the defect stays visible.

    Args:
        tile: (h, w, 3) uint8 RGB; not changed.
        regions: in the original frame.
        frame: (H, W) of that frame.
    """
    picture = tile.copy()
    for region in regions:
        full = np.zeros(frame, dtype=np.float32)
        height, width = region.mask.shape
        full[region.top : region.top + height, region.left : region.left + width] = region.mask
        # More than nothing, not more than half: a defect of one original pixel still gets its outline.
        covered = (resized(full, (tile.shape[0], tile.shape[1])) > 0).astype(np.uint8)
        grown = np.asarray(cv2.dilate(covered, np.ones((9, 9), dtype=np.uint8)), dtype=np.uint8)
        contour(picture, grown, colour=_TRUTH, thickness=2)
    return picture


def contour(picture: Pixels, mask: Pixels, *, colour: tuple[int, int, int], thickness: int) -> None:
    """Draws the edges of a mask into a picture, with a dark halo that holds on any ground."""
    lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, lines, -1, _HALO, thickness + 2, cv2.LINE_AA)
    cv2.drawContours(picture, lines, -1, colour, thickness, cv2.LINE_AA)


def as_bytes(pixels: NDArray[Any]) -> Pixels:
    """(H, W, 3) uint8 as it is; uint16 as the nearest of 256 values, so that full scale stays full scale."""
    if pixels.dtype != np.uint16:
        return pixels.astype(np.uint8)
    return np.rint(pixels * (255 / 65535)).astype(np.uint8)


def encoded(picture: Pixels, *, kind: Literal["PNG", "JPEG"], quality: int = 80) -> bytes:
    """A picture as a file's bytes.

    Args:
        picture: (h, w, 3) uint8 RGB.
        kind: of the file.
        quality: of the JPEG, 1 to 95.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=quality, optimize=True, progressive=True)
    return buffer.getvalue()
