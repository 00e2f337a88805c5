"""From a file to the pixels that a viewer shows, whatever the file's mode; what cannot be read is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from adframe.errors import AdframeError
from adframe.io.image_files import (
    GREY16,
    as_rgba,
    broken,
    check_kind,
    has_alpha,
    kind_of,
    loaded,
    opened,
    orientation_of,
    turned,
)
from adframe.io.truncation import check_jpeg, check_png

READING = 2  # of files to pixels; another number makes what was learned from such pixels useless
_BITS = 258  # a tag of TIFF


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image before it is decoded."""

    size: tuple[int, int]  # (H, W) of the picture as viewers show it
    stored: tuple[int, int]  # (H, W) of the pixels in the file
    orientation: int  # EXIF, 1 to 8: how the stored pixels become the picture
    kind: str  # of its pixels: Pillow's mode, or what Pillow would read wrongly


def read_image(path: Path, *, bits: int = 16) -> np.ndarray:
    """Reads an image as (H, W, 3) RGB, as viewers show it: uint8, or uint16 where samples have 16 bits.

    Greyscale is repeated over the channels, palettes are looked up, alpha is composited over black
    (the colour below a transparent pixel is undefined), and an EXIF orientation is honoured.

    Args:
        path: the file.
        bits: how many of a 16-bit sample's bits are used, counted from the lowest; the values are
            brought to the full range of uint16, and those of 8 bits to uint8.

    Raises:
        AdframeError: the file is missing, empty, truncated, no image, of several pages, holds values
            above `bits`, or pixels of a kind that is no picture (floating point, signed, LAB).
    """
    with opened(path) as image:
        check_kind(path, kind_of(image))
        if is_deep(image):
            samples, orientation = deep_samples(path, image)
            return turned(_as_rgb(_widened(path, samples, bits=_declared_bits(image) or bits)), orientation)
        loaded(path, image)
        if has_alpha(image):
            over = Image.new("RGBA", image.size, (0, 0, 0, 255))
            pixels = Image.alpha_composite(over, as_rgba(image)).convert("RGB")
        else:
            pixels = image if image.mode == "RGB" else image.convert("RGB")
        return turned(np.asarray(pixels), orientation_of(image))


def read_header(path: Path, *, max_megapixels: float | None = None) -> Header:
    """Reads what the header says, after a check that the file can be decoded to its end.

    PNG and JPEG are checked without decoding them to pixels, other formats are decoded.

    Args:
        path: the file.
        max_megapixels: an image with more is refused before anything is decoded.

    Raises:
        AdframeError: as `read_image`.
    """
    with opened(path) as image:
        _check_limit(path, image, max_megapixels)
        kind = kind_of(image)
        orientation = orientation_of(image)
        width, height = image.size
        if image.format == "PNG":
            if check_png(path) and orientation == 1:  # a chunk behind the pixels may say how to turn them
                with opened(path) as again:
                    orientation = orientation_of(loaded(path, again))
        elif image.format in ("JPEG", "MPO"):
            check_jpeg(path)
        else:
            loaded(path, image)
    shown = (height, width)
    if orientation < 5:
        return Header(shown, shown, orientation, kind)
    if image.format == "TIFF":  # its size is the picture's already
        return Header(shown, (width, height), orientation, kind)
    return Header((width, height), shown, orientation, kind)


def read_size(path: Path) -> tuple[int, int]:
    """(H, W) of the picture as viewers show it. Raises like `read_header`."""
    return read_header(path).size


def read_samples(path: Path) -> np.ndarray:
    """(H, W) or (H, W, 3) uint16: what a deep image stores, neither turned nor scaled."""
    with opened(path) as image:
        check_kind(path, kind_of(image))
        return deep_samples(path, image)[0]


def is_unmarked(path: Path) -> bool:
    """Whether an image has samples of 16 bits and its header does not say how many of them are used."""
    with opened(path) as image:
        return is_deep(image) and _declared_bits(image) is None


def deep_samples(path: Path, image: Image.Image) -> tuple[np.ndarray, int]:
    """(H, W) or (H, W, 3) uint16 of an opened deep image, and the EXIF orientation that is still to do."""
    if image.mode in GREY16:
        grey = np.asarray(loaded(path, image))
        if grey.min() < 0 or grey.max() > 65535:
            raise AdframeError(f"{path} holds negative or 32-bit values; save it as 8 or 16 bit")
        return grey.astype(np.uint16), orientation_of(image)
    # Pillow reads the upper 8 bits of colour only. OpenCV turns a TIFF, and no other file that is read so.
    orientation = 1 if image.format == "TIFF" else orientation_of(image)
    try:
        found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.dtype != np.uint16 or found.shape[:2] != (image.height, image.width):
        raise broken(path, ValueError("its 16-bit colour is not readable"))
    if found.ndim == 2:
        return found, orientation
    if found.shape[2] == 4:
        alpha = found[:, :, 3:].astype(np.uint32)
        found = ((found[:, :, :3] * alpha + 32767) // 65535).astype(np.uint16)
    return np.ascontiguousarray(found[:, :, ::-1]), orientation


def too_bright(path: Path, value: int, bits: int) -> AdframeError:
    """What to say of a value that the bits of a dataset's samples cannot hold."""
    return AdframeError(
        f"image {path} has the value {value}, but samples are taken to have {bits} bits, which end at "
        f"{2**bits - 1}; set dataset.bits= to what the camera gives (16 reads all values as they are)"
    )


def _check_limit(path: Path, image: Image.Image, limit: float | None) -> None:
    megapixels = image.width * image.height / 1e6
    if limit is not None and megapixels > limit:
        raise AdframeError(
            f"image {path} has {megapixels:.1f} megapixels, above dataset.max_megapixels={limit:g}; raise it "
            "where memory allows, or save the image smaller"
        )


def is_deep(image: Image.Image) -> bool:
    """Whether it has samples of 16 bits, of which a camera may use fewer."""
    if image.mode in GREY16:
        return True
    tiles = getattr(image, "tile", [])
    if image.format not in ("PNG", "TIFF") or not tiles or "transparency" in image.info:
        return False
    args = tiles[0][3]
    raw = args if isinstance(args, str) else str(args[0])
    # Alpha in a TIFF may be multiplied into the colour or not; Pillow knows.
    return raw in ("RGB;16B", "RGB;16L") or (image.format == "PNG" and raw in ("RGBA;16B", "LA;16B"))


def _declared_bits(image: Image.Image) -> int | None:
    found = np.atleast_1d(getattr(image, "tag_v2", {}).get(_BITS, 16))
    return int(found[0]) if 8 < found[0] < 16 else None


def _widened(path: Path, samples: np.ndarray, *, bits: int) -> np.ndarray:
    """uint16 that uses `bits` to its full range, or to uint8."""
    top = 2**bits - 1
    if (most := int(samples.max())) > top:
        raise too_bright(path, most, bits)
    if bits == 8:
        return samples.astype(np.uint8)
    if bits == 16:
        return samples
    wide: np.ndarray = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    return wide


def _as_rgb(samples: np.ndarray) -> np.ndarray:
    return np.repeat(samples[:, :, None], 3, axis=2) if samples.ndim == 2 else samples
