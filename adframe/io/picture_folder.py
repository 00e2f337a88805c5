"""Reads pictures of any kind from a folder, for training that needs no labels."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from adframe.errors import AdframeError
from adframe.io.image_files import readable_suffixes
from adframe.io.images import read_image


class PictureFolder:
    """The pictures in a folder and below it, in the order of their paths.

    A picture that cannot be read does not end a long training: it is named once, and the next one is read.

    Args:
        folder: the folder; names that begin with a dot are left out.
        setting: the setting or option that names it, for errors.

    Raises:
        AdframeError: the folder does not exist or has no picture.

    Example:
        >>> from PIL import Image
        >>> Image.new("RGB", (40, 30)).save("one.png")
        >>> pictures = PictureFolder(Path("."), setting="--images")
        >>> len(pictures), pictures.read(0, size=(16, 24)).shape
        (1, (3, 16, 24))
    """

    def __init__(self, folder: Path, *, setting: str) -> None:
        if not folder.is_dir():
            raise AdframeError(f"{setting} {folder} is not a folder; give a folder with pictures")
        self.folder, self._setting = folder, setting
        suffixes = readable_suffixes()
        self.paths = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
        )
        if not self.paths:
            raise AdframeError(f"{setting} {folder} has no picture; give a folder with pictures")
        self._unreadable: set[int] = set()

    def __len__(self) -> int:
        return len(self.paths)

    def listing(self) -> list[tuple[str, int]]:
        """Returns the path of each picture below the folder, and its size in bytes."""
        return [(path.relative_to(self.folder).as_posix(), path.stat().st_size) for path in self.paths]

    def read(self, index: int, *, size: tuple[int, int]) -> np.ndarray:
        """Reads a picture, or the next one that can be read, stretched to a size.

        Args:
            index: its position.
            size: (H, W) in pixels.

        Returns:
            (3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: no picture of the folder can be read.
        """
        pixels = self._first_readable(index)
        unit = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
        smaller = size[0] * size[1] < unit.shape[0] * unit.shape[1]
        # Averages areas where pixels are lost, which avoids aliasing.
        kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        stretched = cv2.resize(unit, (size[1], size[0]), interpolation=kind)
        return np.ascontiguousarray(stretched.transpose(2, 0, 1))

    def _first_readable(self, index: int) -> np.ndarray:
        for step in range(len(self)):
            place = (index + step) % len(self)
            if place in self._unreadable:
                continue
            try:
                return read_image(self.paths[place])
            except AdframeError as error:
                self._unreadable.add(place)
                logging.getLogger(__name__).warning(f"{error}; the next picture is used instead")
        raise AdframeError(f"{self._setting} {self.folder}: none of {len(self)} pictures can be read")
