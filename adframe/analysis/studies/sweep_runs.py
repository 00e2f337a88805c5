"""What a sweep's finished runs left, read once: what every study starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from adframe.errors import AdframeError
from adframe.reporting import run_facts
from adframe.results.predictions import Row
from adframe.results.run_reader import Run, read_run
from adframe.results.sweep_folder import SECONDS, Entry, Sweep


class SweepStudy(Protocol):
    """What `study=` names: makes a page of a sweep that has ended."""

    def write(self, sweep: Sweep) -> Path | None:
        """The page, or None where there is nothing to make one of.

        Raises:
            AdframeError: something is missing or cannot be written.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """A finished run.

    Attributes:
        entry: its line of the leaderboard.
        run: its folder, read back.
        seed: of its configuration; the same seed and images have the same bootstrap draws.
        drawn: category -> metric -> (resamples,) values, as `app.intervals.drawn_metrics` left them.
    """

    entry: Entry
    run: Run
    seed: int
    drawn: Mapping[str, Mapping[str, np.ndarray]]
    _images: Mapping[str, tuple[tuple[str, ...], ...]] = field(init=False, repr=False, compare=False)

    def rows(self, category: str) -> list[Row]:
        """Labelled test images of a category, in the order of their paths."""
        known = [row for row in self.run.rows if row["category"] == category and row["label"] is not None]
        return sorted(known, key=lambda row: str(row["path"]))

    def images(self, category: str) -> tuple[tuple[str, ...], ...]:
        """What was tested, as far as the bootstrap's draws hang on it: which images, and of which kind."""
        return self._images.get(category, ())

    def __post_init__(self) -> None:
        facts = ("path", "label", "subset", "condition", "group")
        found: dict[str, list[tuple[str, ...]]] = {}
        for row in self.run.rows:
            found.setdefault(row["category"], []).append(tuple(str(row[fact]) for fact in facts))
        object.__setattr__(self, "_images", {name: tuple(sorted(each)) for name, each in found.items()})


def finished(sweep: Sweep) -> list[Entry]:
    """The runs that did not fail, in the order in which they were asked for."""
    done = [entry for entry in sweep.entries if entry.error is None and entry.folder]
    return sorted(done, key=lambda entry: (len(entry.run), entry.run))  # 2 before 10


def failures(sweep: Sweep) -> list[str]:
    """A note for each run that failed."""
    return [
        f"Run {e.run} failed and is missing here: {e.error}" for e in sweep.entries if e.error is not None
    ]


def time_spent(sweep: Sweep) -> str:
    """Of all runs, in words."""
    return run_facts.duration(sum(entry.costs.get(SECONDS) or 0 for entry in sweep.entries))


def read_sweep_runs(sweep: Sweep) -> list[Reading]:
    """The finished runs, in the order in which they were asked for.

    Raises:
        AdframeError: a file of a run cannot be read.
    """
    return [read_reading(entry) for entry in finished(sweep)]


def read_reading(entry: Entry) -> Reading:
    """One finished run.

    Raises:
        AdframeError: a file cannot be read.
    """
    run = read_run(Path(str(entry.folder)))
    seed = run.config.get("seed", run.environment.get("seed", 0))
    drawn = {name: _drawn(run.path / "resamples" / f"{name}.npz") for name in run.test}
    return Reading(entry, run, int(seed), {name: draws for name, draws in drawn.items() if draws})


def paired(readings: Sequence[Reading], category: str) -> bool:
    """Whether the runs' draws of a category are of the same images in every resample."""
    first, *others = readings
    images = first.images(category)
    return all(other.seed == first.seed and other.images(category) == images for other in others)


def _drawn(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        return {}
    try:
        with np.load(file) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {file}: {error}; run it again") from error
