"""From a mask file to labels: 0 is background, all else is defect, whatever program wrote the file."""

from __future__ import annotations

from dataclasses import dataclass
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
    kind_of,
    loaded,
    opened,
    orientation_of,
    turned,
)
from adframe.io.images import deep_samples, is_deep, read_header

MASK_KINDS = (
    "1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "F",
    "I", "I;16", "I;16B", "I;16L", "I;16N",
)  # fmt: skip
ADVICE = "save the mask as 8-bit grey PNG"
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
_SMALL = 32  # labels below it are never taken for soft edges: VisA numbers its classes from 1
_FEW = 12  # distinct labels in one mask that are still likely
_EDGE_FEW, _EDGE_MANY = 0.5, 0.2  # share of low pixels beside higher ones, above which they are edges


@dataclass(frozen=True, slots=True)
class Mask:
    """What a mask file says."""

    labels: np.ndarray  # (H, W) uint8, or uint16 where a label is above 255; 0 is background
    guessed: bool  # whether a label's value may be another than the one that was drawn


def read_mask(path: Path) -> np.ndarray:
    """Reads a mask as (H, W) uint8, or uint16 where a label is above 255; 0 is background.

    - What differs from background in any channel is defect: black, or transparent, is background.
    - Labels are kept as they are (class numbers, LOCO's pixel values, 16 bits); of a palette whose
      colours do not tell them apart the index is the label.
    - A mask with in-between levels, as JPEG and resampling leave them, is cut at half of its maximum,
      and what is above has its maximum. See `_is_soft` for how it is told from labels.

    Raises:
        AdframeError: as `read_image`; or it holds NaN, infinity, negative or 32-bit values, or pixels of
            a kind that holds no labels (CMYK, LAB, YCbCr, HSV).
    """
    return decode_mask(path).labels


def read_truth(record: Record, *, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """The masks of an image, (H, W) each, as they lie on the picture that viewers show.

    A mask is taken as drawn on that picture. Where its size is that of the pixels as they are stored, and
    not that of the picture, it is turned as the picture is.

    Args:
        record: whose masks.
        size: (H, W) of the picture, where it is known already.

    Raises:
        AdframeError: as `read_mask`; or a mask has another size; or its pixel values, which must match
            `defects_config.json`, went through lossy compression.
    """
    return [_placed(path, record, size or read_header(record.path).size) for path in record.masks]


def decode_mask(path: Path) -> Mask:
    """The labels of a mask and whether they may be guessed. Raises like `read_mask`."""
    with opened(path) as image:
        check_kind(path, kind_of(image), known=MASK_KINDS, advice=ADVICE)
        if image.mode == "F":
            values, exact = _of_floats(path, np.asarray(loaded(path, image)))
            if not exact:
                return Mask(turned(values, orientation_of(image)), guessed=True)
        else:
            values = _levels(path, image)
        values = turned(values, orientation_of(image))
    jpeg, lossy = image.format in ("JPEG", "MPO"), image.format in _LOSSY
    soft = _is_soft(values, jpeg=jpeg)
    if soft:
        peak = int(values.max())
        values = np.where(values.astype(np.int32) * 2 >= peak, values.dtype.type(peak), values.dtype.type(0))
    return Mask(values, guessed=(soft and lossy) or jpeg)


def read_levels(path: Path) -> np.ndarray:
    """(H, W) uint8 or uint16: all levels that are in the file, none cut. Raises like `read_mask`."""
    with opened(path) as image:
        check_kind(path, kind_of(image), known=tuple(k for k in MASK_KINDS if k != "F"), advice=ADVICE)
        return turned(_levels(path, image), orientation_of(image))


def _placed(path: Path, record: Record, size: tuple[int, int]) -> np.ndarray:
    mask = decode_mask(path)
    if mask.guessed and len(record.saturations) > 1:
        raise AdframeError(
            f"mask {path} has in-between levels, so its pixel value cannot be compared with "
            "defects_config.json; save it without lossy compression"
        )
    labels = mask.labels
    if labels.shape != size:
        header = read_header(record.path)
        if labels.shape != header.stored or header.stored == header.size:
            raise AdframeError(
                f"mask {path} is {labels.shape[0]}x{labels.shape[1]}, its image {size[0]}x{size[1]}"
            )
        labels = turned(labels, header.orientation)
    return labels


def _levels(path: Path, image: Image.Image) -> np.ndarray:
    """(H, W) uint8 or uint16: how far each pixel is from background, in the channel that is farthest."""
    if is_deep(image):
        return _narrow(_farthest(deep_samples(path, image)[0]))
    loaded(path, image)
    if has_alpha(image):
        return _of_alpha(np.asarray(as_rgba(image)))
    if image.mode == "P":
        return _of_palette(image)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * 255
    return _farthest(np.asarray(image.convert("RGB") if image.mode == "RGBX" else image))


def _farthest(pixels: np.ndarray) -> np.ndarray:
    farthest: np.ndarray = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    return farthest


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint8) if values.max(initial=0) <= 255 else values


def _of_alpha(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 4) RGBA over black; black paint on a transparent ground is seen by its alpha.

    The ground is transparent where most of the picture is, or where nothing else would be seen.
    """
    alpha = pixels[:, :, 3]
    over = (pixels[:, :, :3].max(axis=2).astype(np.uint16) * alpha + 127) // 255
    seen: np.ndarray = over.astype(np.uint8)
    varies = alpha.min() < alpha.max()
    if varies and (not seen.any() or np.count_nonzero(alpha == 0) * 2 > alpha.size):
        seen = np.where(seen > 0, seen, alpha)
    return seen


def _of_palette(image: Image.Image) -> np.ndarray:
    """By colour where the used entries have different colours and black is the ground; else by index."""
    index = np.asarray(image)
    counts = np.bincount(index.ravel(), minlength=256)
    table = np.zeros((256, 3), np.uint8)
    known = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    table[: len(known)] = known
    colours = table[counts > 0]
    black = int(counts[~table.any(axis=1)].sum())  # pixels
    distinct = len(np.unique(colours, axis=0)) == len(colours)
    if distinct and black and (not table[0].any() or black >= counts[0]):
        return _farthest(table[index])
    return index


def _of_floats(path: Path, values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Whole numbers as labels, and true; else what is above half of the maximum as 255, and false."""
    if not np.isfinite(values).all():
        raise AdframeError(f"mask {path} holds NaN or infinity; {ADVICE}")
    if values.min() < 0 or values.max() > 65535:
        raise AdframeError(f"mask {path} holds values below 0 or above 65535; {ADVICE}")
    if np.array_equal(values, np.round(values)):
        return _narrow(values.astype(np.uint16)), True
    return np.where(values * 2 >= values.max(), np.uint8(255), np.uint8(0)), False


def _is_soft(values: np.ndarray, *, jpeg: bool) -> bool:
    """Whether levels below half of the maximum are edges or noise instead of labels.

    JPEG's always are. Elsewhere labels below 32 are labels. Of others, edges lie beside higher levels,
    while labels fill areas, most of whose pixels have no higher neighbour; where there are many levels
    some of them form areas as well (ringing of JPEG that was saved as PNG), so fewer suffice.
    """
    peak = int(values.max(initial=0))
    low = (values > 0) & (values < (peak + 1) // 2)
    if not low.any() or (peak < _SMALL and not jpeg):
        return False
    if jpeg:
        return True
    higher = cv2.dilate(values, np.ones((3, 3), np.uint8)) > values
    edges = np.count_nonzero(higher & low) / np.count_nonzero(low)
    levels = np.count_nonzero(np.bincount(values[values > 0]))
    return bool(edges > (_EDGE_FEW if levels <= _FEW else _EDGE_MANY))
