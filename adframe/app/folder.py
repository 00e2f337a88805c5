"""The run folder: what is in it already, what a finished category adds, how a stopped run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from adframe.contracts import AdframeError
from adframe.reports.files import write_json, write_whole
from adframe.reports.ledger import read_ledger, write_ledger

MEAN = "mean"


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

    @property
    def done(self) -> list[str]:
        """Categories that are finished."""
        return [name for name in self.metrics["test"] if name != MEAN]

    def checkpoint(self, unit: str) -> Path:
        """Where the model of a category, or the `global` one, lies."""
        return self.path / "checkpoints" / f"{unit}.ckpt"

    def open(self, *, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Starts the books; refuses a folder that holds another run."""
        if (self.path / "config.yaml").exists():
            raise AdframeError(
                f"{self.path} already holds a run; go on with resume={self.path} or choose paths.run="
            )
        self.environment = environment
        write_whole(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_json(self.path / "environment.json", environment)

    def reopen(self) -> None:
        """Reads the books of a stopped or finished run."""
        self.environment = json.loads((self.path / "environment.json").read_text())
        if (self.path / "metrics.json").is_file():
            self.metrics = json.loads((self.path / "metrics.json").read_text())
            self.rows = read_ledger(self.path / "predictions.parquet")
        if (index := self.path / "heatmaps" / "index.json").is_file():
            self.pictures = json.loads(index.read_text())
        self.rows = [row for row in self.rows if row["category"] in self.done]
        self.pictures = [entry for entry in self.pictures if entry["category"] in self.done]

    def add(
        self,
        category: str,
        *,
        results: dict[str, float],
        rows: list[dict[str, Any]],
        pictures: list[dict[str, Any]],
    ) -> None:
        """Enters a finished category; `metrics.json` comes last, because it says what is done."""
        self.rows += rows
        self.pictures += pictures
        self.metrics["test"].pop(MEAN, None)
        self.metrics["test"][category] = results
        self.metrics["test"][MEAN] = mean_row(self.metrics["test"])
        write_ledger(self.path / "predictions.parquet", self.rows)
        write_json(self.path / "heatmaps" / "index.json", self.pictures)
        write_json(self.path / "metrics.json", self.metrics)

    def note(self, facts: dict[str, Any]) -> None:
        """Adds facts to `environment.json`."""
        self.environment |= facts
        write_json(self.path / "environment.json", self.environment)

    def discard(self) -> None:
        """Removes a run in which nothing was finished, and the folders made for it."""
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in list(self.path.parents)[:3]:
            if parent.is_dir() and not any(parent.iterdir()) and parent != Path():
                parent.rmdir()


def read_config(path: Path) -> dict[str, Any]:
    """A run's configuration, or an error where the folder holds no run."""
    file = path / "config.yaml"
    if not file.is_file():
        raise AdframeError(f"{path} is no run's folder: it has no config.yaml")
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    return config


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
