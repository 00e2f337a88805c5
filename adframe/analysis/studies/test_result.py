"""One condition under which a model was tested: its numbers, and what they would be on other images."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.analysis.studies.pairwise import tested
from adframe.analysis.studies.sweep_runs import Reading, read_reading
from adframe.errors import AdframeError
from adframe.metrics.resampled import drawn_decisions
from adframe.results.names import MEAN, RECALIBRATED
from adframe.results.predictions import Row
from adframe.results.sweep_folder import Entry
from adframe.stats.bootstrap import LEVEL, interval
from adframe.stats.drift import score_drift
from adframe.stats.significance import Difference

Estimate = tuple[float, float, float]  # value, low, high
UNKNOWN: Estimate = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Condition:
    """What one test of one model, or of one model a category, left.

    Attributes:
        name: of the condition, as tables have it.
        reading: the folder, read back.
        values: category -> metric -> value.
        drawn: category -> metric -> (resamples,) values.
    """

    name: str
    reading: Reading
    values: Mapping[str, Mapping[str, float]]
    drawn: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def categories(self) -> tuple[str, ...]:
        """That were tested."""
        return tuple(self.values)

    def estimate(self, metric: str, categories: Sequence[str]) -> Estimate:
        """The mean over categories, with its interval; NaN for what is not known of one of them."""
        if any(metric not in self.values.get(name, {}) for name in categories):
            return UNKNOWN
        value = float(np.mean([self.values[name][metric] for name in categories]))
        draws = self._draws(metric, categories)
        return (value, math.nan, math.nan) if draws is None else (value, *interval(draws, level=LEVEL))

    def more_than(self, other: Condition, metric: str, categories: Sequence[str]) -> Difference:
        """This minus the other, in the mean over categories; images that both saw are drawn together."""
        value = self.estimate(metric, categories)[0] - other.estimate(metric, categories)[0]
        mine, theirs = (each._draws(metric, categories) for each in (self, other))
        if mine is None or theirs is None or not math.isfinite(value):
            return Difference(value, math.nan, math.nan, math.nan)
        return tested(mine - theirs, value=value)

    def drift_from(self, other: Condition, category: str) -> Estimate:
        """How far normal images' scores have moved, in units of the other's spread (`metrics.drift`)."""
        mine, theirs = ({row["path"]: row for row in each.normals(category)} for each in (self, other))
        paths = sorted(mine.keys() & theirs.keys())
        if len(paths) < 2:
            return UNKNOWN
        return score_drift(
            np.array([theirs[path]["score"] for path in paths]),
            np.array([mine[path]["score"] for path in paths]),
            groups=[mine[path]["group"] for path in paths],
            paths=paths,
            seed=self.reading.seed + zlib.crc32(category.encode()),
        )

    def normals(self, category: str) -> list[Row]:
        """Ledger rows of normal test images."""
        return [row for row in self.reading.rows(category) if row["label"] == 0]

    def threshold(self, category: str) -> float:
        """Of image scores."""
        known = self.values[category].get("threshold")
        return float(self.reading.rows(category)[0]["threshold"] if known is None else known)

    def _draws(self, metric: str, categories: Sequence[str]) -> np.ndarray | None:
        found = [self.drawn.get(name, {}).get(metric) for name in categories]
        known = [draws for draws in found if draws is not None]
        return np.mean(known, axis=0) if known and len(known) == len(found) else None


def read_condition(folder: Path, *, name: str) -> Condition:
    """A run's test, or a further test of it.

    Raises:
        AdframeError: the folder cannot be read.
    """
    reading = read_reading(Entry(run=folder.name, told={}, folder=str(folder)))
    values = {
        category: {metric: math.nan if value is None else value for metric, value in row.items()}
        for category, row in reading.run.test.items()
        if category != MEAN
    }
    return Condition(name, reading, values, reading.drawn)


def recalibrated(plain: Condition, *, name: str) -> Condition | None:
    """A domain's test with the thresholds fitted to its own validation images; None where there are none.

    Args:
        plain: the test with the frozen threshold.
        name: of the condition.

    Raises:
        AdframeError: the folder cannot be read.
    """
    file = plain.reading.run.path / "metrics.json"
    try:
        fitted = json.loads(file.read_text()).get(RECALIBRATED, {}).get("test", {})
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {file}: {error}; run it again") from error
    if not set(plain.values) <= set(fitted):
        return None
    values, drawn = {}, {}
    for category, numbers in fitted.items():
        decided = {metric: math.nan if value is None else value for metric, value in numbers.items()}
        rows = plain.reading.rows(category)
        draws = drawn_decisions(rows, threshold=numbers["threshold"], seed=plain.reading.seed)
        values[category] = {**plain.values[category], **decided}
        kept = {key: own.astype(np.float32) for key, own in draws.items()}  # as the others were kept
        drawn[category] = {**plain.drawn.get(category, {}), **kept}
    return Condition(name, plain.reading, values, drawn)
