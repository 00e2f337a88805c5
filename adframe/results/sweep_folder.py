"""What a sweep has left: its runs with their overrides, costs and metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

METRICS = (
    "image/auroc", "logical/image/auroc", "structural/image/auroc", "image/ap", "image/f1_max",
    "pixel/auspro_0.05", "pixel/auroc", "pixel/aupro_0.3"
)  # fmt: skip


SECONDS, MODEL, MEMORY = "seconds", "model/bytes", "peak_memory_bytes"


Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One run: what it was told, what came of it."""

    run: str
    told: dict[str, str]
    folder: str | None = None
    costs: dict[str, float | None] = field(default_factory=dict)
    objective: float | None = None  # of a search
    metrics: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, Ends] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """All runs, best first, failures last.

    Attributes:
        folder: where they lie.
        entries: the runs.
        command: that repeats the sweep.
        objective: a validation metric by which they are in order; None: image AUROC of test images.
        minimise: whether less of it is better.
    """

    folder: Path
    entries: tuple[Entry, ...]
    command: str
    objective: str | None = None
    minimise: bool = False

    @property
    def varied(self) -> list[str]:
        """Keys in which the runs differ."""
        keys = dict.fromkeys(key for entry in self.entries for key in entry.told)
        return [key for key in keys if len({entry.told.get(key) for entry in self.entries}) > 1]

    @property
    def measured(self) -> list[str]:
        """Metrics that any run has."""
        return [key for key in METRICS if any(key in entry.metrics for entry in self.entries)]

    @property
    def ordering(self) -> str:
        """The metric by which they are in order."""
        return self.objective or METRICS[0]


def ranked(sweep: Sweep) -> Sweep:
    """The same with the best run first and those that failed last."""

    def key(entry: Entry) -> tuple[bool, float]:
        value = entry.objective if sweep.objective else entry.metrics.get(METRICS[0])
        if value is None or not math.isfinite(value):
            return entry.error is not None, math.inf
        return entry.error is not None, value if sweep.objective and sweep.minimise else -value

    return replace(sweep, entries=tuple(sorted(sweep.entries, key=key)))


def best(sweep: Sweep) -> dict[str, set[str]]:
    """The runs that are best of all by each metric; none where fewer than two differ."""
    found: dict[str, set[str]] = {}
    for key in [*([sweep.objective] if sweep.objective else []), *sweep.measured]:
        values = {entry.run: value_of(sweep, entry, key) for entry in sweep.entries}
        known = {run: value for run, value in values.items() if value is not None and math.isfinite(value)}
        if len(set(known.values())) > 1:
            most = (min if key == sweep.objective and sweep.minimise else max)(known.values())
            found[key] = {run for run, value in known.items() if value == most}
    return found


def value_of(sweep: Sweep, entry: Entry, key: str) -> float | None:
    """The value of a metric, or of the objective of a search, of one run; None where it is unknown."""
    return entry.objective if key == sweep.objective else entry.metrics.get(key)
