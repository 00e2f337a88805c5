"""The folder of a run: one class writes it, reads it, and resumes it.

metrics.json          numbers by split, category and metric, with intervals and numbers by defect type
config.yaml           the configuration, resolved, without secrets
environment.json      versions, command, costs, warnings
predictions.parquet   one row per test image
resamples/            bootstrap draws of every metric, one file per category
heatmaps/             pictures, and index.json which lists them
checkpoints/          one model per category, or the global one
domains/, transfer/   the same files for tests under other domains and on other categories
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from adframe.errors import AdframeError
from adframe.io.files import remove_left_over, write_json, write_whole
from adframe.io.secrets import hide_secrets
from adframe.results.gallery import GalleryEntry, read_gallery
from adframe.results.names import DOMAINS, MEAN, RECALIBRATED, TRANSFER, Metrics
from adframe.results.predictions import Row, read_ledger, write_ledger
from adframe.results.run_files import (
    defects_in,
    intervals_in,
    mapping_of,
    mean_row,
    metrics_of,
    overrides_of,
    packed_draws,
    read_book,
    read_draws,
    shaped_book,
)
from adframe.stats.bootstrap import mean_of, percentile_intervals

STARTED = "started"  # in every environment.json
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"  # of a training that has not ended
SECONDS, MODEL, MEMORY = "seconds", "model/bytes", "peak_memory_bytes"  # names of costs
FACTS = ("path", "label", "subset", "condition", "group")  # of an image, on which bootstrap draws depend


class RunFolder:
    """A run's folder. Its files are written whole after every category, so that a stopped run can be resumed.

    Args:
        path: the folder; `open` creates it.

    Example:
        >>> from pathlib import Path
        >>> RunFolder(Path("runs/one")).checkpoint("screw").name
        'screw.ckpt'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics: dict[str, Any] = {"test": {}, "val": {}}
        self.rows: list[Row] = []
        self.pictures: list[dict[str, Any]] = []
        self.config: Mapping[str, Any] = {}
        self.environment: dict[str, Any] = {}
        self._made: list[Path] = []  # folders that `open` created, innermost first
        self._draws: dict[str, dict[str, np.ndarray]] = {}
        self._gallery: list[GalleryEntry] | None = None

    # Reading

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """The folder of a run that has ended; only metrics.json must be there, all else may be missing.

        Raises:
            AdframeError: there is no folder or no metrics.json, or a file cannot be understood.
        """
        run = cls(path)
        file = path / "metrics.json"
        run.metrics = {"test": {}, "val": {}} | mapping_of(file, required=True)
        for part in (run.metrics["test"], run.metrics["val"]):
            metrics_of(part, file=file)
        intervals_in(run.metrics.get("intervals"), file=file)
        defects_in(run.metrics.get("defects"), file=file)
        run.config = mapping_of(path / "config.yaml", required=False)
        run.environment = mapping_of(path / "environment.json", required=False)
        ledger = path / "predictions.parquet"
        rows = read_ledger(ledger) if ledger.exists() else []
        run.rows = [row for row in rows if row["split"] not in ("train", "val")]
        run._gallery = read_gallery(path)
        return run

    @property
    def test(self) -> Metrics:
        """Metrics of the test images by category, and of their mean."""
        return metrics_of(self.metrics["test"], file=self.path / "metrics.json")

    @property
    def val(self) -> Metrics:
        """Facts of each fitted model and its calibration, by category or `global`."""
        return metrics_of(self.metrics["val"], file=self.path / "metrics.json")

    @property
    def intervals(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """95% intervals of the test metrics, as `test` names them."""
        return intervals_in(self.metrics.get("intervals"), file=self.path / "metrics.json")

    @property
    def defects(self) -> Mapping[str, Metrics]:
        """Metrics of each defect type, by category."""
        return defects_in(self.metrics.get("defects"), file=self.path / "metrics.json")

    @property
    def gallery(self) -> list[GalleryEntry]:
        """The pictures, in the order in which a page shows them."""
        if self._gallery is None:
            self._gallery = read_gallery(self.path)
        return self._gallery

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories in the order of metrics.json, then those that only the predictions have."""
        names = [name for name in self.metrics["test"] if name != MEAN]
        return tuple(dict.fromkeys([*names, *(row["category"] for row in self.rows)]))

    @property
    def seed(self) -> int:
        """The seed of the run, on which its bootstrap draws depend."""
        return int(self.config.get("seed", self.environment.get("seed", 0)))

    @property
    def overrides(self) -> dict[str, str]:
        """The overrides of the command that started the run, by key."""
        command = self.environment.get("command")
        return overrides_of(command) if isinstance(command, list) else {}

    @property
    def costs(self) -> dict[str, float | None]:
        """Wall seconds, bytes of one category's model on average, largest memory of the process in bytes."""
        sizes = [size for facts in self.val.values() if (size := facts.get(MODEL)) is not None]
        return {
            SECONDS: self.environment.get("wall_seconds"),
            MODEL: sum(sizes) / len(sizes) if sizes else None,
            MEMORY: self.environment.get(MEMORY),
        }

    @property
    def recalibrated(self) -> Mapping[str, Mapping[str, Any]]:
        """Decisions with a threshold that was fitted again under the domain: metrics by category."""
        found: Mapping[str, Mapping[str, Any]] = self.metrics.get(RECALIBRATED, {}).get("test", {})
        return found

    def labelled_rows(self, category: str) -> list[Row]:
        """The labelled test images of a category, in the order of their paths."""
        known = [row for row in self.rows if row["category"] == category and row["label"] is not None]
        return sorted(known, key=lambda row: str(row["path"]))

    def images(self, category: str) -> tuple[tuple[str, ...], ...]:
        """What bootstrap draws depend on: which images were tested, and of which kind each is."""
        rows = (row for row in self.rows if row["category"] == category)
        return tuple(sorted(tuple(str(row[fact]) for fact in FACTS) for row in rows))

    def draws(self, category: str) -> dict[str, np.ndarray]:
        """(resamples,) bootstrap draws of a category by metric; empty where the run has none.

        Raises:
            AdframeError: the file is there and cannot be read.
        """
        if category not in self._draws:
            file = self.path / "resamples" / f"{category}.npz"
            self._draws[category] = read_draws(file) if file.is_file() else {}
        return self._draws[category]

    def domains(self) -> dict[str, Path]:
        """The folders of tests under other domains, by the domain's name."""
        folders = {name: self.path / DOMAINS / name for name in self.config.get(DOMAINS) or {}}
        return {name: folder for name, folder in folders.items() if folder.is_dir()}

    def transfers(self) -> dict[str, Path]:
        """The folders of tests on other categories, by the category on which the model was fitted."""
        folders = {name: self.path / TRANSFER / name for name in self.categories}
        return {name: folder for name, folder in folders.items() if folder.is_dir()}

    # Writing and resuming

    @property
    def done(self) -> list[str]:
        """Categories that are finished."""
        return [name for name in self.metrics["test"] if name != MEAN]

    def checkpoint(self, unit: str) -> Path:
        """The file of the model of a category, or of the `global` one."""
        return self.path / "checkpoints" / f"{unit}.ckpt"

    def learning(self, unit: str) -> Path:
        """The folder in which a model that is still in training keeps what it resumes from."""
        return self.path / "checkpoints" / f"{unit}.learning"

    @property
    def half_learned(self) -> bool:
        """Whether a training has begun and left something to resume from."""
        return any(any(self.path.glob(f"checkpoints/*.learning/{name}")) for name in (LAST, PREVIOUS))

    def open(self, *, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Creates the folder; refuses one that holds anything, because a failure would remove it.

        `config.yaml` is written last: a folder with it can be resumed, and without it there is no run yet.
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
        text = yaml.safe_dump(hide_secrets(config), sort_keys=False, allow_unicode=True)
        write_whole(self.path / "config.yaml", text)

    def _clear_unbegun(self) -> None:
        """Removes what a run left that was killed before its configuration was written."""
        if self.path.is_dir() and not (self.path / "config.yaml").exists():
            remove_left_over(self.path)
            file = self.path / "environment.json"
            alone = [path.name for path in self.path.iterdir()] == [file.name]
            if alone and f'"{STARTED}"' in file.read_text(encoding="utf-8", errors="replace"):
                file.unlink()

    def reopen(self) -> None:
        """Reads the files of a stopped or finished run, and clears what a killed process was writing."""
        remove_left_over(self.path)
        self.environment = shaped_book(self.path / "environment.json", of_mappings=False)
        if (self.path / "metrics.json").is_file():
            self.metrics = shaped_book(self.path / "metrics.json", of_mappings=True)
            self.rows = read_ledger(self.path / "predictions.parquet")
        if (index := self.path / "heatmaps" / "index.json").is_file():
            self.pictures = read_book(index)
            if not isinstance(self.pictures, list) or not all("category" in each for each in self.pictures):
                raise AdframeError(f"{index} is no list of pictures; delete it, or start the run again")
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
        """Enters a finished category; `metrics.json` is written last, because it says what is done.

        Args:
            category: its name.
            results: its metrics.
            rows: of its test images, one per image.
            pictures: entries of the gallery's index.
            defects: metrics of each defect type.
            drawn: (resamples,) bootstrap draws by metric.
        """
        test = {name: row for name, row in self.metrics["test"].items() if name != MEAN}
        test[category] = results
        known = self.metrics.get("intervals", {}).get("test", {})
        intervals = {name: known[name] for name in self.done} | {category: percentile_intervals(drawn)}
        earlier = [read_draws(self.path / "resamples" / f"{name}.npz") for name in self.done]
        write_whole(self.path / "resamples" / f"{category}.npz", packed_draws(drawn))
        intervals[MEAN] = percentile_intervals(mean_of([*earlier, drawn]))
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

    def note(self, facts: Mapping[str, Any]) -> None:
        """Adds facts to `environment.json`."""
        self.environment |= facts
        write_json(self.path / "environment.json", self.environment)

    def warn(self, category: str, lines: Sequence[str]) -> None:
        """Adds what a reader must know of a category to `environment.json`, from which the report has it."""
        before = self.environment.get("warnings", [])
        added = (f"{category}: {line}" for line in lines)
        self.note({"warnings": list(dict.fromkeys([*before, *added]))})

    def discard(self) -> None:
        """Removes the folders that `open` created, for a run in which nothing was finished."""
        for folder in self._made[:1]:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self._made[1:]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
