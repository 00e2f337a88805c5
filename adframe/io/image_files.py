"""An image file opened: what it holds, how it is turned, and what to say where it cannot be read."""

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

# How large an image may be is a setting (`dataset.max_megapixels`), checked from the header before any work.
Image.MAX_IMAGE_PIXELS = None

# Without EPS, which would start an interpreter, and without what is no picture (FITS, HDF5, video).
_FORMATS = (
    "PNG", "JPEG", "MPO", "BMP", "DIB", "TIFF", "WEBP", "JPEG2000", "PPM", "GIF", "AVIF",
)  # fmt: skip
_TONES = ("1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
GREY16 = ("I", "I;16", "I;16B", "I;16L", "I;16N")
IMAGE_KINDS = (*_TONES, *GREY16)
_SAMPLE_FORMAT, _PHOTOMETRIC, _ORIENTATION = 339, 262, 274  # TIFF tags
_EXIF = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow looks for EXIF
_SIGNED, _WHITE_IS_ZERO = 2, 0

BROKEN = (  # what Pillow says of files that are not whole
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, RuntimeError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip


def opened(path: Path) -> Image.Image:
    """The image, its header read; an error where it is none, or has several pages."""
    try:
        image = Image.open(path, formats=_formats(path.suffix.lower()))
        if image.format == "TIFF" and orientation_of(image) != 1:  # Pillow turns one that it maps wrongly
            image.close()
            image = Image.open(io.BytesIO(path.read_bytes()), formats=("TIFF",))
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # its others are previews
    except BROKEN as error:
        raise broken(path, error) from error
    if pages != 1:
        raise AdframeError(
            f"image {path} has {pages} pages or frames; save the right one as a file of its own"
        )
    return image


def loaded(path: Path, image: Image.Image) -> Image.Image:
    """Decodes an opened image in place."""
    try:
        image.load()
    except BROKEN as error:
        raise broken(path, error) from error
    except MemoryError as error:
        text = f"image {path} with {image.width}x{image.height} pixels does not fit into memory"
        raise AdframeError(f"{text}; free some, or save it smaller") from error
    return image


def kind_of(image: Image.Image) -> str:
    """Pillow's mode; or a name of its own for what Pillow would read wrongly."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "L" and _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        return "signed 8-bit"  # -1 would become 255
    if image.mode in GREY16 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return "16-bit white-is-zero"  # it would not be inverted
    return image.mode


def check_kind(
    path: Path,
    kind: str,
    *,
    known: tuple[str, ...] = IMAGE_KINDS,
    advice: str = "save it as 8 or 16 bit grey or RGB",
) -> None:
    """An error that names the kind of pixels where it is not among those `known`."""
    if kind not in known:
        raise AdframeError(f"{path} holds {'floating-point' if kind == 'F' else kind} pixels; {advice}")


def has_alpha(image: Image.Image) -> bool:
    """Whether some pixels may be transparent."""
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def as_rgba(image: Image.Image) -> Image.Image:
    """A decoded image with alpha as RGBA, not premultiplied."""
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def orientation_of(image: Image.Image) -> int:
    """How the pixels that Pillow gives, or will give, are still to be turned; 1: they are right.

    Pillow turns a TIFF while it decodes it, and forgets the tag then.
    """
    if image.format == "TIFF":
        found = getattr(image, "tag_v2", {}).get(_ORIENTATION, 1)
    elif not any(key in image.info for key in _EXIF):
        return 1
    else:
        try:
            with warnings.catch_warnings(action="ignore"):
                found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        except BROKEN:  # viewers ignore what is damaged there
            return 1
    return found if found in range(1, 9) else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, ...) as stored to the picture that an EXIF orientation, 1 to 8, says."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def broken(path: Path, error: Exception) -> AdframeError:
    """What to say of a file that is not there, empty, or not readable."""
    if not path.is_file():
        why = "is not there"
    elif path.stat().st_size == 0:
        why = "is empty (0 bytes)"
    elif isinstance(error, UnidentifiedImageError):
        why = "cannot be decoded (it is no image, or one of a format that is not read)"
    else:
        why = f"cannot be decoded ({(str(error) or type(error).__name__).splitlines()[0]})"
    return AdframeError(f"image {path} {why}; replace it or remove it from the dataset")


@cache
def _formats(suffix: str) -> tuple[str, ...]:
    """What this Pillow can read; TGA has no mark of its own, so its name must say it."""
    Image.init()
    wanted = (*_FORMATS, "TGA") if suffix == ".tga" else _FORMATS
    return tuple(name for name in wanted if name in Image.OPEN)
