"""The settings that a study compares: tests that differ only in seed or category belong to one of them.

Seeds and categories are replicates in every study. Two settings are compared on the bootstrap draws of their
tests: tests with the same seed and images have drawn the same images in every resample, so that their
differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.results.frame import Results, TestResult
from adframe.results.names import MEAN, method_of
from adframe.results.predictions import Row
from adframe.stats.bootstrap import LEVEL, percentile_interval
from adframe.stats.estimates import UNKNOWN, Estimate

REPLICATES = ("seed", "category")  # keys of the configuration that make no other setting
DATASET = "dataset"


@dataclass(frozen=True)
class Setting:
    """One of the things that a study compares.

    Attributes:
        name: what distinguishes it from the study's other settings.
        overrides: the same by key.
        tests: category -> its tests, one for each seed.
    """

    name: str
    overrides: Mapping[str, str]
    tests: Mapping[str, tuple[TestResult, ...]]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that were tested."""
        return tuple(self.tests)

    @property
    def all_tests(self) -> list[TestResult]:
        """Its tests of every category and seed."""
        return [test for tests in self.tests.values() for test in tests]

    @property
    def runs(self) -> list[TestResult]:
        """One test of each of its runs, for what a run has only once: its costs, its seed."""
        return list({test.run: test for test in self.all_tests}.values())

    def values(self, category: str, metric: str) -> list[float]:
        """A metric of each seed, as far as it is known."""
        values = [test.values.get(metric, math.nan) for test in self.tests.get(category, ())]
        return [value for value in values if math.isfinite(value)]

    def draws(self, category: str, metric: str) -> np.ndarray | None:
        """(resamples,) draws of a category's metric, the mean over seeds; None where one has none."""
        found = [test.draws.get(metric) for test in self.tests.get(category, ())]
        known = [draws for draws in found if draws is not None]
        return mean_over_seeds(known) if known and len(known) == len(found) else None

    def estimate(self, metric: str, categories: Sequence[str]) -> Estimate:
        """The mean over categories and seeds, with its interval, and its standard deviation over seeds.

        Args:
            metric: such as `image/auroc`.
            categories: that the mean is over.

        Returns:
            `UNKNOWN` where the metric is unknown in one of the categories.
        """
        by_category = [self.values(name, metric) for name in categories]
        if not by_category or not all(by_category):
            return UNKNOWN
        value = float(np.mean([np.mean(values) for values in by_category]))
        draws = [self.draws(name, metric) for name in categories]
        known = [each for each in draws if each is not None]
        ends = (
            percentile_interval(np.mean(equally_many(known), axis=0), level=LEVEL)
            if len(known) == len(draws)
            else (math.nan, math.nan)
        )
        fewest = min(map(len, by_category))
        each_seed = np.mean([values[:fewest] for values in by_category], axis=0)
        spread = float(np.std(each_seed, ddof=1)) if fewest > 1 else math.nan
        return Estimate(value, *ends, spread=spread, seeds=fewest)

    def rows(self, category: str) -> list[Row]:
        """The labelled test images of a category, of the first seed."""
        return self.tests[category][0].rows if self.tests.get(category) else []

    def normal_rows(self, category: str) -> list[Row]:
        """The normal test images of a category, of the first seed."""
        return [row for row in self.rows(category) if row["label"] == 0]


def settings_of(results: Results, varied: Sequence[str]) -> list[Setting]:
    """Groups tests into settings, in the order in which they were asked for.

    Args:
        results: the tests, one for each run and category.
        varied: keys in which the runs differ.
    """
    label = _label(named=DATASET in varied)
    return [
        Setting(name or "all runs", told, by_category(tests, label=label))
        for name, told, tests in _groups(results, varied, aside=())
    ]


def methods_of(
    results: Results, varied: Sequence[str], *, aside: Sequence[str] = ()
) -> dict[str, list[TestResult]]:
    """All tests of each method, in the order of the runs.

    Args:
        results: the tests; a run may have several of a category.
        varied: keys in which the runs differ.
        aside: groups of the configuration that make no other method, because the study compares them.

    Returns:
        What distinguishes the method, or its name where nothing else was varied -> its tests.
    """
    return {
        name or method_of(tests[0].config): tests for name, _, tests in _groups(results, varied, aside=aside)
    }


def by_category(
    tests: Sequence[TestResult], *, label: Callable[[TestResult], str] = lambda test: test.category
) -> dict[str, tuple[TestResult, ...]]:
    """Tests by category, one for each seed: a run that repeats another's seed is left out.

    Args:
        tests: of one setting.
        label: the name of a test's category in the study.
    """
    found: dict[str, tuple[TestResult, ...]] = {}
    for test in tests:
        known = found.setdefault(label(test), ())
        if all(test.seed != other.seed for other in known):
            found[label(test)] = (*known, test)
    return found


def common_categories(settings: Sequence[Setting]) -> list[str]:
    """The categories on which every setting was tested."""
    return [name for name in settings[0].tests if all(name in each.tests for each in settings)]


def equally_many(draws: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The draws of several tests, cut to the number that all have: a release may draw more than another."""
    count = min(map(len, draws))
    return [each[:count] for each in draws]


def mean_over_seeds(draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several seeds' draws, as if all of them erred together, which is the widest they can.

    Seeds are tested on the same images, but each has drawn its own resamples of them: a plain mean of such
    draws would be narrower the more seeds there are, although the images are no more.
    """
    if len(draws) == 1:
        return draws[0]
    draws = equally_many(draws)
    together = np.empty(len(draws[0]))
    together[np.argsort(draws[0], kind="stable")] = np.mean([np.sort(each) for each in draws], axis=0)
    return together


def short_key(key: str, keys: Sequence[str]) -> str:
    """The last part of a key, such as `reduce` of `model.reduce`, unless another key ends alike."""
    last = key.rpartition(".")[2]
    return key if [other.rpartition(".")[2] for other in keys].count(last) > 1 else last


def name_of_overrides(overrides: Mapping[str, str]) -> str:
    """The value of a single key, or `key=value` for each of several; "" where there is none."""
    if len(overrides) == 1:
        return next(iter(overrides.values()))
    return ", ".join(f"{short_key(key, list(overrides))}={value}" for key, value in overrides.items())


def places_of(categories: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each category by itself, then the mean over all of them where there are several."""
    single: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in categories]
    return [*single, (MEAN, tuple(categories))] if len(single) > 1 else single


def _groups(
    results: Results, varied: Sequence[str], *, aside: Sequence[str]
) -> list[tuple[str, dict[str, str], list[TestResult]]]:
    """Tests by what was varied except seeds, categories and what is set aside: name, overrides, tests."""
    merged = {*REPLICATES, *([DATASET, "dataset.root"] if DATASET in varied else [])}
    keys = [key for key in varied if key not in merged and key.partition(".")[0] not in aside]
    keys = [key for key in keys if any(key in test.overrides for test in results.tests)]
    groups: dict[tuple[str, ...], list[TestResult]] = {}
    for test in results.tests:
        groups.setdefault(tuple(test.overrides.get(key, "default") for key in keys), []).append(test)
    found = []
    for values, tests in groups.items():
        told = dict(zip(keys, values, strict=True))
        found.append((name_of_overrides(told), told, tests))
    return found


def _label(*, named: bool) -> Callable[[TestResult], str]:
    def label(test: TestResult) -> str:
        dataset = test.overrides.get(DATASET)
        return f"{dataset}/{test.category}" if named and dataset is not None else test.category

    return label
