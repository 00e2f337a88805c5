"""Reads pictures of any kind from a folder, for training that needs no labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from adframe.errors import AdframeError
from adframe.io.image_files import check_kind, open_image, pixel_kind, readable_suffixes
from adframe.io.images import read_image


class PictureFolder:
    """The pictures in a folder and below it, in the order of their paths.

    The header of every picture is read at once, so that files which are no pictures, and empty ones, do not
    end a long training. A picture whose pixels are cut off or damaged is found only when it is read.

    Args:
        folder: the folder; names that begin with a dot are left out.
        setting: the setting or option that names it, for errors.

    Raises:
        AdframeError: the folder does not exist, has no picture, or has some that cannot be read.

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
        suffixes = readable_suffixes()
        self.paths = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
        )
        if not self.paths:
            raise AdframeError(f"{setting} {folder} has no picture; give a folder with pictures")
        if broken := [error for path in self.paths if (error := _error_of(path))]:
            raise AdframeError(
                f"{setting} {folder}: {len(broken)} of {len(self.paths)} pictures cannot be read; the first: "
                f"{broken[0]}"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, *, size: tuple[int, int]) -> np.ndarray:
        """Reads a picture, stretched to a size.

        Args:
            index: its position.
            size: (H, W) in pixels.

        Returns:
            (3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: the file cannot be read.
        """
        pixels = read_image(self.paths[index])
        unit = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
        smaller = size[0] * size[1] < unit.shape[0] * unit.shape[1]
        # Averages areas where pixels are lost, which avoids aliasing.
        kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        stretched = cv2.resize(unit, (size[1], size[0]), interpolation=kind)
        return np.ascontiguousarray(stretched.transpose(2, 0, 1))


def _error_of(path: Path) -> AdframeError | None:
    """Returns what is wrong with a picture as its header shows it; None where it can be opened."""
    try:
        with open_image(path) as image:
            check_kind(path, pixel_kind(image))
    except AdframeError as error:
        return error
    return None
