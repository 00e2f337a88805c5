"""Reads and writes anomaly maps as TIFF files, in the layout of the official evaluators."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.io.files import write_whole

HALF_MAX = float(np.finfo(np.float16).max)  # 65504
SUFFIXES = (".tiff", ".tif")
# Largest change of a score by rounding, in standard deviations of its map.
MAX_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class StoredMap:
    """The result of writing a map.

    Attributes:
        dtype: type of the scores in the file.
        before: number of distinct scores in the map.
        after: number of distinct scores in the file.
    """

    dtype: str
    before: int
    after: int

    @property
    def merged(self) -> int:
        """Returns the number of scores that rounding made equal to another."""
        return self.before - self.after


def map_paths(records: Iterable[Record]) -> dict[Path, Path]:
    """Returns the path of each image's map: `<category>/test/<defect folder>/<id>.tiff`.

    The layout is that of `mvtec_ad_evaluation` and `mvtec_loco_ad_evaluation`.

    Args:
        records: the images.

    Returns:
        Relative paths by the path of the image, in the order of the records.

    Raises:
        AdframeError: if two images would share a map; the message has both.
    """
    taken: dict[Path, Path] = {}
    for record in records:
        place = Path(record.category, "test", record.defect, f"{record.path.stem}.tiff")
        if (other := taken.setdefault(place, record.path)) != record.path:
            raise AdframeError(
                f"the maps of {other} and {record.path} would be one file, {place}; rename one of the images"
            )
    return {image: place for place, image in taken.items()}


def write_map(path: Path, scores: np.ndarray, *, dtype: str) -> StoredMap:
    """Writes a map completely or not at all, uncompressed, so that any reader can open it.

    Args:
        path: the file.
        scores: (H, W) float32 raw scores in the original frame.
        dtype: `float32`, or `float16`, which halves the file and keeps 11 bits of a score: neighbouring
            scores may become equal, but their order is never reversed. A map with scores beyond 65504 stays
            float32, because they would all become infinity.

    Returns:
        The type in the file, and the numbers of distinct scores before and after.

    Raises:
        AdframeError: if the file cannot be written.
    """
    fits = bool(np.abs(scores).max() <= HALF_MAX)
    stored = scores.astype(np.float16 if dtype == "float16" and fits else np.float32)
    write_whole(path, encode_tiff(stored))
    return StoredMap(str(stored.dtype), count_distinct(scores), count_distinct(stored))


def read_map(path: Path) -> np.ndarray:
    """Reads a map of any real number type.

    Args:
        path: the file.

    Returns:
        (H, W) float32.

    Raises:
        AdframeError: if the file cannot be read, is not a single plane of numbers, or has scores that float32
            cannot distinguish.
    """
    try:
        found = tifffile.imread(path)
    except Exception as error:  # on foreign files the parser fails in many ways, struct.error among them
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AdframeError(
            f"map {path} cannot be read ({reason}); write it as an uncompressed TIFF"
        ) from error
    plane = np.squeeze(found) if found.ndim > 2 else found
    if plane.ndim != 2 or plane.dtype.kind not in "fiu":
        raise AdframeError(
            f"map {path} holds {plane.dtype} of shape {found.shape}; a map is one plane of numbers"
        )
    # The caller refuses infinity and NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        scores: np.ndarray = plane.astype(np.float32)
        lost = np.abs(plane.astype(np.float64) - scores).max(initial=0.0)
        varies = plane.size > 0 and plane.min() < plane.max()
        if varies and lost > MAX_ROUNDING * np.std(plane, dtype=np.float64):
            raise AdframeError(
                f"map {path} has {plane.dtype} scores that float32 cannot distinguish: rounding changes them "
                f"by {lost:.2g}; subtract one constant, such as the mean, from all maps and write them again"
            )
    return scores


def encode_tiff(plane: np.ndarray) -> bytes:
    """Encodes a plane as an uncompressed TIFF; the same plane gives the same bytes.

    Args:
        plane: (H, W) of any float type.

    Returns:
        The content of the file.
    """
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane, photometric="minisblack", metadata=None, software=False)
    return buffer.getvalue()


def count_distinct(scores: np.ndarray) -> int:
    """Counts distinct values.

    Args:
        scores: any shape.

    Returns:
        Their number.
    """
    # Counting 65536 bit patterns is much faster than sorting.
    if scores.dtype == np.float16:
        bits = (scores + np.float16(0)).view(np.uint16)  # adding zero turns -0 into 0
        return int(np.count_nonzero(np.bincount(bits.ravel(), minlength=1 << 16)))
    ordered = np.sort(scores, axis=None)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if ordered.size else 0
