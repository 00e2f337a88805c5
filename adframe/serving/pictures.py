"""Decodes pictures from bytes as `adframe predict` decodes files, with a check of their size before."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adframe.errors import AdframeError
from adframe.io.images import is_deep, rgb_of
from adframe.serving.bodies import ByteBudget
from adframe.serving.errors import RequestError

_FORMATS = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "BMP": ".bmp", "TIFF": ".tiff", "WEBP": ".webp"}


@contextmanager
def decoded(name: str, content: bytes, *, most_pixels: int, budget: ByteBudget) -> Iterator[Any]:
    """Decodes a picture.

    Args:
        name: for messages.
        content: the bytes of the file.
        most_pixels: largest number of pixels.
        budget: of all decoded pictures; a part is held until the context ends.

    Yields:
        What a model's `predict` takes: an array (H, W, 3) uint8; or the path of a temporary file where the
        picture has 16-bit samples, whose number of used bits the model knows.

    Raises:
        RequestError: the picture is too large, it cannot be read, or memory is short.
    """
    image = _opened(name, content)
    if image.width * image.height > most_pixels:
        size = f"{image.width}x{image.height} pixels"
        raise RequestError(413, "too_many_pixels", f"{name} has {size}, more than {most_pixels}")
    if getattr(image, "n_frames", 1) != 1 and image.format != "MPO":  # the others of an MPO are previews
        raise RequestError(422, "unreadable", f"{name} has several pages or frames")
    held = 3 * image.width * image.height
    budget.take(held)
    try:
        if not is_deep(image):
            yield _pixels(name, image)
        else:
            with _file(image.format or "", content) as path:
                yield path
    finally:
        budget.give_back(held)


def _pixels(name: str, image: Image.Image) -> np.ndarray:
    try:
        return rgb_of(Path(name), image)
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        text = str(error) if isinstance(error, AdframeError) else f"{name} cannot be decoded"
        raise RequestError(422, "unreadable", text) from error


@contextmanager
def _file(kind: str, content: bytes) -> Iterator[Path]:
    handle, path = tempfile.mkstemp(suffix=_FORMATS.get(kind, ".png"), prefix="adframe-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        yield Path(path)
    finally:
        Path(path).unlink(missing_ok=True)


def _opened(name: str, content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The limit is checked by the caller, on the size that the header states.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=[name for name in _FORMATS if name != "MPO"])
    except Image.DecompressionBombError as error:
        raise RequestError(413, "too_many_pixels", f"{name} has too many pixels") from error
    except Exception as error:
        raise RequestError(
            422, "unreadable", f"{name} is no PNG, JPEG, TIFF, BMP or WebP picture that can be read"
        ) from error
