"""The folder of a run: one class writes it, reads it, and resumes it.

metrics.json          numbers by split, category and metric, with intervals and numbers by defect type
config.yaml           the configuration, resolved, without secrets
environment.json      versions, command, costs, warnings
predictions.parquet   one row per test image
resamples/            bootstrap draws of every metric, one file per category
heatmaps/             pictures, and index.json which lists them
checkpoints/          one model per category, or the global one
screening/            scores of training images by the others, with model.robust=
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
from adframe.metrics.measured import intervals_of, intervals_of_means, measured_metrics
from adframe.results.gallery import GalleryEntry, read_gallery
from adframe.results.names import DOMAINS, MEAN, RECALIBRATED, TRANSFER, Metrics
from adframe.results.predictions import Row, read_predictions, write_predictions
from adframe.results.run_files import (
    defects_in,
    intervals_in,
    mapping_of,
    mean_row,
    metrics_of,
    overrides_of,
    pack_draws,
    read_draws,
    read_run_file,
    read_shaped_file,
)
from adframe.stats.bootstrap import RESAMPLING_SEED
from adframe.stats.intervals import Measured

_RESAMPLING_SEEDS = "resampling_seeds"  # a key of metrics.json: category -> seed of its draws
_STARTED = "started"  # a key of every environment.json
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"  # checkpoints of an unfinished training
SECONDS, MODEL, MEMORY = "seconds", "model/bytes", "peak_memory_bytes"  # names of costs
_IMAGE_FACTS = ("path", "label", "subset", "condition", "group")  # bootstrap draws depend on them


class RunFolder:
    """The folder of a run, for reading, writing and resuming.

    All files are written completely after every category, so that a stopped run can be resumed.

    Args:
        path: the folder; `open` creates it.

    Attributes:
        metrics: the content of metrics.json: split -> category -> metric -> value, with intervals and
            defects.
        rows: the rows of predictions.parquet.
        pictures: the entries of heatmaps/index.json.
        config: the content of config.yaml.
        environment: the content of environment.json.

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
        self._intervals: Mapping[str, Mapping[str, tuple[float, float]]] | None = None

    # Reading

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Reads the folder of a finished run; only metrics.json is required, other files may be missing.

        Args:
            path: the folder.

        Returns:
            The run.

        Raises:
            AdframeError: there is no folder or no metrics.json, or a file cannot be read.
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
        file = path / "predictions.parquet"
        rows = read_predictions(file) if file.exists() else []
        run.rows = [row for row in rows if row["split"] not in ("train", "val")]
        run._gallery = read_gallery(path)
        return run

    @property
    def test(self) -> Metrics:
        """The metrics of the test images by category, and of their mean."""
        return metrics_of(self.metrics["test"], file=self.path / "metrics.json")

    @property
    def val(self) -> Metrics:
        """The numbers of each fitted model and its calibration, by category or `global`."""
        return metrics_of(self.metrics["val"], file=self.path / "metrics.json")

    @property
    def intervals(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """The 95 % intervals of the test metrics, by category and metric.

        An earlier version stored percentiles of the draws; they are replaced where the draws are there.
        """
        stored = intervals_in(self.metrics.get("intervals"), file=self.path / "metrics.json")
        if all(self.resampling_seed(name) is not None for name in self.done):
            return stored
        if self._intervals is None:
            measured = {name: self.measured(name) for name in self.done}
            if all(measured.values()):
                again = {name: intervals_of(each) for name, each in measured.items()}
                again[MEAN] = intervals_of_means(list(measured.values()))
                self._intervals = intervals_in({"test": again}, file=self.path / "metrics.json")
            else:
                self._intervals = stored
        return self._intervals

    @property
    def defects(self) -> Mapping[str, Metrics]:
        """The metrics of each type of defect, by category."""
        return defects_in(self.metrics.get("defects"), file=self.path / "metrics.json")

    @property
    def gallery(self) -> list[GalleryEntry]:
        """The pictures, in the order in which a page shows them."""
        if self._gallery is None:
            self._gallery = read_gallery(self.path)
        return self._gallery

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories in the order of metrics.json, then those that only the predictions have."""
        names = [name for name in self.metrics["test"] if name != MEAN]
        return tuple(dict.fromkeys([*names, *(row["category"] for row in self.rows)]))

    @property
    def annotated(self) -> set[str]:
        """The paths of the test images with an annotated defect.

        Files of earlier runs do not tell; there it is every anomalous image where pixels were measured.
        """
        found = {str(row["path"]) for row in self.rows if row["defect_area"] is not None}
        numbers = [pair for own in self.test.values() for pair in own.items()]
        pixels = any(key.startswith("pixel/") and value is not None for key, value in numbers)
        return found or {str(row["path"]) for row in self.rows if pixels and row["label"] == 1}

    @property
    def seed(self) -> int:
        """The seed of the run; `resampling_seed` has that of its bootstrap draws."""
        return int(self.config.get("seed", self.environment.get("seed", 0)))

    @property
    def overrides(self) -> dict[str, str]:
        """The overrides of the command that started the run, by key."""
        command = self.environment.get("command")
        return overrides_of(command) if isinstance(command, list) else {}

    @property
    def costs(self) -> dict[str, float | None]:
        """Wall seconds, mean bytes per model, largest memory of the process in bytes; None where unknown."""
        sizes = [size for facts in self.val.values() if (size := facts.get(MODEL)) is not None]
        return {
            SECONDS: self.environment.get("wall_seconds"),
            MODEL: sum(sizes) / len(sizes) if sizes else None,
            MEMORY: self.environment.get(MEMORY),
        }

    @property
    def recalibrated(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics by category of decisions with a threshold that was fitted again under the domain."""
        found: Mapping[str, Mapping[str, Any]] = self.metrics.get(RECALIBRATED, {}).get("test", {})
        return found

    def labelled_rows(self, category: str) -> list[Row]:
        """Selects the labelled test images of a category.

        Args:
            category: its name.

        Returns:
            Their rows, in the order of their paths.
        """
        known = [row for row in self.rows if row["category"] == category and row["label"] is not None]
        return sorted(known, key=lambda row: str(row["path"]))

    def images(self, category: str) -> tuple[tuple[str, ...], ...]:
        """Describes the tested images of a category, on which the bootstrap draws depend.

        Args:
            category: its name.

        Returns:
            One tuple per image: path, label, subset, condition and group; sorted.
        """
        rows = (row for row in self.rows if row["category"] == category)
        return tuple(sorted(tuple(str(row[fact]) for fact in _IMAGE_FACTS) for row in rows))

    def draws(self, category: str) -> dict[str, np.ndarray]:
        """Reads the bootstrap draws of a category; they are kept in memory.

        Args:
            category: its name, or `mean`.

        Returns:
            Metric -> (resamples,) float32; {} where the run has none.

        Raises:
            AdframeError: the file exists and cannot be read.
        """
        if category not in self._draws:
            file = self.path / "resamples" / f"{category}.npz"
            self._draws[category] = read_draws(file) if file.is_file() else {}
        return self._draws[category]

    def measured(self, category: str) -> dict[str, Measured]:
        """Joins the test metrics of a category with their bootstrap draws.

        Args:
            category: its name.

        Returns:
            Metric -> the metric with its draws; {} where the run has none.
        """
        images = [row for row in self.rows if row["category"] == category]
        return measured_metrics(self.test[category], self.draws(category), images=images)

    def resampling_seed(self, category: str) -> int | None:
        """Returns the seed of the bootstrap draws of a category.

        Args:
            category: its name.

        Returns:
            The seed; None for a run of an earlier version, which resampled with its own seed.
        """
        found = self.metrics.get(_RESAMPLING_SEEDS, {}).get(category)
        return None if found is None else int(found)

    def domains(self) -> dict[str, Path]:
        """Returns the folders of tests under other domains, by the name of the domain."""
        folders = {name: self.path / DOMAINS / name for name in self.config.get(DOMAINS) or {}}
        return {name: folder for name, folder in folders.items() if folder.is_dir()}

    def transfers(self) -> dict[str, Path]:
        """Returns the folders of tests on other categories, by the category on which the model was fitted."""
        folders = {name: self.path / TRANSFER / name for name in self.categories}
        return {name: folder for name, folder in folders.items() if folder.is_dir()}

    # Writing and resuming

    @property
    def done(self) -> list[str]:
        """The finished categories."""
        return [name for name in self.metrics["test"] if name != MEAN]

    def facts_of(self, category: str) -> Mapping[str, float | None]:
        """Returns the facts about the model that is used for a category: its own, or that of all categories.

        Args:
            category: name of the category.

        Returns:
            Its entries of `val` in metrics.json; {} where there are none.
        """
        return self.val.get(category) or self.val.get("global") or {}

    def checkpoint(self, unit: str) -> Path:
        """Returns the file of a model.

        Args:
            unit: a category, or `global`.

        Returns:
            `<run>/checkpoints/<unit>.ckpt`, whether it exists or not.
        """
        return self.path / "checkpoints" / f"{unit}.ckpt"

    def training_folder(self, unit: str) -> Path:
        """Returns the folder with the checkpoints from which an unfinished training resumes.

        Args:
            unit: a category, or `global`.

        Returns:
            `<run>/checkpoints/<unit>.learning`, whether it exists or not.
        """
        return self.path / "checkpoints" / f"{unit}.learning"

    @property
    def has_unfinished_training(self) -> bool:
        """Whether an unfinished training has left a checkpoint to resume from."""
        return any(any(self.path.glob(f"checkpoints/*.learning/{name}")) for name in (LAST, PREVIOUS))

    def open(self, *, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Creates the folder, and writes the configuration and the environment.

        Args:
            config: the configuration, resolved.
            environment: versions, command and other facts.

        Raises:
            AdframeError: the folder is not empty; a later failure would remove what it holds.
        """
        self._clear_unstarted()
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
        """Writes `config.yaml`, either the whole file or nothing, with hidden secrets.

        Args:
            config: the configuration, resolved.
        """
        self.config = hide_secrets(config)
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        write_whole(self.path / "config.yaml", text)

    def _clear_unstarted(self) -> None:
        """Removes the files of a run that was killed before its configuration was written."""
        if self.path.is_dir() and not (self.path / "config.yaml").exists():
            remove_left_over(self.path)
            file = self.path / "environment.json"
            alone = [path.name for path in self.path.iterdir()] == [file.name]
            if alone and f'"{_STARTED}"' in file.read_text(encoding="utf-8", errors="replace"):
                file.unlink()

    def reopen(self) -> None:
        """Reads the files of a stopped or finished run, and removes temporary files of a killed process.

        Raises:
            AdframeError: a file is missing or cannot be read.
        """
        remove_left_over(self.path)
        self.environment = read_shaped_file(self.path / "environment.json", of_mappings=False)
        if (self.path / "metrics.json").is_file():
            self.metrics = read_shaped_file(self.path / "metrics.json", of_mappings=True)
            self.rows = read_predictions(self.path / "predictions.parquet")
        if (index := self.path / "heatmaps" / "index.json").is_file():
            self.pictures = read_run_file(index)
            if not isinstance(self.pictures, list) or not all("category" in each for each in self.pictures):
                raise AdframeError(f"{index} is not a list of pictures; delete it, or start the run again")
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
        """Adds a finished category to all files.

        `metrics.json` is written last, because it lists what is done.

        Args:
            category: its name.
            results: metric -> value.
            rows: the rows of its test images.
            pictures: entries for the gallery's index.
            defects: type of defect -> metric -> value.
            drawn: metric -> (resamples,) bootstrap draws.

        Raises:
            AdframeError: a file cannot be written.
        """
        test = {name: row for name, row in self.metrics["test"].items() if name != MEAN}
        test[category] = results
        stored = self.metrics.get("intervals", {}).get("test", {})
        seeds = self.metrics.get(_RESAMPLING_SEEDS, {})
        # Draws are stored as float32: whoever reads them later must find the same intervals.
        self._draws[category] = {name: values.astype(np.float32) for name, values in drawn.items()}
        write_whole(self.path / "resamples" / f"{category}.npz", pack_draws(self._draws[category]))
        measured = {name: self.measured(name) for name in self.done}
        measured[category] = measured_metrics(results, self._draws[category], images=rows)
        intervals = {name: stored[name] for name in self.done} | {category: intervals_of(measured[category])}
        intervals[MEAN] = intervals_of_means(list(measured.values()))
        metrics = {
            **self.metrics,
            "test": test | {MEAN: mean_row(test)},
            "intervals": {"test": intervals},
            _RESAMPLING_SEEDS: {**seeds, category: RESAMPLING_SEED},
            "defects": {"test": {**self.metrics.get("defects", {}).get("test", {}), category: defects}},
        }
        write_predictions(self.path / "predictions.parquet", self.rows + rows)
        write_json(self.path / "heatmaps" / "index.json", self.pictures + pictures)
        write_json(self.path / "metrics.json", metrics)
        # Assigned after writing, so that a category whose files could not be written is not done.
        self.rows, self.pictures, self.metrics = self.rows + rows, self.pictures + pictures, metrics

    def add_facts(self, facts: Mapping[str, Any]) -> None:
        """Adds facts to `environment.json`.

        Args:
            facts: plain data; existing keys are replaced.
        """
        self.environment |= facts
        write_json(self.path / "environment.json", self.environment)

    def add_warnings(self, category: str, lines: Sequence[str]) -> None:
        """Adds warnings about a category to `environment.json`, from where the report takes them.

        Args:
            category: its name, which is put before each line.
            lines: the warnings; repeated ones are stored once.
        """
        before = self.environment.get("warnings", [])
        added = (f"{category}: {line}" for line in lines)
        self.add_facts({"warnings": list(dict.fromkeys([*before, *added]))})

    def discard(self) -> None:
        """Removes the folders that `open` created, for a run in which nothing was finished."""
        for folder in self._made[:1]:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self._made[1:]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
