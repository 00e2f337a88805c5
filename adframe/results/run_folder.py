"""The run folder: what is in it already, what a finished category adds, how a stopped run goes on."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from adframe.errors import AdframeError
from adframe.io.files import clear_left_over, write_json, write_whole
from adframe.io.secrets import hidden
from adframe.results.names import MEAN
from adframe.results.predictions import read_ledger, write_ledger
from adframe.stats.bootstrap import intervals_of, mean_of

STARTED = "started"  # in every environment.json
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"  # of a training that has not ended


class RunFolder:
    """Books of a run, written whole after every category, so that a stopped run can go on.

    Args:
        path: the folder; made by `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics: dict[str, dict[str, Any]] = {"test": {}, "val": {}}
        self.rows: list[dict[str, Any]] = []
        self.pictures: list[dict[str, Any]] = []
        self.environment: dict[str, Any] = {}
        self._made: list[Path] = []  # what `open` made, innermost first

    @property
    def done(self) -> list[str]:
        """Categories that are finished."""
        return [name for name in self.metrics["test"] if name != MEAN]

    def checkpoint(self, unit: str) -> Path:
        """Where the model of a category, or the `global` one, lies."""
        return self.path / "checkpoints" / f"{unit}.ckpt"

    def learning(self, unit: str) -> Path:
        """Where a model that is still learning leaves what a stopped run goes on from."""
        return self.path / "checkpoints" / f"{unit}.learning"

    @property
    def half_learned(self) -> bool:
        """Whether a model has begun to learn and left something to go on from."""
        return any(any(self.path.glob(f"checkpoints/*.learning/{name}")) for name in (LAST, PREVIOUS))

    def open(self, *, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Starts the books; refuses a folder that holds anything, because a failure would remove it.

        `config.yaml` comes last: with it the folder can be resumed, and without it there is no run yet.
        """
        self._clear_unbegun()
        if (self.path / "config.yaml").exists():
            raise AdframeError(
                f"{self.path} already holds a run; go on with resume={self.path} or choose paths.run="
            )
        if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            raise AdframeError(f"{self.path} is not an empty folder; choose another with paths.run=")
        self._made = [self.path, *(parent for parent in self.path.parents if not parent.exists())]
        self.environment = environment
        write_json(self.path / "environment.json", environment)
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes `config.yaml`, whole or not at all, without the secrets that were typed."""
        text = yaml.safe_dump(hidden(config), sort_keys=False, allow_unicode=True)
        write_whole(self.path / "config.yaml", text)

    def _clear_unbegun(self) -> None:
        """Removes what a run left that was killed before its configuration was written."""
        if self.path.is_dir() and not (self.path / "config.yaml").exists():
            clear_left_over(self.path)
            file = self.path / "environment.json"
            alone = [path.name for path in self.path.iterdir()] == [file.name]
            if alone and f'"{STARTED}"' in file.read_text(encoding="utf-8", errors="replace"):
                file.unlink()

    def reopen(self) -> None:
        """Reads the books of a stopped or finished run, and clears what a killed process was writing."""
        clear_left_over(self.path)
        self.environment = _shaped(self.path / "environment.json", of_mappings=False)
        if (self.path / "metrics.json").is_file():
            self.metrics = _shaped(self.path / "metrics.json", of_mappings=True)
            self.rows = read_ledger(self.path / "predictions.parquet")
        if (index := self.path / "heatmaps" / "index.json").is_file():
            self.pictures = read_book(index)
            if not isinstance(self.pictures, list) or not all("category" in each for each in self.pictures):
                raise AdframeError(f"{index} is no list of pictures; delete it, or start the run anew")
        self.rows = [row for row in self.rows if row["category"] in self.done]
        self.pictures = [entry for entry in self.pictures if entry["category"] in self.done]

    def add(
        self,
        category: str,
        *,
        results: dict[str, float],
        rows: list[dict[str, Any]],
        pictures: list[dict[str, Any]],
        defects: Mapping[str, Mapping[str, float]],
        drawn: Mapping[str, np.ndarray],
    ) -> None:
        """Enters a finished category; `metrics.json` comes last, because it says what is done.

        Args:
            category: its name.
            results: its metrics.
            rows: of the ledger.
            pictures: of the gallery's index.
            defects: metrics of each defect type.
            drawn: (resamples,) values by metric, from the bootstrap.
        """
        test = {name: row for name, row in self.metrics["test"].items() if name != MEAN}
        test[category] = results
        known = self.metrics.get("intervals", {}).get("test", {})
        intervals = {name: known[name] for name in self.done} | {category: intervals_of(drawn)}
        earlier = [self._drawn(name) for name in self.done]
        write_whole(self.path / "resamples" / f"{category}.npz", _packed(drawn))
        intervals[MEAN] = intervals_of(mean_of([*earlier, drawn]))
        metrics = {
            **self.metrics,
            "test": test | {MEAN: mean_row(test)},
            "intervals": {"test": intervals},
            "defects": {"test": {**self.metrics.get("defects", {}).get("test", {}), category: defects}},
        }
        write_ledger(self.path / "predictions.parquet", self.rows + rows)
        write_json(self.path / "heatmaps" / "index.json", self.pictures + pictures)
        write_json(self.path / "metrics.json", metrics)
        # Only now: what could not be written is not done.
        self.rows, self.pictures, self.metrics = self.rows + rows, self.pictures + pictures, metrics

    def _drawn(self, category: str) -> dict[str, np.ndarray]:
        file = self.path / "resamples" / f"{category}.npz"
        try:
            with np.load(file) as stored:
                return dict(stored)
        except (OSError, ValueError) as error:
            raise AdframeError(f"cannot read {file}: {error}; the run is damaged, start it anew") from error

    def note(self, facts: dict[str, Any]) -> None:
        """Adds facts to `environment.json`."""
        self.environment |= facts
        write_json(self.path / "environment.json", self.environment)

    def warn(self, category: str, lines: list[str]) -> None:
        """What a reader should know of a category goes into `environment.json`, and so into the report."""
        before = self.environment.get("warnings", [])
        added = (f"{category}: {line}" for line in lines)
        self.note({"warnings": list(dict.fromkeys([*before, *added]))})

    def discard(self) -> None:
        """Removes what `open` made, for a run in which nothing was finished; else does nothing."""
        for folder in self._made[:1]:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self._made[1:]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{k: v.astype(np.float32) for k, v in arrays.items()})
    return buffer.getvalue()


def _shaped(file: Path, *, of_mappings: bool) -> dict[str, Any]:
    """A book that maps names to values, or for `metrics.json` splits to categories to numbers."""
    book = read_book(file)
    fits = isinstance(book, dict)
    if fits and of_mappings:
        parts = [book.get("test"), book.get("val")]
        fits = all(isinstance(p, dict) and all(isinstance(row, dict) for row in p.values()) for p in parts)
    if not fits:
        raise AdframeError(f"{file} has not the shape of a run's; the run is damaged, start it anew")
    return book  # type: ignore[no-any-return]


def read_book(file: Path) -> Any:
    """A yaml or JSON file of a run, or an error that says it is damaged."""
    try:
        text = file.read_text(encoding="utf-8")
        return yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AdframeError(f"cannot read {file}: {reason}; the run is damaged, start it anew") from error


def mean_row(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Mean over categories of each metric that every category has; NaN stays NaN."""
    values = list(rows.values())
    names = [name for name in values[0] if all(name in row for row in values)]
    return {
        name: float("nan")
        if any(row[name] is None for row in values)
        else sum(row[name] for row in values) / len(values)
        for name in names
    }
