"""The images that a model is asked to inspect: files, folders, arrays, tensors and Pillow images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adframe.data.listing import walk
from adframe.errors import AdframeError
from adframe.io.images import read_image, rgb_of, to_full_range

TAKEN = (
    "an image is a path, a Pillow image, an array (H, W) or (H, W, 3) of uint8, uint16 or floats in [0, 1], "
    "or a tensor (3, H, W) of uint8 or floats in [0, 1]"
)


@dataclass(frozen=True, slots=True)
class InputImage:
    """One image, not decoded yet.

    Attributes:
        name: the path as it was given, or `image 0`, `image 1`, ... by the place in the list.
        given: the path, array, tensor or Pillow image.

    Example:
        >>> InputImage("image 0", np.zeros((4, 6), np.uint8)).pixels().shape
        (4, 6, 3)
    """

    name: str
    given: Any

    @property
    def path(self) -> Path | None:
        """The file; None for an image in memory."""
        return self.given if isinstance(self.given, Path) else None

    def pixels(self, *, bits: int = 16) -> np.ndarray:
        """Decodes the image.

        Args:
            bits: number of used bits of 16-bit samples, counted from the lowest, as in `read_image`.

        Returns:
            (H, W, 3) uint8, or uint16 for 16-bit samples and for floats.

        Raises:
            AdframeError: the file cannot be read, or the array has another shape, type or range.
        """
        if isinstance(self.given, Path):
            return read_image(self.given, bits=bits)
        if isinstance(self.given, Image.Image):
            return rgb_of(Path(self.name), self.given, bits=bits)
        array = self.given
        if _is_tensor(array):
            array = array.detach().cpu().numpy()
            array = array.transpose(1, 2, 0) if array.ndim == 3 else array
        return _rgb_of_array(self.name, array, bits=bits)


def input_images(images: Any) -> tuple[list[InputImage], bool]:
    """Lists the images that were given, in their order.

    Args:
        images: a path of an image or a folder, an array, a tensor, a Pillow image, or a list of them. A
            folder gives all images in it and below it, sorted. An array (N, H, W, 3) and a tensor
            (N, 3, H, W) give N images.

    Returns:
        The images, and whether a single one was given (not a list, a folder or a batch).

    Raises:
        AdframeError: something else was given, or a folder has no image.

    Example:
        >>> listed, single = input_images([np.zeros((4, 6), np.uint8), "plate.png"])
        >>> [image.name for image in listed], single
        (['image 0', 'plate.png'], False)
    """
    found: list[InputImage] = []
    for path_or_array in _each(images):
        name = f"image {len(found)}"
        if isinstance(path_or_array, Path):
            name = path_or_array.as_posix()
        found.append(InputImage(name, path_or_array))
    return found, _is_single(images)


def _is_tensor(given: Any) -> bool:
    """Tells whether something is a tensor; where torch was not imported, nothing is."""
    torch: Any = sys.modules.get("torch")
    return isinstance(given, getattr(torch, "Tensor", ()))


def _is_single(images: Any) -> bool:
    if isinstance(images, str | Path):
        return not Path(images).is_dir()
    if isinstance(images, np.ndarray) or _is_tensor(images):
        return bool(images.ndim != 4)
    return isinstance(images, Image.Image)


def _each(images: Any) -> Iterator[Any]:
    """Yields paths of files, Pillow images, and arrays and tensors of single images."""
    if isinstance(images, str | Path):
        path = Path(images)
        if not path.is_dir():
            yield path
        elif found := walk(path).images:
            yield from found
        else:
            raise AdframeError(f"the folder {path} has no image")
    elif isinstance(images, np.ndarray) or _is_tensor(images):
        yield from images if images.ndim == 4 else [images]
    elif isinstance(images, Image.Image):
        yield images
    elif isinstance(images, Iterable) and not isinstance(images, bytes | dict):
        for each in images:
            yield from _each(each)
    else:
        raise AdframeError(f"{TAKEN}; not {type(images).__name__}")


def _rgb_of_array(name: str, array: np.ndarray, *, bits: int) -> np.ndarray:
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 and array.size:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        hint = ""
        if array.ndim == 3 and array.shape[2] == 4:
            hint = "; remove the alpha channel, or give a Pillow image"
        elif array.ndim == 3 and shape[0] == 3:
            hint = "; an array has its channels last"
        raise AdframeError(f"{name}: {TAKEN}; not of shape {shape}{hint}")
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return to_full_range(Path(name), array, bits=bits)
    if not np.issubdtype(array.dtype, np.floating):
        raise AdframeError(f"{name}: {TAKEN}; not of type {array.dtype}")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0 and highest <= 1):  # also refuses NaN
        raise AdframeError(
            f"{name}: floats must lie in [0, 1], these reach from {lowest:g} to {highest:g}; divide values "
            "of 0 to 255 by 255"
        )
    return np.rint(array.astype(np.float64) * 65535).astype(np.uint16)
