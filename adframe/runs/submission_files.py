"""The folder that the MVTec AD 2 server takes: maps in float16, thresholded maps, packed and checked."""

from __future__ import annotations

import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

from adframe.contracts import Record
from adframe.data.masks import read_levels
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import HALF_MAX, count_distinct, encode_tiff
from adframe.io.files import write_whole

MAPS, MASKS = "anomaly_images", "anomaly_images_thresholded"
_ROOM = 64  # standard deviations a unit of float16: leaves room for scores 4 million of them away


@dataclass(frozen=True, slots=True)
class Scale:
    """What one object's scores become: the same increasing line for all of its images.

    Raw scores may lie far from zero, where float16 is coarse, or beyond its range. Measured from the
    mean of the validation pixels, in units of 64 standard deviations, the scores that decide lie where
    float16 is fine: at two standard deviations it tells scores apart that differ by 1/500 of one.
    """

    mean: float
    std: float

    def half(self, scores: np.ndarray, *, image: Path) -> np.ndarray:
        """(H, W) raw float32 to float16 of the same order; what was different may become equal.

        Raises:
            AdframeError: a score is so far off that float16 would overflow; names the image.
        """
        unit = _ROOM * (self.std if self.std > 0 else max(abs(self.mean), 1.0))
        moved = (scores.astype(np.float64) - self.mean) / unit
        if not np.abs(moved).max() <= HALF_MAX:  # NaN too
            raise AdframeError(
                f"scores of {image} are NaN or millions of standard deviations off the validation's; "
                "the method or its weights are broken"
            )
        return moved.astype(np.float16)


def place_of(record: Record, *, kind: str) -> Path:
    """Where a private image's map (`anomaly_images`) or mask (`..._thresholded`) lies in the folder."""
    suffix = ".tiff" if kind == MAPS else ".png"
    return Path(kind, record.category, record.defect, f"{record.path.stem}{suffix}")


def check_names(records: Sequence[Record]) -> None:
    """Refuses private images whose files in the submission would be one; names both."""
    taken: dict[Path, Path] = {}
    for record in records:
        place = place_of(record, kind=MAPS)
        if (other := taken.setdefault(place, record.path)) != record.path:
            raise AdframeError(
                f"{other} and {record.path} would be one file of the submission, {place}; remove one of them"
            )


def write_pair(folder: Path, record: Record, scores: np.ndarray, *, mask: np.ndarray, scale: Scale) -> int:
    """Writes an image's map and mask, and returns how many different scores became equal.

    Args:
        folder: the submission's.
        record: of a private image.
        scores: (H, W) raw float32, at the size to be submitted.
        mask: (H, W) bool, its anomalous pixels.
        scale: its object's.
    """
    half = scale.half(scores, image=record.path)
    write_whole(folder / place_of(record, kind=MAPS), encode_tiff(half))
    _, png = cv2.imencode(".png", np.where(mask, 255, 0).astype(np.uint8))
    write_whole(folder / place_of(record, kind=MASKS), png.tobytes())
    return count_distinct(scores) - count_distinct(half)


def pack(folder: Path, archive: Path) -> None:
    """Writes the folder's two directories as tar.gz, sorted by name, whole or not at all."""
    beside = archive.with_name(f".{archive.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with tarfile.open(beside, "w:gz", compresslevel=6) as tar:
            for path in sorted(folder.rglob("*")):
                tar.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
        beside.replace(archive)
    finally:
        beside.unlink(missing_ok=True)


def check(folder: Path, archive: Path, sizes: Mapping[Path, tuple[int, int]]) -> None:
    """Reads a submission back: every file there, none too many, each of the right type and size.

    Args:
        folder: the submission's.
        archive: the packed one; must hold the same files.
        sizes: the (H, W) that each file, by its path in the folder, must have.

    Raises:
        AdframeError: the first thing that is wrong, with its file.
    """
    there = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    with tarfile.open(archive) as tar:
        packed = {Path(member.name) for member in tar if member.isfile()}
    for name, files in ((folder, there), (archive, packed)):
        for path in sorted(files ^ sizes.keys()):
            raise AdframeError(f"{name}: {path} {'is missing' if path in sizes else 'does not belong there'}")
    for path, size in sizes.items():
        if problem := _problem(folder / path, size):
            raise AdframeError(f"{folder / path} {problem}")


def expected(
    records: Sequence[Record], size_of: Mapping[Path, tuple[int, int]]
) -> dict[Path, tuple[int, int]]:
    """What a submission of these private images holds: each file's (H, W), by its path in the folder."""
    return dict(_expected(records, size_of))


def _expected(
    records: Sequence[Record], size_of: Mapping[Path, tuple[int, int]]
) -> Iterator[tuple[Path, tuple[int, int]]]:
    for record in records:
        for kind in (MAPS, MASKS):
            yield place_of(record, kind=kind), size_of[record.path]


def _problem(path: Path, size: tuple[int, int]) -> str:
    """What is wrong with a file; "" where nothing is."""
    if path.suffix == ".tiff":
        found, dtype = np.asarray(tifffile.imread(path)), "float16"
    else:
        found, dtype = read_levels(path), "uint8"
        if not set(np.unique(found).tolist()) <= {0, 255}:
            return "holds values other than 0 and 255"
    if found.dtype != dtype:
        return f"holds {found.dtype}, not {dtype}"
    if found.shape != size:
        return f"has shape {found.shape}, not {size}"
    return "" if np.isfinite(found).all() else "holds NaN or infinity"
