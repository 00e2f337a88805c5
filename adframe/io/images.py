"""Reads image files as the pixels that a viewer shows, whatever the file's mode."""

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
    broken_image_error,
    check_kind,
    has_alpha,
    load_pixels,
    open_image,
    orientation_of,
    oriented,
    pixel_kind,
)
from adframe.io.truncation import check_jpeg, check_png

# Version of reading; another number invalidates models that were fitted on such pixels.
READING_VERSION = 2
_BITS_TAG = 258  # TIFF tag


@dataclass(frozen=True, slots=True)
class Header:
    """The properties of an image before it is decoded.

    Attributes:
        size: (H, W) of the image as viewers show it.
        stored: (H, W) of the pixels in the file.
        orientation: EXIF orientation, 1 to 8, that maps the stored pixels to the shown ones.
        kind: kind of pixels: Pillow's mode, or a name for kinds that Pillow would read wrongly.
    """

    size: tuple[int, int]
    stored: tuple[int, int]
    orientation: int
    kind: str


def read_image(path: Path, *, bits: int = 16) -> np.ndarray:
    """Reads an image as RGB, as viewers show it.

    Greyscale is repeated over the channels, palettes are looked up, alpha is composited over black (the
    colour below a transparent pixel is undefined), and the EXIF orientation is applied.

    Args:
        path: the file.
        bits: number of used bits of 16-bit samples, counted from the lowest; the values are scaled to the
            full range of uint16, those of 8 bits to uint8.

    Returns:
        (H, W, 3) uint8, or uint16 where samples have 16 bits.

    Raises:
        AdframeError: if the file is missing, empty, truncated, not an image or has several pages; if values
            exceed `bits`; or if its kind of pixels is not supported (floating point, signed, LAB).
    """
    with open_image(path) as image:
        return rgb_of(path, image, bits=bits)


def rgb_of(path: Path, image: Image.Image, *, bits: int = 16) -> np.ndarray:
    """Converts an open image to RGB, as `read_image` does.

    Args:
        path: the file; of an image in memory its name, for messages.
        image: the open image.
        bits: as in `read_image`.

    Returns:
        (H, W, 3) uint8, or uint16 where samples have 16 bits.

    Raises:
        AdframeError: as `read_image`.
    """
    check_kind(path, pixel_kind(image))
    if is_deep(image):
        samples, orientation = deep_samples(path, image)
        return oriented(
            _as_rgb(to_full_range(path, samples, bits=_declared_bits(image) or bits)), orientation
        )
    load_pixels(path, image)
    if has_alpha(image):
        over = Image.new("RGBA", image.size, (0, 0, 0, 255))
        pixels = Image.alpha_composite(over, as_rgba(image)).convert("RGB")
    else:
        pixels = image if image.mode == "RGB" else image.convert("RGB")
    return oriented(np.asarray(pixels), orientation_of(image))


def read_header(path: Path, *, max_megapixels: float | None = None) -> Header:
    """Reads the header of an image, after a check that the file can be decoded completely.

    PNG and JPEG are checked without decoding them to pixels, other formats are decoded.

    Args:
        path: the file.
        max_megapixels: largest image size in megapixels, checked before decoding; None does not check it.

    Returns:
        The header.

    Raises:
        AdframeError: as `read_image`, or if the image is too large.
    """
    with open_image(path) as image:
        _check_limit(path, image, max_megapixels)
        kind = pixel_kind(image)
        orientation = orientation_of(image)
        width, height = image.size
        if image.format == "PNG":
            # A chunk after the pixels may contain the orientation.
            if check_png(path) and orientation == 1:
                with open_image(path) as again:
                    orientation = orientation_of(load_pixels(path, again))
        elif image.format in ("JPEG", "MPO"):
            check_jpeg(path)
        else:
            load_pixels(path, image)
    shown = (height, width)
    if orientation < 5:
        return Header(shown, shown, orientation, kind)
    # Its size is that of the shown image already.
    if image.format == "TIFF":
        return Header(shown, (width, height), orientation, kind)
    return Header((width, height), shown, orientation, kind)


def header_size(path: Path) -> tuple[int, int]:
    """Reads the size of an image as viewers show it from its header alone, without a check of the file.

    Args:
        path: the file.

    Returns:
        (H, W) in pixels.

    Raises:
        AdframeError: the file is missing or is not an image.
    """
    with open_image(path) as image:
        width, height = image.size
        # The size of a TIFF is that of the shown image already.
        turned = orientation_of(image) >= 5 and image.format != "TIFF"
    return (width, height) if turned else (height, width)


def read_size(path: Path) -> tuple[int, int]:
    """Reads the size of an image as viewers show it.

    Args:
        path: the file.

    Returns:
        (H, W) in pixels.

    Raises:
        AdframeError: as `read_header`.
    """
    return read_header(path).size


def read_deep_samples(path: Path) -> np.ndarray:
    """Reads the stored 16-bit samples, neither rotated nor scaled.

    Args:
        path: the file.

    Returns:
        (H, W) or (H, W, 3) uint16.
    """
    with open_image(path) as image:
        check_kind(path, pixel_kind(image))
        return deep_samples(path, image)[0]


def is_unmarked(path: Path) -> bool:
    """Tells whether an image has 16-bit samples and its header does not state how many bits are used.

    Args:
        path: the file.

    Returns:
        True if the number of used bits is unknown.
    """
    with open_image(path) as image:
        return is_deep(image) and _declared_bits(image) is None


def deep_samples(path: Path, image: Image.Image) -> tuple[np.ndarray, int]:
    """Reads the samples of an open image with 16-bit samples.

    Args:
        path: the file.
        image: the open image.

    Returns:
        (H, W) or (H, W, 3) uint16, and the EXIF orientation that must still be applied.

    Raises:
        AdframeError: if the file is damaged, or holds negative or 32-bit values.
    """
    if image.mode in GREY16:
        grey = np.asarray(load_pixels(path, image))
        if grey.min() < 0 or grey.max() > 65535:
            raise AdframeError(f"{path} holds negative or 32-bit values; save it as 8 or 16 bit")
        return grey.astype(np.uint16), orientation_of(image)
    # Pillow reads only the upper 8 bits of colour. OpenCV rotates a TIFF, but no other file that is read this
    # way.

    orientation = 1 if image.format == "TIFF" else orientation_of(image)
    try:
        found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.dtype != np.uint16 or found.shape[:2] != (image.height, image.width):
        raise broken_image_error(path, ValueError("its 16-bit colour is not readable"))
    if found.ndim == 2:
        return found, orientation
    if found.shape[2] == 4:
        alpha = found[:, :, 3:].astype(np.uint32)
        found = ((found[:, :, :3] * alpha + 32767) // 65535).astype(np.uint16)
    return np.ascontiguousarray(found[:, :, ::-1]), orientation


def too_bright_error(path: Path, value: int, bits: int) -> AdframeError:
    """Builds the error for a value that the configured number of bits cannot hold.

    Args:
        path: the file.
        value: its largest value.
        bits: the configured number of bits.

    Returns:
        The error to raise.
    """
    return AdframeError(
        f"image {path} has the value {value}, but its samples are read with {bits} bits, at most "
        f"{2**bits - 1}; set dataset.bits= to the bits of the camera (16 reads all values unchanged)"
    )


def _check_limit(path: Path, image: Image.Image, limit: float | None) -> None:
    megapixels = image.width * image.height / 1e6
    if limit is not None and megapixels > limit:
        raise AdframeError(
            f"image {path} has {megapixels:.1f} megapixels, above dataset.max_megapixels={limit:g}; raise it "
            "where memory allows, or save the image smaller"
        )


def is_deep(image: Image.Image) -> bool:
    """Tells whether an image has 16-bit samples, of which a camera may use fewer bits.

    Args:
        image: an open image.

    Returns:
        True for 16-bit samples.
    """
    if image.mode in GREY16:
        return True
    tiles = getattr(image, "tile", [])
    if image.format not in ("PNG", "TIFF") or not tiles or "transparency" in image.info:
        return False
    args = tiles[0][3]
    raw = args if isinstance(args, str) else str(args[0])
    # Alpha in a TIFF may be premultiplied or not; Pillow handles both.
    return raw in ("RGB;16B", "RGB;16L") or (image.format == "PNG" and raw in ("RGBA;16B", "LA;16B"))


def _declared_bits(image: Image.Image) -> int | None:
    found = np.atleast_1d(getattr(image, "tag_v2", {}).get(_BITS_TAG, 16))
    return int(found[0]) if 8 < found[0] < 16 else None


def to_full_range(path: Path, samples: np.ndarray, *, bits: int) -> np.ndarray:
    """Scales samples to the full range of uint16, or converts them to uint8 for 8 bits.

    Args:
        path: the file, for messages.
        samples: uint16 of any shape.
        bits: number of used bits, counted from the lowest.

    Returns:
        uint16, or uint8 for 8 bits, of the same shape.

    Raises:
        AdframeError: a value does not fit into this number of bits.
    """
    top = 2**bits - 1
    if (most := int(samples.max())) > top:
        raise too_bright_error(path, most, bits)
    if bits == 8:
        return samples.astype(np.uint8)
    if bits == 16:
        return samples
    wide: np.ndarray = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    return wide


def _as_rgb(samples: np.ndarray) -> np.ndarray:
    return np.repeat(samples[:, :, None], 3, axis=2) if samples.ndim == 2 else samples
