"""Reads image scores that another tool wrote: a CSV file with the columns path and score."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from adframe.errors import AdframeError


def read_image_scores(file: Path, *, images: Sequence[Path], root: Path) -> dict[Path, float]:
    """Reads the score of each image.

    Args:
        file: a CSV file with a header; other columns and rows of other images are ignored.
        images: the images that need a score.
        root: the folder below which relative paths in the file lie.

    Returns:
        Path of the image, as in `images` -> its score.

    Raises:
        AdframeError: the file lacks a column, a score is not a finite number, or an image has two scores or
            none.
    """
    requested = {path.resolve(): path for path in images}
    scores: dict[Path, float] = {}
    for number, (name, text) in enumerate(_read_rows(file), start=2):  # line 1 is the header
        if "\0" in name:
            raise AdframeError(f"{file} line {number} has a NUL character in its path; write the file again")
        path = requested.get((root / name).resolve())
        if path is None:
            continue
        if path in scores:
            raise AdframeError(f"{file} line {number} has a second score of {path}; remove one of them")
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise AdframeError(
                f"{file} line {number}: {text!r} is not a finite number; give each image a score"
            )
        scores[path] = score
    if missing := [path for path in images if path not in scores]:
        raise AdframeError(
            f"{file} has no score of {missing[0]} ({len(missing)} of {len(images)} images lack one); "
            f"paths are absolute or below {root}"
        )
    return scores


def _read_rows(file: Path) -> list[tuple[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:  # Excel writes a byte order mark
            reader = csv.DictReader(stream)
            if not {"path", "score"} <= set(reader.fieldnames or ()):
                raise AdframeError(
                    f"{file} needs the columns path and score; it has {list(reader.fieldnames or ())}"
                )
            return [(row["path"] or "", row["score"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AdframeError(f"scores={file} cannot be read: {' '.join(str(error).split())}") from error
