"""Image scores that another tool wrote: a CSV with columns path and score."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from adframe.errors import AdframeError


def read_scores(file: Path, *, images: Sequence[Path], root: Path) -> dict[Path, float]:
    """The score of each image.

    Args:
        file: CSV with a header; other columns are left alone, and so are rows of other images.
        images: whose scores are wanted.
        root: what relative paths in the file are below.

    Raises:
        AdframeError: no such columns, a score that is no finite number, two scores of one image, or none.
    """
    wanted = {path.resolve(): path for path in images}
    scores: dict[Path, float] = {}
    for number, (name, text) in enumerate(_rows(file), start=2):
        if "\0" in name:
            raise AdframeError(f"{file} line {number} has a NUL character in its path; write the file again")
        path = wanted.get((root / name).resolve())
        if path is None:
            continue
        if path in scores:
            raise AdframeError(f"{file} line {number} has a second score of {path}")
        scores[path] = _finite(text, where=f"{file} line {number}")
    if missing := [path for path in images if path not in scores]:
        raise AdframeError(
            f"{file} has no score of {missing[0]} ({len(missing)} of {len(images)} images lack one); "
            f"paths are absolute or below {root}"
        )
    return scores


def _rows(file: Path) -> list[tuple[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not {"path", "score"} <= set(reader.fieldnames or ()):
                raise AdframeError(
                    f"{file} needs the columns path and score; it has {list(reader.fieldnames or ())}"
                )
            return [(row["path"] or "", row["score"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AdframeError(f"scores={file} cannot be read: {' '.join(str(error).split())}") from error


def _finite(text: str, *, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AdframeError(f"{where}: {text!r} is no finite number; give each image a score")
    return value
