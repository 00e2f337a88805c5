"""The folder of a sweep: its runs with what was overridden in each, its failures, and how they rank.

sweep.json            the jobs, and the command that began the sweep
0/, 1/, ...           one run folder per job
failed/               one note per job that failed
search.json           what a search optimised, if there was one
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
from adframe.results.names import MEAN
from adframe.results.run_files import mapping_of, overrides_of
from adframe.results.run_folder import RunFolder

BOOK, FAILED, SEARCH = "sweep.json", "failed", "search.json"
PREFIX = "val/"  # of an objective
METRICS = (  # of a leaderboard, in its order; the first one ranks the runs
    "image/auroc", "logical/image/auroc", "structural/image/auroc", "image/ap", "image/f1_max",
    "pixel/auspro_0.05", "pixel/auroc", "pixel/aupro_0.3"
)  # fmt: skip
Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: its number, which is also the name of its folder.
        overrides: by key, as they were typed.
        folder: what it left; None for a run that failed before it tested anything.
        objective: the value that a search optimised; None where nothing was searched.
        error: why it failed, on one line; None for a finished run.
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
        """The leaderboard's metrics in the mean over categories."""
        means = self.folder.test.get(MEAN, {}) if self.folder is not None and self.error is None else {}
        return {name: means[name] for name in METRICS if name in means}

    @property
    def intervals(self) -> dict[str, Ends]:
        """Their 95% intervals, as far as they are known."""
        ends = self.folder.intervals.get(MEAN, {}) if self.folder is not None and self.error is None else {}
        return {name: ends[name] for name in METRICS if name in ends}


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """All runs of a sweep, the best first and those that failed last.

    Attributes:
        path: the folder.
        runs: the runs.
        command: the command that repeats the sweep.
        objective: the validation metric by which a search ordered them; None: image AUROC of test images.
        minimise: whether a lower objective is better.
    """

    path: Path
    runs: tuple[SweepRun, ...]
    command: str
    objective: str | None = None
    minimise: bool = False

    @property
    def finished(self) -> list[SweepRun]:
        """The runs that did not fail, in the order in which they were asked for."""
        done = [run for run in self.runs if run.error is None and run.folder is not None]
        return sorted(done, key=lambda run: (len(run.name), run.name))  # 2 before 10

    @property
    def failed(self) -> list[SweepRun]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    @property
    def varied(self) -> list[str]:
        """Keys in which the runs differ."""
        keys = dict.fromkeys(key for run in self.runs for key in run.overrides)
        return [key for key in keys if len({run.overrides.get(key) for run in self.runs}) > 1]

    @property
    def measured(self) -> list[str]:
        """The leaderboard's metrics that any run has."""
        return [key for key in METRICS if any(key in run.metrics for run in self.runs)]

    @property
    def ordering(self) -> str:
        """The metric by which the runs are ordered."""
        return self.objective or METRICS[0]

    @property
    def seconds(self) -> float:
        """Wall seconds of all runs together."""
        return sum(run.costs.get("seconds") or 0 for run in self.runs)

    def value(self, run: SweepRun, key: str) -> float | None:
        """A metric or the objective of a run; None where it is unknown."""
        return run.objective if key == self.objective else run.metrics.get(key)

    def ranked(self) -> SweepFolder:
        """The same with the best run first and those that failed last."""

        def key(run: SweepRun) -> tuple[bool, float]:
            value = self.value(run, self.ordering)
            if value is None or not math.isfinite(value):
                return run.error is not None, math.inf
            return run.error is not None, value if self.objective and self.minimise else -value

        return replace(self, runs=tuple(sorted(self.runs, key=key)))

    def best(self) -> dict[str, set[str]]:
        """The names of the best runs by each metric; without metrics in which no two runs differ."""
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
    """What the runs of a sweep have left, ranked.

    Args:
        path: the folder of a sweep, in which no run is in progress.

    Raises:
        AdframeError: a file of a run or of the sweep cannot be read.
    """
    failed = failed_jobs(path)
    lost = {str(note["job"]) for note in failed}
    names = [file.parent.name for file in path.glob("*/metrics.json")]
    names = [name for name in names if is_finished(path / name) and name not in lost]
    search = mapping_of(path / SEARCH, required=False)
    objective = search.get("metric")
    runs = []
    for name in sorted(names, key=lambda name: (len(name), name)):  # 2 before 10
        folder = RunFolder.read(path / name)
        value = validation_means(folder).get(objective.removeprefix(PREFIX)) if objective else None
        runs.append(SweepRun(name, folder.overrides, folder, value))
    for note in failed:
        begun = path / str(note["job"])
        partly = RunFolder(begun) if (begun / "metrics.json").is_file() else None
        runs.append(SweepRun(begun.name, overrides_of(note["overrides"]), partly, error=note["error"]))
    minimise = search.get("direction") == "minimize"
    command = shlex.join(
        ["python", "sweep.py", *mapping_of(path / BOOK, required=False).get("arguments", [])]
    )
    return SweepFolder(path, tuple(runs), command, objective, minimise).ranked()


def is_finished(run: Path) -> bool:
    """Whether a run has all that it leaves; its page is written last."""
    return (run / "metrics.json").is_file() and (run / "report.html").is_file()


def validation_means(run: RunFolder) -> dict[str, float]:
    """The numbers of a run on validation images, in the mean over its models, as far as all have them."""
    models = list(run.val.values())
    names = [name for name in (models[0] if models else ()) if all(m.get(name) is not None for m in models)]
    return {name: sum(model[name] or 0.0 for model in models) / len(models) for name in names}


def failed_jobs(sweep: Path) -> list[dict[str, Any]]:
    """The jobs of a sweep that failed: `job` (its number), `overrides` and `error` (one line).

    Raises:
        AdframeError: a note cannot be read.
    """
    notes = []
    for file in (sweep / FAILED).glob("*.json"):
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            job, told, _ = int(found["job"]), list(found["overrides"]), str(found["error"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise AdframeError(
                f"cannot read {file}: {error!r}; delete it, and its job is run again"
            ) from error
        notes.append(found | {"job": job, "overrides": told})
    return sorted(notes, key=lambda note: int(note["job"]))


def note_failure(sweep: Path, *, number: int, overrides: Sequence[str], error: str) -> None:
    """Notes a job that failed; `error` is one line."""
    entry = {"job": number, "overrides": list(overrides), "error": error}
    write_json(sweep / FAILED / f"{number}.json", entry)


def forget_failures(sweep: Path, numbers: Iterable[int]) -> None:
    """Removes the notes of jobs that are run again."""
    for number in numbers:
        (sweep / FAILED / f"{number}.json").unlink(missing_ok=True)
