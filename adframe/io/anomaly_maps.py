"""Anomaly maps as TIFF files, in the layout that the official evaluators read."""

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
COLLAPSE = 1e-3  # most that rounding may move a score, in standard deviations of its map


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a map's scores on their way into a file."""

    dtype: str
    before: int  # different scores in the map
    after: int  # different scores in the file

    @property
    def merged(self) -> int:
        """Scores that rounding made equal to another."""
        return self.before - self.after


def map_paths(records: Iterable[Record]) -> dict[Path, Path]:
    """Where each image's map lies: `<category>/test/<defect folder>/<id>.tiff`, below any folder.

    The layout is that of `mvtec_ad_evaluation` and `mvtec_loco_ad_evaluation`.

    Returns:
        The relative path by the image's path, in the order of the records.

    Raises:
        AdframeError: two images would share a map; names both.
    """
    taken: dict[Path, Path] = {}
    for record in records:
        place = Path(record.category, "test", record.defect, f"{record.path.stem}.tiff")
        if (other := taken.setdefault(place, record.path)) != record.path:
            raise AdframeError(
                f"the maps of {other} and {record.path} would be one file, {place}; rename one of the images"
            )
    return {image: place for place, image in taken.items()}


def write_map(path: Path, scores: np.ndarray, *, dtype: str) -> Stored:
    """Writes a map whole or not at all, uncompressed, so that any reader can open it.

    Args:
        path: where it goes.
        scores: (H, W) float32, raw, in the original frame.
        dtype: `float32`, or `float16`, which halves the file and keeps 11 bits of a score: neighbours
            may become equal, their order never turns. A map with scores beyond 65504 stays float32,
            because infinity would rank them all alike.

    Returns:
        The type in the file, and how many different scores there were before and after.

    Raises:
        AdframeError: the file cannot be written.
    """
    fits = bool(np.abs(scores).max() <= HALF_MAX)
    stored = scores.astype(np.float16 if dtype == "float16" and fits else np.float32)
    write_whole(path, encode(stored))
    return Stored(str(stored.dtype), distinct(scores), distinct(stored))


def read_map(path: Path) -> np.ndarray:
    """Reads a map of any real number type as (H, W) float32.

    Raises:
        AdframeError: the file cannot be read, holds no single plane of numbers, or scores that differ
            by less than float32 resolves.
    """
    try:
        found = tifffile.imread(path)
    except Exception as error:  # bytes of a stranger: the parser fails in many ways, struct.error among them
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AdframeError(
            f"map {path} cannot be read ({reason}); write it as an uncompressed TIFF"
        ) from error
    plane = np.squeeze(found) if found.ndim > 2 else found
    if plane.ndim != 2 or plane.dtype.kind not in "fiu":
        raise AdframeError(
            f"map {path} holds {plane.dtype} of shape {found.shape}; a map is one plane of numbers"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are for the caller to refuse
        scores: np.ndarray = plane.astype(np.float32)
        lost = np.abs(plane.astype(np.float64) - scores).max(initial=0.0)
        varies = plane.size > 0 and plane.min() < plane.max()
        if varies and lost > COLLAPSE * np.std(plane, dtype=np.float64):
            raise AdframeError(
                f"map {path} holds {plane.dtype} scores that float32 cannot tell apart: rounding moves them "
                f"by {lost:.2g}; subtract one constant from all maps, such as the mean, and write them again"
            )
    return scores


def encode(plane: np.ndarray) -> bytes:
    """(H, W) of any float type as the bytes of an uncompressed TIFF; the same plane gives the same bytes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane, photometric="minisblack", metadata=None, software=False)
    return buffer.getvalue()


def distinct(scores: np.ndarray) -> int:
    """How many different values an array holds."""
    if scores.dtype == np.float16:  # 65536 patterns: counting them is far quicker than sorting
        bits = (scores + np.float16(0)).view(np.uint16)  # adding zero makes one of the two zeros
        return int(np.count_nonzero(np.bincount(bits.ravel(), minlength=1 << 16)))
    ordered = np.sort(scores, axis=None)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if ordered.size else 0
