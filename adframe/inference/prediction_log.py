"""Logs of predictions: one row per image in CSV files that are rotated, and become Parquet where asked."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.inference.results import COLUMNS
from adframe.io.csv_text import csv_line
from adframe.io.files import append_text, write_whole

LOG_COLUMNS = ("time", "model", *COLUMNS)
LOG_PATTERN = "predictions-*"  # names of log files; `predictions.csv` of `adframe predict --out` is none
NUMBERS = {"score", "normalised", "probability", "threshold", "milliseconds"}
COUNTS = {"regions", "area"}


class PredictionLog:
    """Adds rows to the newest file of a folder, and begins another one when it is large or a day is over.

    A row is written at once, so that a crash loses none. Several threads may write; another process writes
    files of its own in the same folder. Days are those of UTC.

    Args:
        folder: created if it is missing; earlier files stay.
        model: name of the model, which each row states.
        most_bytes: size in bytes from which on another file is begun.
        parquet: whether finished files are kept as Parquet instead of CSV. The newest one is CSV, because a
            Parquet file cannot be read before it is complete.
        keep: number of finished files that are kept, the newest ones; None keeps all.
        clock: returns the present time with its time zone.

    Raises:
        AdframeError: `most_bytes` or `keep` is below 1.

    Example:
        >>> with PredictionLog(Path("log"), model="screw") as log:
        ...     log.add({"image": "a.png", "decision": "normal", "score": 0.5})
        >>> [path.suffix for path in Path("log").iterdir()]
        ['.csv']
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        most_bytes: int = 16 << 20,
        parquet: bool = False,
        keep: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if most_bytes < 1 or (keep is not None and keep < 1):
            raise AdframeError(f"a log needs most_bytes={most_bytes} and keep={keep} of 1 or more")
        self.folder, self._model, self._clock = folder, model, clock
        self._most_bytes, self._parquet, self._keep = most_bytes, parquet, keep
        self._file: Path | None = None
        self._day, self._size, self._number = "", 0, 0
        self._lock = threading.Lock()

    def add(self, row: Mapping[str, Any]) -> None:
        """Writes one row.

        Args:
            row: `ImageResult.row()`, or some of its columns.

        Raises:
            AdframeError: a file cannot be written.
        """
        with self._lock:
            now = self._clock().astimezone(UTC)
            day = f"{now:%Y%m%d}"
            if self._file is not None and (day != self._day or self._size >= self._most_bytes):
                self._finish()
            if self._file is None:
                self._begin(now)
                self._day = day
            assert self._file is not None
            known = {"time": now.isoformat(timespec="milliseconds"), "model": self._model} | dict(row)
            line = csv_line([known.get(column) for column in LOG_COLUMNS])
            append_text(self._file, line)
            self._size += len(line.encode())

    def close(self) -> None:
        """Finishes the newest file.

        Raises:
            AdframeError: a file cannot be written.
        """
        with self._lock:
            if self._file is not None:
                self._finish()

    def __enter__(self) -> PredictionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, now: datetime) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        header = csv_line(LOG_COLUMNS)
        while self._file is None:
            self._number += 1
            path = self.folder / f"predictions-{now:%Y%m%dT%H%M%S}Z-{self._number:04}.csv"
            # `x` fails where another process has begun a file of this name.
            with contextlib.suppress(FileExistsError):
                path.open("x").close()
                self._file = path
        append_text(self._file, header)
        self._size = len(header)

    def _finish(self) -> None:
        assert self._file is not None
        path, self._file = self._file, None
        if self._parquet:
            from adframe.inference.parquet_log import as_parquet  # services without pyarrow keep CSV

            write_whole(path.with_suffix(".parquet"), as_parquet(path.read_bytes()))
            path.unlink()
        if self._keep is not None:
            for old in log_files(self.folder)[: -self._keep]:
                old.unlink(missing_ok=True)


def log_files(folder: Path) -> list[Path]:
    """Lists the log files in a folder, the oldest first.

    Args:
        folder: the folder; it may be missing.

    Returns:
        CSV and Parquet files.
    """
    found = {path.stem: path for path in sorted(folder.glob(f"{LOG_PATTERN}.csv"))}
    # A crash between writing a Parquet file and removing its CSV file leaves both.
    found |= {path.stem: path for path in sorted(folder.glob(f"{LOG_PATTERN}.parquet"))}
    return [found[stem] for stem in sorted(found)]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads the rows of one file; the last line of a CSV or JSON Lines file may be cut.

    Args:
        path: a CSV or Parquet file of a log, or `predictions.csv` or `predictions.jsonl` of
            `adframe predict`.

    Returns:
        One mapping per row; texts, numbers, or None for an empty cell.

    Raises:
        AdframeError: the file cannot be read, or has no column `score`.
    """
    try:
        if path.suffix == ".parquet":
            from adframe.inference.parquet_log import read_parquet

            rows = read_parquet(path)
        else:
            # What follows the last line end was cut by a crash, or is being written now.
            text = path.read_bytes().decode("utf-8", "replace")
            text = text[: text.rfind("\n") + 1]
            rows = _parsed(path, text)
    except (OSError, ValueError, csv.Error) as error:
        raise AdframeError(f"cannot read {path}: {error}") from error
    if rows and "score" not in rows[0]:
        raise AdframeError(f"{path} is no log of predictions: it has no column score")
    return rows


def _parsed(path: Path, text: str) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [dict(json.loads(line)) for line in text.split("\n") if line]
    reader = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: value if value != "" else None for name, value in row.items()} for row in reader]
