"""From a file to pixels, whatever the file's mode; a broken file is an error that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from adframe.contracts import AdframeError

# The last bytes of a whole file. A truncated PNG may still decode line by line in lenient readers.
_ENDINGS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}

BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow says of such files


def read_image(path: Path) -> np.ndarray:
    """Reads an image as (H, W, 3) RGB, uint8, or uint16 where the file is grey with 16 bits a sample.

    Colour (and grey with alpha) of 16 bits a sample comes with its upper 8: Pillow reads no more.

    Greyscale is repeated over the channels, palettes are looked up, alpha is composited over black
    (the colour below a transparent pixel is undefined).

    Raises:
        AdframeError: the file is missing, empty, truncated, or not an image.
    """
    with _open(path) as image:
        if image.mode in ("I", "I;16", "I;16B", "I;16L"):
            grey = np.asarray(image)  # (H, W)
            if grey.min() < 0 or grey.max() > 65535:
                raise AdframeError(f"{path} holds 32-bit pixels; save it as 8 or 16 bit")
            return np.repeat(grey.astype(np.uint16)[:, :, None], 3, axis=2)
        if image.mode == "F":
            raise AdframeError(f"{path} holds floating-point pixels; save it as 8 or 16 bit")
        if "A" in image.getbands() or "transparency" in image.info:
            over = Image.new("RGBA", image.size, (0, 0, 0, 255))
            return np.asarray(Image.alpha_composite(over, image.convert("RGBA")).convert("RGB"))
        return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """Reads a mask as (H, W) uint8; 0 is background. Raises like `read_image`."""
    with _open(path) as image:
        if image.mode in ("I", "I;16", "I;16B", "I;16L"):
            return (np.asarray(image) > 0).astype(np.uint8) * 255
        return np.asarray(image.convert("L"))


def read_size(path: Path) -> tuple[int, int]:
    """(H, W) from the header, after a check that the file is whole; decodes only where in doubt."""
    if not _ends_well(path):
        with _open(path) as image:
            return image.height, image.width
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except BROKEN as error:
        raise _broken(path, error) from error


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except BROKEN as error:
        raise _broken(path, error) from error
    return image


def _ends_well(path: Path) -> bool:
    ending = _ENDINGS.get(path.suffix.lower())
    if ending is None or not path.is_file():
        return False
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(ending)))
        return file.read() == ending


def _broken(path: Path, error: Exception) -> AdframeError:
    if not path.is_file():
        why = "is not there"
    elif path.stat().st_size == 0:
        why = "is empty (0 bytes)"
    else:
        why = f"cannot be decoded ({str(error).splitlines()[0]})"
    return AdframeError(f"image {path} {why}; replace it or remove it from the dataset")
