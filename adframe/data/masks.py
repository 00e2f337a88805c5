"""Turns a mask file into labels: 0 is background, every other value is defect, whatever program wrote it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.io.image_files import (
    as_rgba,
    check_kind,
    has_alpha,
    load_pixels,
    open_image,
    orientation_of,
    oriented,
    pixel_kind,
)
from adframe.io.images import deep_samples, is_deep, read_header

MASK_KINDS = (
    "1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "F",
    "I", "I;16", "I;16B", "I;16L", "I;16N",
)  # fmt: skip
MASK_ADVICE = "save the mask as 8-bit grey PNG"
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
_SOFT_FROM = 32  # masks with a lower maximum hold class numbers, as VisA's do, and no soft edges
_LIKELY_LABELS = 12  # largest plausible number of distinct labels in one mask
# Share of low pixels next to higher ones above which they are edges: with few levels, and with many.
_EDGE_FEW, _EDGE_MANY = 0.5, 0.2


def read_mask(path: Path) -> np.ndarray:
    """Reads a mask file.

    - What differs from background in any channel is defect: black, or transparent, is background.
    - Labels are kept as they are (class numbers, LOCO's pixel values, 16 bits). Where the colours of a
      palette
      do not distinguish the labels, the palette index is the label.
    - A mask with in-between levels, as JPEG and resampling leave them, is thresholded at half of its maximum,
      and the defect has its maximum. `_is_soft` distinguishes them from labels.

    Args:
        path: the mask file.

    Returns:
        (H, W) uint8, or uint16 where a label is above 255.

    Raises:
        AdframeError: if the file cannot be read as an image; if it holds NaN, infinity, negative or 32-bit
            values, or pixels of a kind that holds no labels (CMYK, LAB, YCbCr, HSV).
    """
    labels, _ = decode_mask(path)
    return labels


def read_truth(record: Record, *, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Reads the masks of an image in the orientation in which viewers show the image.

    A mask is assumed to be drawn on the image as it is shown. Where its size is only that of the pixels as
    they
    are stored, it is turned as EXIF turns the image.

    Args:
        record: the image.
        size: (H, W) of the image in pixels; None reads it from the file.

    Returns:
        One (H, W) array of labels per mask file.

    Raises:
        AdframeError: if `read_mask` cannot read a mask, a mask has another size, or its pixel values went
            through lossy compression although `defects_config.json` refers to them.
    """
    return [_oriented_mask(path, record, size or read_header(record.path).size) for path in record.masks]


def decode_mask(path: Path) -> tuple[np.ndarray, bool]:
    """Reads a mask file and tells whether its labels are exact.

    Args:
        path: the mask file.

    Returns:
        (H, W) uint8 or uint16 labels, and whether they are guessed: the value of a label may then differ
        from the one that was drawn.

    Raises:
        AdframeError: as `read_mask`.
    """
    with open_image(path) as image:
        check_kind(path, pixel_kind(image), known=MASK_KINDS, advice=MASK_ADVICE)
        if image.mode == "F":
            values, exact = _float_labels(path, np.asarray(load_pixels(path, image)))
            if not exact:
                return oriented(values, orientation_of(image)), True
        else:
            values = _mask_levels(path, image)
        values = oriented(values, orientation_of(image))
    jpeg, lossy = image.format in ("JPEG", "MPO"), image.format in _LOSSY
    soft = _is_soft(values, jpeg=jpeg)
    if soft:
        # In int32, because twice a uint8 or uint16 value would wrap around.
        peak = int(values.max())
        values = np.where(values.astype(np.int32) * 2 >= peak, values.dtype.type(peak), values.dtype.type(0))
    return values, (soft and lossy) or jpeg


def read_levels(path: Path) -> np.ndarray:
    """Reads all levels of a mask file, without a threshold.

    Args:
        path: the mask file.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        AdframeError: as `read_mask`.
    """
    with open_image(path) as image:
        check_kind(
            path, pixel_kind(image), known=tuple(k for k in MASK_KINDS if k != "F"), advice=MASK_ADVICE
        )
        return oriented(_mask_levels(path, image), orientation_of(image))


def _oriented_mask(path: Path, record: Record, size: tuple[int, int]) -> np.ndarray:
    labels, guessed = decode_mask(path)
    # With a single entry the value of the mask does not matter: it can only mean that entry.
    if guessed and len(record.saturations) > 1:
        raise AdframeError(
            f"mask {path} has in-between levels, so its pixel value cannot be compared with "
            "defects_config.json; save it without lossy compression"
        )
    if labels.shape != size:
        header = read_header(record.path)
        if labels.shape != header.stored or header.stored == header.size:
            raise AdframeError(
                f"mask {path} is {labels.shape[0]}x{labels.shape[1]}, its image {size[0]}x{size[1]}"
            )
        labels = oriented(labels, header.orientation)
    return labels


def _mask_levels(path: Path, image: Image.Image) -> np.ndarray:
    """Returns (H, W) uint8 or uint16: the strongest channel's difference from background."""
    if is_deep(image):
        return _narrow(_farthest(deep_samples(path, image)[0]))
    load_pixels(path, image)
    if has_alpha(image):
        return _alpha_levels(np.asarray(as_rgba(image)))
    if image.mode == "P":
        return _palette_levels(image)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * 255
    return _farthest(np.asarray(image.convert("RGB") if image.mode == "RGBX" else image))


def _farthest(pixels: np.ndarray) -> np.ndarray:
    farthest: np.ndarray = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    return farthest


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint8) if values.max(initial=0) <= 255 else values


def _alpha_levels(pixels: np.ndarray) -> np.ndarray:
    """Returns (H, W) uint8 levels of (H, W, 4) RGBA pixels over black.

    Black paint on a transparent ground is recognised by its alpha. The ground counts as transparent where
    most of the image is, or where nothing else would be visible.
    """
    alpha = pixels[:, :, 3]
    over = (pixels[:, :, :3].max(axis=2).astype(np.uint16) * alpha + 127) // 255
    levels: np.ndarray = over.astype(np.uint8)
    varies = alpha.min() < alpha.max()
    if varies and (not levels.any() or np.count_nonzero(alpha == 0) * 2 > alpha.size):
        levels = np.where(levels > 0, levels, alpha)
    return levels


def _palette_levels(image: Image.Image) -> np.ndarray:
    """Uses colours where they are distinct and black is the ground; otherwise palette indices."""
    index = np.asarray(image)
    counts = np.bincount(index.ravel(), minlength=256)
    # A file may store a shorter palette than 256 entries; the rest is black.
    table = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    table[: len(stored)] = stored
    colours = table[counts > 0]
    black = int(counts[~table.any(axis=1)].sum())  # number of pixels
    distinct = len(np.unique(colours, axis=0)) == len(colours)
    if distinct and black and (not table[0].any() or black >= counts[0]):
        return _farthest(table[index])
    return index


def _float_labels(path: Path, values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Returns whole numbers as exact labels; otherwise 255 above half of the maximum, not exact."""
    if not np.isfinite(values).all():
        raise AdframeError(f"mask {path} holds NaN or infinity; {MASK_ADVICE}")
    if values.min() < 0 or values.max() > 65535:
        raise AdframeError(f"mask {path} holds values below 0 or above 65535; {MASK_ADVICE}")
    if np.array_equal(values, np.round(values)):
        return _narrow(values.astype(np.uint16)), True
    return np.where(values * 2 >= values.max(), np.uint8(255), np.uint8(0)), False


def _is_soft(values: np.ndarray, *, jpeg: bool) -> bool:
    """Tells whether levels below half of the maximum are edges or noise instead of labels.

    Those of JPEG always are. Elsewhere labels below 32 are labels. Other levels are edges if they lie next to
    higher levels: labels fill areas, most of whose pixels have no higher neighbour. Where there are many
    levels some of them form areas as well (ringing of JPEG that was saved as PNG), so fewer edges suffice.
    """
    peak = int(values.max(initial=0))
    low = (values > 0) & (values < (peak + 1) // 2)
    if not low.any() or (peak < _SOFT_FROM and not jpeg):
        return False
    if jpeg:
        return True
    higher = cv2.dilate(values, np.ones((3, 3), np.uint8)) > values
    edges = np.count_nonzero(higher & low) / np.count_nonzero(low)
    levels = np.count_nonzero(np.bincount(values[values > 0]))
    return bool(edges > (_EDGE_FEW if levels <= _LIKELY_LABELS else _EDGE_MANY))
