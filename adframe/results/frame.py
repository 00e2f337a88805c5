"""Finished runs as one tidy table, from which studies, comparisons and notebooks select rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adframe.metrics.measured import measured_metrics
from adframe.metrics.resampled import drawn_decisions
from adframe.results.names import MEAN, method_of, name_of
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepRun
from adframe.stats.intervals import Measured, interval_of

if TYPE_CHECKING:
    import pandas as pd

OWN, RECALIBRATED = "own", "recalibrated"  # thresholds: fitted with the model, or again under the domain
FRAME_COLUMNS = (
    "run", "model", "dataset", "fitted", "category", "domain", "threshold", "seed", "metric",
    "value", "low", "high"
)  # fmt: skip


@dataclass(frozen=True)
class TestResult:
    """One model tested on the images of one category under one condition.

    Attributes:
        run: the name of the run.
        folder: where the files of this test lie: the run's folder, or one below its `domains` or `transfer`.
        fitted: the category on which the model was fitted, or `global`.
        category: the category that was tested.
        domain: the domain under which it was tested; "" for the images as the run itself has them.
        threshold: `own`, or `recalibrated` for decisions with a threshold fitted again under the domain.
        overrides: what the run's command overrides, by key.
        config: the run's configuration.
        seed: the run's seed.

    Example:
        >>> result = TestResult("run", RunFolder(Path("run")), "bolt", "bolt", "", OWN, {}, {}, seed=0)
        >>> result.own
        True
    """

    __test__ = False  # otherwise pytest collects the class because of its name

    run: str
    folder: RunFolder
    fitted: str
    category: str
    domain: str
    threshold: str
    overrides: Mapping[str, str]
    config: Mapping[str, Any]
    seed: int

    @cached_property
    def values(self) -> dict[str, float]:
        """The metrics by name; NaN where a metric is undefined."""
        found = {name: _nan_or_float(value) for name, value in self.folder.test[self.category].items()}
        if self.threshold == RECALIBRATED:
            found |= {k: _nan_or_float(v) for k, v in self.folder.recalibrated[self.category].items()}
        return found

    @cached_property
    def draws(self) -> dict[str, np.ndarray]:
        """The bootstrap draws, (resamples,) float32, by metric."""
        found = self.folder.draws(self.category)
        if self.threshold == RECALIBRATED:
            count = len(next(iter(found.values()))) if found else None
            decided = drawn_decisions(
                self.rows,
                threshold=self.values["threshold"],
                seed=self.resampling_seed,
                resamples=count,
            )
            found = found | {name: draws.astype(np.float32) for name, draws in decided.items()}
        return found

    @cached_property
    def rows(self) -> list[Row]:
        """The labelled test images, in the order of their paths."""
        return self.folder.labelled_rows(self.category)

    @cached_property
    def images(self) -> tuple[tuple[str, ...], ...]:
        """The tested images with their kinds; the bootstrap draws depend on nothing else but the seed."""
        return self.folder.images(self.category)

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """The metrics with their draws, from which intervals are computed, by metric."""
        images = [row for row in self.folder.rows if row["category"] == self.category]
        return measured_metrics(self.values, self.draws, images=images)

    @property
    def resampling_seed(self) -> int:
        """The seed of the bootstrap draws."""
        seed = self.folder.resampling_seed(self.category)
        return self.seed if seed is None else seed

    @property
    def own(self) -> bool:
        """Whether the model was tested where it was fitted: under no other domain, on no other category."""
        return not self.domain and self.fitted in (self.category, "global")

    @property
    def image_threshold(self) -> float:
        """The threshold of image scores; NaN where there is none."""
        known = self.values.get("threshold")
        if known is None and self.rows:
            known = self.rows[0]["threshold"]
        return _nan_or_float(known)

    def is_paired_with(self, other: TestResult) -> bool:
        """Returns whether the draws of two tests belong to the same images in every resample.

        Args:
            other: another test.

        Returns:
            Whether images and the seed of the resamples are the same.
        """
        return self.resampling_seed == other.resampling_seed and self.images == other.images


@dataclass(frozen=True)
class Results:
    """Tests of finished runs, and the same as one tidy table.

    Attributes:
        tests: in the order of the runs.

    Example:
        >>> Results(()).frame.columns.tolist()[:5]
        ['run', 'model', 'dataset', 'fitted', 'category']
    """

    tests: tuple[TestResult, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per test and metric: the columns `FRAME_COLUMNS`, then one per key that a run overrides."""
        import pandas as pd

        keys = list(
            dict.fromkeys(key for test in self.tests for key in test.overrides if key not in FRAME_COLUMNS)
        )
        rows = []
        for test in self.tests:
            ends = (
                {name: interval_of(each) for name, each in test.measured.items()}
                if test.threshold == RECALIBRATED
                else test.folder.intervals.get(test.category, {})
            )
            start = (
                test.run, method_of(test.config, environment=test.folder.environment),
                name_of(test.config.get("dataset")), test.fitted, test.category, test.domain,
                test.threshold, test.seed,
            )  # fmt: skip
            overrides = [test.overrides.get(key) for key in keys]
            for metric, value in test.values.items():
                low, high = ends.get(metric, (math.nan, math.nan))
                rows.append((*start, metric, value, low, high, *overrides))
        return pd.DataFrame(rows, columns=[*FRAME_COLUMNS, *keys])

    @property
    def own(self) -> Results:
        """The tests of each model where it was fitted: under no other domain, on no other category."""
        return Results(tuple(test for test in self.tests if test.own))

    def select(
        self, *, run: str | None = None, category: str | None = None, domain: str | None = None
    ) -> Results:
        """Selects tests.

        Args:
            run: the name of a run; None for all.
            category: the tested category; None for all.
            domain: the name of a domain, "" for the images as the run has them; None for all.

        Returns:
            The tests that fit all conditions.
        """
        return Results(
            tuple(
                test
                for test in self.tests
                if run in (None, test.run)
                and category in (None, test.category)
                and domain in (None, test.domain)
            )
        )

    def by_run(self) -> dict[str, Results]:
        """Groups the tests by run, in the order of the runs."""
        return {name: self.select(run=name) for name in dict.fromkeys(test.run for test in self.tests)}


def load_results(runs: Iterable[Path | SweepRun]) -> Results:
    """Reads finished runs, with their tests under other domains and on other categories.

    Args:
        runs: folders of runs, or runs of a sweep; failed runs of a sweep are left out.

    Returns:
        The tests, in the order of the runs.

    Raises:
        AdframeError: a file of a run cannot be read.
    """
    tests: list[TestResult] = []
    for run in runs:
        if isinstance(run, Path):
            folder = RunFolder.read(run)
            tests += _tests_of(str(run), folder, folder.overrides)
        elif run.folder is not None and run.error is None:
            tests += _tests_of(run.name, run.folder, run.overrides)
    return Results(tuple(tests))


def _tests_of(name: str, run: RunFolder, overrides: Mapping[str, str]) -> list[TestResult]:
    pooled = "global" if run.config.get("scope") == "global" else None

    def test(
        folder: RunFolder, category: str, *, fitted: str, domain: str = "", threshold: str = OWN
    ) -> TestResult:
        return TestResult(name, folder, fitted, category, domain, threshold, overrides, run.config, run.seed)

    found = [test(run, category, fitted=pooled or category) for category in _tested_categories(run)]
    for domain, path in run.domains().items():
        folder = RunFolder.read(path)
        for category in _tested_categories(folder):
            found.append(test(folder, category, fitted=pooled or category, domain=domain))
        if set(_tested_categories(folder)) <= set(folder.recalibrated):
            for category in _tested_categories(folder):
                again = test(
                    folder, category, fitted=pooled or category, domain=domain, threshold=RECALIBRATED
                )
                found.append(again)
    for fitted, path in run.transfers().items():
        folder = RunFolder.read(path)
        found += [test(folder, category, fitted=fitted) for category in _tested_categories(folder)]
    return found


def _tested_categories(run: RunFolder) -> Sequence[str]:
    return [name for name in run.metrics["test"] if name != MEAN]


def _nan_or_float(value: float | None) -> float:
    return math.nan if value is None else float(value)
