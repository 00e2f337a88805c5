"""The files of a prediction: one row per image as CSV and JSON Lines, and pictures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from adframe.errors import AdframeError, unknown
from adframe.inference.images import InputImage
from adframe.inference.results import COLUMNS, ImageResult
from adframe.io.anomaly_maps import write_map
from adframe.io.csv_text import csv_line, csv_text
from adframe.io.files import append_text, write_whole
from adframe.reporting.heatmaps import overlaid, write_picture
from adframe.reporting.outlines import Pixels, contour, outline_inspected

if TYPE_CHECKING:  # the service draws pictures of models that need no torch
    from adframe.inference.detector import TrainedDetector

PICTURES = ("overlay", "heatmap", "mask", "map")  # kinds of pictures, each in a folder of its own
ROWS, RECORDS = "predictions.csv", "predictions.jsonl"
_OUTLINE = (255, 255, 255)


class ResultFiles:
    """Writes results into a folder, each image as soon as it is known.

    `predictions.jsonl` has one object per image with all of its regions, `predictions.csv` one row. A line of
    `predictions.jsonl` is written at once, so that a stopped prediction can go on from it.

    Args:
        folder: created if it is missing.
        detector: the model, for the colour scale and the pixel threshold.
        pictures: kinds of `PICTURES`: `overlay`, the image with the heatmap over it; `heatmap`, the heatmap
            in colours; `mask`, black and white at the pixel threshold; `map`, raw scores as a 32-bit TIFF.
        resume: whether the folder may hold results, which are kept; their images are in `done`.

    Attributes:
        folder: the folder.
        done: the record of every image that the folder holds, by its name.

    Raises:
        AdframeError: a kind of picture is unknown, or the folder holds results and `resume` is False.

    Example:
        >>> files = ResultFiles(Path("out"), detector, pictures=["overlay"])  # doctest: +SKIP
        >>> for image, result in zip(images, detector.stream(images)):  # doctest: +SKIP
        ...     files.add(image, result)
    """

    def __init__(
        self,
        folder: Path,
        detector: TrainedDetector,
        *,
        pictures: Sequence[str] = (),
        resume: bool = False,
    ) -> None:
        for kind in pictures:
            if kind not in PICTURES:
                raise AdframeError(unknown("picture", kind, PICTURES))
        self.folder, self._detector, self._kinds = folder, detector, tuple(pictures)
        self.done = read_records(folder) if resume else {}
        if not resume and (folder / RECORDS).exists():
            raise AdframeError(
                f"{folder} already holds predictions; choose another folder, or go on with --resume"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / RECORDS, "".join(_line(record) for record in self.done.values()))
        write_whole(folder / ROWS, csv_text(COLUMNS, [_row(record) for record in self.done.values()]))
        # All pictures of an image have one name, each in the folder of its kind.
        files = [next(iter(record["files"].values())) for record in self.done.values() if record.get("files")]
        self._taken = {Path(file).stem for file in files}

    def add(
        self, image: InputImage, result: ImageResult, *, pixels: Callable[[], Pixels] | None = None
    ) -> None:
        """Writes the pictures of an image, then its rows.

        Args:
            image: the image.
            result: its result.
            pixels: returns the image as (H, W, 3) uint8, called where an overlay is written; None decodes the
                image again.

        Raises:
            AdframeError: a file cannot be written.
        """
        record = result.record()
        if result.error is None and self._kinds:
            record["files"] = self._write_pictures(result, pixels or self._detector.decoder(image))
        if image.path is not None and image.path.is_file():  # by which a watched folder knows it again
            state = image.path.stat()
            record |= {"bytes": state.st_size, "modified_ns": state.st_mtime_ns}
        append_text(self.folder / RECORDS, _line(record))
        append_text(self.folder / ROWS, csv_line(_row(record)))
        self.done[result.name] = record

    def _write_pictures(self, result: ImageResult, pixels: Callable[[], Pixels]) -> dict[str, str]:
        stem = self._free_stem(result.name)
        self._taken.add(stem)
        files = {kind: f"{kind}/{stem}.{'tiff' if kind == 'map' else 'png'}" for kind in self._kinds}
        for kind, file in files.items():
            if kind == "map":
                write_map(self.folder / file, result.heatmap, dtype="float32")
            else:
                write_picture(self.folder / file, self._drawn(kind, result, pixels))
        return files

    def _drawn(self, kind: str, result: ImageResult, pixels: Callable[[], Pixels]) -> Pixels:
        if kind == "mask":
            return np.repeat(result.mask[:, :, None].astype(np.uint8) * 255, 3, axis=2)
        if kind == "overlay":
            return overlay(self._detector, pixels(), result)
        low, high = colour_scale(self._detector)
        share = np.clip((result.heatmap - low) / max(high - low, 1e-12), 0, 1)
        coloured = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        return np.ascontiguousarray(coloured[..., ::-1])

    def _free_stem(self, name: str) -> str:
        """Returns a name for the pictures of an image: its own, with a number where it is taken."""
        own = Path(name).stem
        names = itertools.chain([own], (f"{own}_{number}" for number in itertools.count(2)))
        return next(each for each in names if each not in self._taken)


def colour_scale(detector: TrainedDetector) -> tuple[float, float]:
    """Returns the scores that get no colour and the full colour, the same as in the report of the run.

    Args:
        detector: the model.

    Returns:
        The median of the heatmap pixels of normal validation images; and twice as far from it as the largest
        of these pixels.
    """
    fitted = detector.calibration
    return fitted.map_median, 2 * fitted.map_max - fitted.map_median


def overlay(detector: TrainedDetector, pixels: Pixels, result: ImageResult) -> Pixels:
    """Draws the heatmap over an image, and outlines the mask in white and the region of interest in blue.

    Args:
        detector: the model, for the colour scale.
        pixels: (H, W, 3) uint8 RGB, the image.
        result: its result.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    low, high = colour_scale(detector)
    picture = overlaid(pixels, result.heatmap, threshold=None, low=low, high=high)
    # A line of one pixel disappears where the picture of a large image is shown small.
    thickness = max(1, round(max(pixels.shape[:2]) / 500))
    contour(picture, result.mask.astype(np.uint8), colour=_OUTLINE, thickness=thickness)
    if result.inside is not None:
        outline_inspected(picture, result.inside, thickness=thickness)
    return picture


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads the results in a folder; a last line that was cut by a crash is left out.

    Args:
        folder: the folder of a prediction; it need not exist.

    Returns:
        The records by the name of the image, in their order.

    Raises:
        AdframeError: the file cannot be read.
    """
    path = folder / RECORDS
    if not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {path}: {error}") from error
    records = {}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end is not complete
        try:
            record = json.loads(line)
            records[str(record["image"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise AdframeError(f"{path}, line {number} is no result: {error!r}") from error
    return records


def _row(record: dict[str, Any]) -> list[Any]:
    plain = record | {
        "regions": len(record["regions"]) if isinstance(record["regions"], list) else record["regions"],
        "warnings": "; ".join(record["warnings"] or ()) or None,
    }
    return [plain[column] for column in COLUMNS]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
