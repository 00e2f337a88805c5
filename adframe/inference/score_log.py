"""The scores of a stream of images, read from logs and results of predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from adframe.errors import AdframeError, unknown
from adframe.inference.output import ROWS
from adframe.inference.prediction_log import log_files, read_rows
from adframe.inference.results import ANOMALOUS


@dataclass(frozen=True, slots=True)
class ScoreLog:
    """The images of a stream, in order of time where the log states it.

    Attributes:
        images: (n,) names.
        times: (n,) when each image was inspected; None in results without times.
        scores: (n,) float64 raw scores.
        alarms: (n,) bool, whether the image was called anomalous.
        thresholds: the different thresholds, in order of their first use.
        calibrations: the names of the thresholds, in the same way.
        unread: number of images without a score, which are left out.
    """

    images: tuple[str, ...]
    times: tuple[datetime | None, ...]
    scores: np.ndarray
    alarms: np.ndarray
    thresholds: tuple[float, ...]
    calibrations: tuple[str, ...]
    unread: int


def read_score_log(paths: Iterable[Path], *, model: str | None = None) -> ScoreLog:
    """Reads logs and results in the order in which they are given.

    Args:
        paths: log files, `predictions.csv` or `.jsonl`, and folders with them. Of a folder with log files
            these are read, otherwise its `predictions.csv`.
        model: the model whose images are wanted, as the log names it; None for the only one.

    Returns:
        The stream. It is sorted by time if every row has one.

    Raises:
        AdframeError: a file cannot be read or is no log, there is no score, or the log has images of several
            models and `model` is None.
    """
    files = [file for path in paths for file in _files(path)]
    rows = [row | {"_file": file} for file in files for row in read_rows(file)]
    models = sorted({str(row["model"]) for row in rows if row.get("model") is not None})
    if model is None and len(models) > 1:
        raise AdframeError(f"the log has images of {', '.join(models)}; choose one of these with --model")
    if model is not None:
        rows = [row for row in rows if row.get("model") == model]
        if not rows:
            raise AdframeError(unknown("model", model, models, where="in the log"))
    known, unread = [], 0
    for row in rows:
        score = _number(row, "score")
        if math.isnan(score):
            unread += 1
        else:
            known.append((row, score, _time(row)))
    if not known:
        raise AdframeError(f"{files[0]} has no score" if files else "no log was given")
    if all(when is not None for _, _, when in known):
        known.sort(key=lambda entry: entry[2])  # type: ignore[arg-type,return-value]
    return ScoreLog(
        images=tuple(str(row.get("image") or row.get("path") or "") for row, _, _ in known),
        times=tuple(when for _, _, when in known),
        scores=np.array([score for _, score, _ in known]),
        alarms=np.array([row.get("decision") in (ANOMALOUS, True) for row, _, _ in known]),
        thresholds=_different(_number(row, "threshold") for row, _, _ in known),
        calibrations=tuple(dict.fromkeys(str(row.get("calibration") or "trained") for row, _, _ in known)),
        unread=unread,
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = log_files(path) or [path / ROWS]
        if not found[-1].is_file():
            raise AdframeError(f"{path} has neither log files (predictions-*.csv) nor {ROWS}")
        return found
    if not path.is_file():
        raise AdframeError(f"{path} does not exist; give a log, or the folder of a log or of results")
    return [path]


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    try:
        found = math.nan if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise AdframeError(f"{row['_file']}: {name} {value!r} is no number") from error
    return found if math.isfinite(found) else math.nan


def _time(row: Mapping[str, Any]) -> datetime | None:
    value = row.get("time")
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise AdframeError(f"{row['_file']}: {value!r} is no time such as 2026-01-31T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _different(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(value for value in dict.fromkeys(values) if not math.isnan(value))
