"""The folder of a sweep: its runs with what was overridden in each, its failures, and how they rank.

sweep.json            the jobs, and the command that began the sweep
0/, 1/, ...           one run folder per job
failed/               one file per job that failed
search.json           the objective of a search, if there was one
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.io.program import command_of
from adframe.results.names import MEAN
from adframe.results.run_files import mapping_of, overrides_of
from adframe.results.run_folder import RunFolder

SWEEP_FILE, FAILED_FOLDER, SEARCH_FILE = "sweep.json", "failed", "search.json"
OBJECTIVE_PREFIX = "val/"  # of the name of an objective
LEADERBOARD_METRICS = (  # in the order of the columns; the first one ranks the runs
    "image/auroc", "logical/image/auroc", "structural/image/auroc", "image/ap", "image/f1_max",
    "pixel/auspro_0.05", "pixel/auroc", "pixel/aupro_0.3"
)  # fmt: skip
Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: its number, which is also the name of its folder.
        overrides: key -> value as it was typed.
        folder: the folder of the run; None for a run that failed before it tested anything.
        objective: the value that a search optimised; None without a search.
        error: why it failed, on one line; None for a finished run.

    Example:
        >>> SweepRun("0", {"coreset": "0.1"}, error="out of memory").metrics
        {}
    """

    name: str
    overrides: dict[str, str]
    folder: RunFolder | None = None
    objective: float | None = None
    error: str | None = None

    @property
    def costs(self) -> dict[str, float | None]:
        """Seconds, bytes of the model, bytes of the process; empty for a run that failed."""
        return self.folder.costs if self.folder is not None and self.error is None else {}

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of the leaderboard, averaged over categories."""
        means = self.folder.test.get(MEAN, {}) if self.folder is not None and self.error is None else {}
        return {name: means[name] for name in LEADERBOARD_METRICS if name in means}

    @property
    def intervals(self) -> dict[str, Ends]:
        """The known 95 % intervals of those metrics."""
        ends = self.folder.intervals.get(MEAN, {}) if self.folder is not None and self.error is None else {}
        return {name: ends[name] for name in LEADERBOARD_METRICS if name in ends}


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """All runs of a sweep, the best first and the failed ones last.

    Attributes:
        path: the folder.
        runs: the runs.
        command: the command that repeats the sweep.
        objective: the validation metric by which a search ordered them; None for the image AUROC of test
            images.
        minimise: whether a lower objective is better.

    Example:
        >>> runs = (SweepRun("0", {"k": "1", "seed": "0"}), SweepRun("1", {"k": "5", "seed": "0"}))
        >>> SweepFolder(Path("sweep"), runs, command="").varied
        ['k']
    """

    path: Path
    runs: tuple[SweepRun, ...]
    command: str
    objective: str | None = None
    minimise: bool = False

    @property
    def finished(self) -> list[SweepRun]:
        """The runs that did not fail, by number."""
        done = [run for run in self.runs if run.error is None and run.folder is not None]
        return sorted(done, key=lambda run: (len(run.name), run.name))  # 2 before 10

    @property
    def failed(self) -> list[SweepRun]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    @property
    def varied(self) -> list[str]:
        """The keys in which the runs differ."""
        keys = dict.fromkeys(key for run in self.runs for key in run.overrides)
        return [key for key in keys if len({run.overrides.get(key) for run in self.runs}) > 1]

    @property
    def measured(self) -> list[str]:
        """The metrics of the leaderboard that at least one run has."""
        return [key for key in LEADERBOARD_METRICS if any(key in run.metrics for run in self.runs)]

    @property
    def ordering(self) -> str:
        """The metric by which the runs are ordered."""
        return self.objective or LEADERBOARD_METRICS[0]

    @property
    def seconds(self) -> float:
        """The wall time of all runs together, in seconds."""
        return sum(run.costs.get("seconds") or 0 for run in self.runs)

    def value(self, run: SweepRun, key: str) -> float | None:
        """Returns a number of a run.

        Args:
            run: one of the runs.
            key: the name of a metric, or the objective.

        Returns:
            The value; None where it is unknown.
        """
        return run.objective if key == self.objective else run.metrics.get(key)

    def ranked(self) -> SweepFolder:
        """Returns the same sweep with the best run first and the failed runs last."""

        def key(run: SweepRun) -> tuple[bool, float]:
            value = self.value(run, self.ordering)
            if value is None or not math.isfinite(value):
                return run.error is not None, math.inf
            return run.error is not None, value if self.objective and self.minimise else -value

        return replace(self, runs=tuple(sorted(self.runs, key=key)))

    def best(self) -> dict[str, set[str]]:
        """Returns the names of the best runs by metric, without metrics in which all runs are equal."""
        found: dict[str, set[str]] = {}
        for key in [*([self.objective] if self.objective else []), *self.measured]:
            values = {run.name: self.value(run, key) for run in self.runs}
            known = {
                name: value for name, value in values.items() if value is not None and math.isfinite(value)
            }
            if len(set(known.values())) > 1:
                most = (min if key == self.objective and self.minimise else max)(known.values())
                found[key] = {name for name, value in known.items() if value == most}
        return found


def read_sweep(path: Path) -> SweepFolder:
    """Reads the runs of a sweep and ranks them.

    Args:
        path: the folder of a sweep, in which no run is in progress.

    Returns:
        The sweep.

    Raises:
        AdframeError: a file of a run or of the sweep cannot be read.
    """
    failed = failed_jobs(path)
    failed_names = {str(entry["job"]) for entry in failed}
    names = [file.parent.name for file in path.glob("*/metrics.json")]
    names = [name for name in names if is_finished(path / name) and name not in failed_names]
    search = mapping_of(path / SEARCH_FILE, required=False)
    objective = search.get("metric")
    runs = []
    for name in sorted(names, key=lambda name: (len(name), name)):  # 2 before 10
        folder = RunFolder.read(path / name)
        value = validation_means(folder).get(objective.removeprefix(OBJECTIVE_PREFIX)) if objective else None
        runs.append(SweepRun(name, folder.overrides, folder, value))
    for entry in failed:
        started = path / str(entry["job"])
        partial = RunFolder(started) if (started / "metrics.json").is_file() else None
        runs.append(SweepRun(started.name, overrides_of(entry["overrides"]), partial, error=entry["error"]))
    minimise = search.get("direction") == "minimize"
    command = shlex.join(
        [*command_of("sweep").split(), *mapping_of(path / SWEEP_FILE, required=False).get("arguments", [])]
    )
    return SweepFolder(path, tuple(runs), command, objective, minimise).ranked()


def is_finished(run: Path) -> bool:
    """Returns whether a run has all its files.

    Args:
        run: the run's folder.

    Returns:
        Whether it has metrics and a page; the page is written last.
    """
    return (run / "metrics.json").is_file() and (run / "report.html").is_file()


def validation_means(run: RunFolder) -> dict[str, float]:
    """Averages the validation numbers of a run over its models.

    Args:
        run: the run.

    Returns:
        Name -> mean, for the numbers that every model has.
    """
    models = list(run.val.values())
    names = [name for name in (models[0] if models else ()) if all(m.get(name) is not None for m in models)]
    return {name: sum(model[name] or 0.0 for model in models) / len(models) for name in names}


def failed_jobs(sweep: Path) -> list[dict[str, Any]]:
    """Reads the jobs of a sweep that failed.

    Args:
        sweep: the folder of the sweep.

    Returns:
        One dict per job, by number: `job` (its number), `overrides` and `error` (one line).

    Raises:
        AdframeError: a file cannot be read.
    """
    entries = []
    for file in (sweep / FAILED_FOLDER).glob("*.json"):
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            job, overrides, _ = int(found["job"]), list(found["overrides"]), str(found["error"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise AdframeError(
                f"cannot read {file}: {error!r}; delete it, and its job is run again"
            ) from error
        entries.append(found | {"job": job, "overrides": overrides})
    return sorted(entries, key=lambda entry: int(entry["job"]))


def record_failure(sweep: Path, *, number: int, overrides: Sequence[str], error: str) -> None:
    """Writes a file about a job that failed.

    Args:
        sweep: the folder of the sweep.
        number: of the job.
        overrides: `key=value` texts of the job.
        error: the reason, on one line.
    """
    entry = {"job": number, "overrides": list(overrides), "error": error}
    write_json(sweep / FAILED_FOLDER / f"{number}.json", entry)


def forget_failures(sweep: Path, numbers: Iterable[int]) -> None:
    """Removes the files about failed jobs that are run again.

    Args:
        sweep: the folder of the sweep.
        numbers: of the jobs.
    """
    for number in numbers:
        (sweep / FAILED_FOLDER / f"{number}.json").unlink(missing_ok=True)
