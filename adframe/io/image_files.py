"""Opens image files: their kind of pixels, their orientation, and the errors for files that cannot be
read.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from adframe.errors import AdframeError

# The limit of image size is a setting (`dataset.max_megapixels`), checked from the header before any work.
Image.MAX_IMAGE_PIXELS = None

# Without EPS, which would start an interpreter, and without formats that are not images (FITS, HDF5, video).
_FORMATS = (
    "PNG", "JPEG", "MPO", "BMP", "DIB", "TIFF", "WEBP", "JPEG2000", "PPM", "GIF", "AVIF",
)  # fmt: skip
_EIGHT_BIT_MODES = ("1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
GREY16 = ("I", "I;16", "I;16B", "I;16L", "I;16N")
IMAGE_KINDS = (*_EIGHT_BIT_MODES, *GREY16)
_SAMPLE_FORMAT_TAG, _PHOTOMETRIC_TAG, _ORIENTATION_TAG = 339, 262, 274  # TIFF tags
_EXIF = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow looks for EXIF
_SIGNED, _WHITE_IS_ZERO = 2, 0

# Raised by Pillow for incomplete files.
READ_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, RuntimeError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip


def open_image(path: Path) -> Image.Image:
    """Opens an image and reads its header.

    Args:
        path: the file.

    Returns:
        The open image, not decoded.

    Raises:
        AdframeError: if the file is missing, is not an image, or has several pages.
    """
    try:
        image = Image.open(path, formats=_formats(path.suffix.lower()))
        # Pillow rotates memory-mapped TIFFs wrongly
        if image.format == "TIFF" and orientation_of(image) != 1:
            image.close()
            image = Image.open(io.BytesIO(path.read_bytes()), formats=("TIFF",))
        # the other images of an MPO are previews
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except READ_ERRORS as error:
        raise broken_image_error(path, error) from error
    if pages != 1:
        raise AdframeError(f"image {path} has {pages} pages or frames; save the right one as a separate file")
    return image


def load_pixels(path: Path, image: Image.Image) -> Image.Image:
    """Decodes an open image in place.

    Args:
        path: the file, for messages.
        image: the open image.

    Returns:
        The same image.

    Raises:
        AdframeError: if the file is damaged or the image does not fit into memory.
    """
    try:
        image.load()
    except READ_ERRORS as error:
        raise broken_image_error(path, error) from error
    except MemoryError as error:
        text = f"image {path} with {image.width}x{image.height} pixels does not fit into memory"
        raise AdframeError(f"{text}; free some, or save it smaller") from error
    return image


def pixel_kind(image: Image.Image) -> str:
    """Returns Pillow's mode, or another name for kinds that Pillow would read wrongly.

    Args:
        image: an open image.

    Returns:
        The name of the kind of pixels.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "L" and _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT_TAG, 1)):
        return "signed 8-bit"  # -1 would become 255
    if image.mode in GREY16 and tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
        return "16-bit white-is-zero"  # it would not be inverted
    return image.mode


def check_kind(
    path: Path,
    kind: str,
    *,
    known: tuple[str, ...] = IMAGE_KINDS,
    advice: str = "save it as 8 or 16 bit grey or RGB",
) -> None:
    """Checks the kind of pixels.

    Args:
        path: the file, for messages.
        kind: result of `pixel_kind`.
        known: kinds that can be read.
        advice: end of the message.

    Raises:
        AdframeError: if the kind is not in `known`.
    """
    if kind not in known:
        raise AdframeError(f"{path} holds {'floating-point' if kind == 'F' else kind} pixels; {advice}")


def has_alpha(image: Image.Image) -> bool:
    """Tells whether some pixels may be transparent.

    Args:
        image: an open image.

    Returns:
        True if there is an alpha channel or a transparent colour.
    """
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def as_rgba(image: Image.Image) -> Image.Image:
    """Converts a decoded image with alpha to RGBA that is not premultiplied.

    Args:
        image: a decoded image.

    Returns:
        The image in mode RGBA.
    """
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def orientation_of(image: Image.Image) -> int:
    """Returns the EXIF orientation that must still be applied to Pillow's pixels; 1 means none.

    Pillow rotates a TIFF while it decodes it, and removes the tag then.

    Args:
        image: an open image.

    Returns:
        1 to 8.
    """
    if image.format == "TIFF":
        found = getattr(image, "tag_v2", {}).get(_ORIENTATION_TAG, 1)
    elif not any(key in image.info for key in _EXIF):
        return 1
    else:
        try:
            with warnings.catch_warnings(action="ignore"):
                found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        except READ_ERRORS:  # viewers ignore damaged metadata
            return 1
    return found if found in range(1, 9) else 1


def oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Applies an EXIF orientation.

    Args:
        pixels: (H, W, ...) as stored.
        orientation: 1 to 8.

    Returns:
        The pixels as viewers show them.
    """
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def broken_image_error(path: Path, error: Exception) -> AdframeError:
    """Builds the error for a file that is missing, empty or not readable.

    Args:
        path: the file.
        error: why it could not be read.

    Returns:
        The error to raise.
    """
    if not path.is_file():
        why = "does not exist"
    elif path.stat().st_size == 0:
        why = "is empty (0 bytes)"
    elif isinstance(error, UnidentifiedImageError):
        why = "cannot be decoded (it is not an image, or its format is not supported)"
    else:
        why = f"cannot be decoded ({(str(error) or type(error).__name__).splitlines()[0]})"
    return AdframeError(f"image {path} {why}; replace the file or leave it out")


@cache
def readable_suffixes() -> frozenset[str]:
    """Returns the suffixes, in lower case, of the formats that `open_image` reads."""
    # The dictionary is complete only after all plugins of Pillow are loaded, which this call does.
    suffixes = Image.registered_extensions()
    return frozenset(suffix for suffix, name in suffixes.items() if name in _formats(suffix))


@cache
def _formats(suffix: str) -> tuple[str, ...]:
    """Lists the formats that this Pillow can read; TGA has no signature, so the suffix must say it."""
    Image.init()
    wanted = (*_FORMATS, "TGA") if suffix == ".tga" else _FORMATS
    return tuple(name for name in wanted if name in Image.OPEN)
