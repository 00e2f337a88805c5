"""Tiles of pictures: resizing, outlines of defects that stay visible, and encoding for a page."""

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

_TRUTH = (0, 230, 170)  # RGB: a green unlike all colours of the colour map inferno
_INSPECTED = (90, 170, 255)  # RGB: a blue unlike both
_HALO = (10, 20, 25)
_TALLEST = 1.5  # height over width of a tile; taller images get a narrower tile


def tile_size(frame: tuple[int, ...], *, width: int) -> tuple[int, int]:
    """Returns the size of a tile that keeps the aspect ratio of its image.

    Args:
        frame: (H, W) of the image in pixels.
        width: of the tile; a tall image gets a narrower one, not more than 1.5 `width` high.

    Returns:
        (h, w) in pixels.

    Example:
        >>> tile_size((100, 200), width=50), tile_size((400, 100), width=50)
        ((25, 50), (75, 19))
    """
    height_0, width_0 = frame
    scale = min(width / width_0, _TALLEST * width / height_0)
    return max(1, round(height_0 * scale)), max(1, round(width_0 * scale))


def resized(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resizes an array.

    Args:
        array: (H, W) or (H, W, 3).
        size: (h, w) of the result.

    Returns:
        (h, w) or (h, w, 3) in the same dtype; area averaging when shrinking, bilinear when enlarging.
    """
    # Without area averaging, thin lines and small defects would disappear.
    shrinks = array.shape[0] > size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, (size[1], size[0]), interpolation=how))


def outlined(tile: Pixels, regions: Sequence[Region], *, frame: tuple[int, ...]) -> Pixels:
    """Outlines regions a little outside their edge, so that the defect itself stays visible.

    Regions so close to each other that their lines would cross share a line.

    Args:
        tile: (h, w, 3) uint8 RGB; it is not changed.
        regions: in the original frame.
        frame: (H, W) of the original frame.

    Returns:
        A copy of the tile with the outlines.
    """
    picture = tile.copy()
    grown = np.zeros(tile.shape[:2], dtype=np.uint8)
    for region in regions:
        full = np.zeros(frame, dtype=np.float32)
        height, width = region.mask.shape
        full[region.top : region.top + height, region.left : region.left + width] = region.mask
        # Any coverage counts, so that a defect of one original pixel still gets its outline.
        covered = (resized(full, (tile.shape[0], tile.shape[1])) > 0).astype(np.uint8)
        grown |= np.asarray(cv2.dilate(covered, np.ones((9, 9), dtype=np.uint8)), dtype=np.uint8)
    contour(picture, grown, colour=_TRUTH, thickness=2)
    return picture


def contour(picture: Pixels, mask: Pixels, *, colour: tuple[int, int, int], thickness: int) -> None:
    """Draws the edges of a mask into a picture, with a dark halo that stays visible on any ground.

    Args:
        picture: (h, w, 3) uint8 RGB; it is changed.
        mask: (h, w) uint8, 0 is background.
        colour: RGB of the line.
        thickness: of the line in pixels; the halo is two pixels thicker.
    """
    lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, lines, -1, _HALO, thickness + 2, cv2.LINE_AA)
    cv2.drawContours(picture, lines, -1, colour, thickness, cv2.LINE_AA)


def outline_inspected(picture: Pixels, inside: NDArray[np.bool_], *, thickness: int = 1) -> None:
    """Draws the edge of a region of interest into a picture; along the edge of the picture there is no line.

    Args:
        picture: (h, w, 3) uint8 RGB; it is changed.
        inside: (H, W) bool of the original frame, True inside.
        thickness: of the line in pixels.
    """
    mask = resized(inside.astype(np.uint8), (picture.shape[0], picture.shape[1]))
    # Repeated beyond the picture, so that lines along its edge lie outside of it.
    beyond = thickness + 2
    mask = cv2.copyMakeBorder(mask, beyond, beyond, beyond, beyond, cv2.BORDER_REPLICATE)
    lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = (-beyond, -beyond)
    for colour, width in ((_HALO, thickness + 2), (_INSPECTED, thickness)):
        cv2.drawContours(picture, lines, -1, colour, width, cv2.LINE_AA, offset=offset)


def as_bytes(pixels: NDArray[Any]) -> Pixels:
    """Reduces pixels to 8 bits.

    Args:
        pixels: (H, W, 3) uint8 or uint16.

    Returns:
        (H, W, 3) uint8; full scale stays full scale.
    """
    if pixels.dtype != np.uint16:
        return pixels.astype(np.uint8)
    return np.rint(pixels * (255 / 65535)).astype(np.uint8)


def encoded(picture: Pixels, *, kind: Literal["PNG", "JPEG"], quality: int = 80) -> bytes:
    """Encodes a picture as the bytes of a file.

    Args:
        picture: (h, w, 3) uint8 RGB.
        kind: of the file.
        quality: of the JPEG, 1 to 95.

    Returns:
        The content of the file.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=quality, optimize=True, progressive=True)
    return buffer.getvalue()
