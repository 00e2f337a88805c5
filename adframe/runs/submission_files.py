"""Writes, packs and checks the folder for the MVTec AD 2 server: maps in float16 and thresholded maps."""

from __future__ import annotations

import tarfile
import uuid
from collections.abc import Mapping, Sequence
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
_STD_PER_UNIT = 64  # 1.0 in float16 stands for so many standard deviations; 4 million of them still fit


@dataclass(frozen=True, slots=True)
class MapScale:
    """Maps the scores of one object to float16: the same increasing line for all of its images.

    Raw scores may lie far from zero, where float16 is coarse, or beyond its range. Measured from the mean of
    the validation pixels, in units of 64 standard deviations, the scores near the threshold lie where float16
    is fine: two standard deviations above the mean it still separates scores that differ by 1/500 of one.

    Attributes:
        mean: of the raw scores of validation pixels.
        std: their standard deviation.

    Example:
        >>> scale = MapScale(mean=10.0, std=0.5)
        >>> scale.to_half(np.array([[10.0, 42.0]], dtype=np.float32), image=Path("000.png")).tolist()
        [[0.0, 1.0]]
    """

    mean: float
    std: float

    def to_half(self, scores: np.ndarray, *, image: Path) -> np.ndarray:
        """Converts raw scores; the order is kept, but different scores may become equal.

        Args:
            scores: (H, W) float32, raw.
            image: the path of the image, for the error.

        Returns:
            (H, W) float16.

        Raises:
            AdframeError: a score is NaN, or so far away that float16 would overflow.
        """
        unit = _STD_PER_UNIT * (self.std if self.std > 0 else max(abs(self.mean), 1.0))
        shifted = (scores.astype(np.float64) - self.mean) / unit
        if not np.abs(shifted).max() <= HALF_MAX:  # written so that NaN is refused too
            raise AdframeError(
                f"scores of {image} are NaN or millions of standard deviations off the validation scores; "
                "the method or its weights are broken"
            )
        return shifted.astype(np.float16)


def file_of(record: Record, *, kind: str) -> Path:
    """Returns the place of a file of a private image in the submission.

    Args:
        record: the image.
        kind: `anomaly_images` for its map or `anomaly_images_thresholded` for its mask.

    Returns:
        The path, relative to the folder of the submission.

    Example:
        >>> record = Record(Path("000_regular.png"), "can", "test", defect="test_private", label=None)
        >>> file_of(record, kind=MAPS).as_posix()
        'anomaly_images/can/test_private/000_regular.tiff'
    """
    suffix = ".tiff" if kind == MAPS else ".png"
    return Path(kind, record.category, record.defect, f"{record.path.stem}{suffix}")


def check_names(records: Sequence[Record]) -> None:
    """Checks that no two private images would have the same file in the submission.

    Args:
        records: private images of one object.

    Raises:
        AdframeError: two images would; the message names both.
    """
    taken: dict[Path, Path] = {}
    for record in records:
        place = file_of(record, kind=MAPS)
        if (other := taken.setdefault(place, record.path)) != record.path:
            raise AdframeError(
                f"{other} and {record.path} would be one file of the submission, {place}; remove one of them"
            )


def write_pair(folder: Path, record: Record, scores: np.ndarray, *, mask: np.ndarray, scale: MapScale) -> int:
    """Writes the map and the mask of an image.

    Args:
        folder: the folder of the submission.
        record: the private image.
        scores: (H, W) float32 raw scores, at the size to be submitted.
        mask: (H, W) bool, the anomalous pixels.
        scale: the scale of its object.

    Returns:
        The number of different scores that became equal to another one.
    """
    half = scale.to_half(scores, image=record.path)
    write_whole(folder / file_of(record, kind=MAPS), encode_tiff(half))
    _, png = cv2.imencode(".png", np.where(mask, 255, 0).astype(np.uint8))
    write_whole(folder / file_of(record, kind=MASKS), png.tobytes())
    return count_distinct(scores) - count_distinct(half)


def pack_submission(folder: Path, archive: Path) -> None:
    """Writes the two directories of a submission as tar.gz, sorted by name, whole or not at all.

    Args:
        folder: the folder of the submission.
        archive: the archive to write.
    """
    temporary = archive.with_name(f".{archive.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with tarfile.open(temporary, "w:gz", compresslevel=6) as tar:
            for path in sorted(folder.rglob("*")):
                tar.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)


def check_submission(folder: Path, archive: Path, sizes: Mapping[Path, tuple[int, int]]) -> None:
    """Reads a submission back and checks it: no file is missing or extra, each has the right type and size.

    Args:
        folder: the folder of the submission.
        archive: the packed submission; it must hold the same files.
        sizes: path of each file, relative to the folder -> the (H, W) that it must have.

    Raises:
        AdframeError: a file is wrong; the message names the first one.
    """
    present = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    with tarfile.open(archive) as tar:
        packed = {Path(member.name) for member in tar if member.isfile()}
    for name, files in ((folder, present), (archive, packed)):
        for path in sorted(files ^ sizes.keys()):
            raise AdframeError(f"{name}: {path} {'is missing' if path in sizes else 'does not belong there'}")
    for path, size in sizes.items():
        if problem := _problem(folder / path, size):
            raise AdframeError(f"{folder / path} {problem}")


def expected_files(
    records: Sequence[Record], size_of: Mapping[Path, tuple[int, int]]
) -> dict[Path, tuple[int, int]]:
    """Lists the files of a complete submission.

    Args:
        records: the private images.
        size_of: path of each image -> (H, W) at which it is submitted.

    Returns:
        Path of each file, relative to the folder -> its (H, W).
    """
    kinds = (MAPS, MASKS)
    return {file_of(record, kind=kind): size_of[record.path] for record in records for kind in kinds}


def _problem(path: Path, size: tuple[int, int]) -> str:
    """Describes what is wrong with a file; "" where nothing is."""
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
