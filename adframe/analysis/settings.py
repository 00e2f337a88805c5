"""The settings that a study compares: tests that differ only in seed or category belong to one setting.

Seeds and categories are replicates in every study. Tests on the same images have drawn the same images in
every bootstrap resample, so their differences are paired.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adframe.results.frame import Results, TestResult
from adframe.results.names import MEAN, method_name, method_of
from adframe.results.predictions import Row
from adframe.stats.estimates import UNKNOWN, Estimate
from adframe.stats.intervals import MeanOf, Measured, SeedError, interval_of

REPLICATES = ("seed", "category")  # keys of the configuration that do not distinguish settings
DATASET, METHOD, LAYERS = "dataset", "model", "fusion.layers"
_TRANSFORMER = re.compile(r"vit|deit|beit|eva|swin")  # networks whose layers all have one stride
# A value that says nothing without its key.
_BARE_VALUE = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?|\[[-+\d.,e]*\]|true|false|null", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """One of the settings that a study compares, with its tests.

    Attributes:
        name: the values that distinguish it from the study's other settings.
        overrides: the same values by configuration key.
        tests: category -> its tests, one per seed.

    Example:
        >>> from pathlib import Path
        >>> from adframe.results.run_folder import RunFolder
        >>> folder = RunFolder(Path("run"))
        >>> folder.metrics = {"test": {"bolt": {"image/auroc": 0.875}}, "val": {}}
        >>> test = TestResult("run", folder, "bolt", "bolt", "", "own", {}, {}, seed=0)
        >>> setting = Setting("0.1", {"coreset": "0.1"}, {"bolt": (test,)})
        >>> setting.values("bolt", "image/auroc"), setting.estimate("image/auroc").value
        ([0.875], 0.875)
    """

    name: str
    overrides: Mapping[str, str]
    tests: Mapping[str, tuple[TestResult, ...]]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of its tests."""
        return tuple(self.tests)

    @property
    def all_tests(self) -> list[TestResult]:
        """The tests of every category and seed."""
        return [test for tests in self.tests.values() for test in tests]

    @property
    def runs(self) -> list[TestResult]:
        """One test of each run, for facts that a run has only once, such as its costs and its seed."""
        return list({test.run: test for test in self.all_tests}.values())

    def values(self, category: str, metric: str) -> list[float]:
        """Returns the known values of a metric.

        Args:
            category: the tested category.
            metric: such as `image/auroc`.

        Returns:
            One value per seed in which the metric is known; empty where the category was not tested.
        """
        values = [test.values.get(metric, math.nan) for test in self.tests.get(category, ())]
        return [value for value in values if math.isfinite(value)]

    def measured(self, category: str, metric: str) -> Measured | None:
        """Returns a metric with its bootstrap draws, averaged over seeds.

        Args:
            category: the tested category.
            metric: such as `image/auroc`.

        Returns:
            The metric; None where the category was not tested, or a seed has no draws.
        """
        tests = self.tests.get(category, ())
        found = [test.measured.get(metric) for test in tests]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        return mean_over_seeds(known, paired=all(test.is_paired_with(tests[0]) for test in tests))

    def values_by_seed(self, metric: str, categories: Sequence[str]) -> dict[int, float]:
        """Returns the mean of a metric over categories for each seed.

        Args:
            metric: such as `image/auroc`.
            categories: the categories of the mean.

        Returns:
            Seed -> mean, for the seeds in which the metric is known in every category.
        """
        by_category = [
            {
                test.seed: value
                for test in self.tests.get(name, ())
                if math.isfinite(value := test.values.get(metric, math.nan))
            }
            for name in categories
        ]
        seeds = [seed for seed in by_category[0] if all(seed in each for each in by_category)]
        return {seed: float(np.mean([each[seed] for each in by_category])) for seed in seeds}

    def estimate(self, metric: str, categories: Sequence[str] | None = None) -> Estimate:
        """Estimates a metric: its mean over categories and seeds.

        Args:
            metric: such as `image/auroc`.
            categories: the categories of the mean; None for all categories of the setting.

        Returns:
            The mean with its standard deviation over seeds and its 95% interval, which allows for the choice
            of images and of seeds; `UNKNOWN` where the metric is unknown in one of the categories.
        """
        names = self.categories if categories is None else categories
        by_category = [self.values(name, metric) for name in names]
        if not by_category or not all(by_category):
            return UNKNOWN
        value = float(np.mean([np.mean(values) for values in by_category]))
        by_seed = list(self.values_by_seed(metric, names).values())
        seeds = SeedError.of(by_seed)
        known = [each for name in names if (each := self.measured(name, metric)) is not None]
        ends = (math.nan, math.nan)
        if len(known) == len(names):
            ends = interval_of(MeanOf(known, seeds))
        spread = float(np.std(by_seed, ddof=1)) if seeds is not None else math.nan
        return Estimate(value, *ends, spread=spread, seeds=max(len(by_seed), 1))

    def rows(self, category: str) -> list[Row]:
        """Returns the predictions of the first seed.

        Args:
            category: the tested category.

        Returns:
            One row per labelled test image; empty where the category was not tested.
        """
        return self.tests[category][0].rows if self.tests.get(category) else []

    def normal_rows(self, category: str) -> list[Row]:
        """Returns the predictions of the first seed for normal images.

        Args:
            category: the tested category.

        Returns:
            One row per normal test image; empty where the category was not tested.
        """
        return [row for row in self.rows(category) if row["label"] == 0]


def settings_of(results: Results, varied: Sequence[str]) -> list[Setting]:
    """Groups tests into settings.

    Args:
        results: the tests, one for each run and category.
        varied: configuration keys in which the runs differ.

    Returns:
        The settings in the order of their first runs.
    """

    def label(test: TestResult) -> str:
        # Two datasets of one sweep may have categories of the same name.
        dataset = test.overrides.get(DATASET)
        return f"{dataset}/{test.category}" if DATASET in varied and dataset is not None else test.category

    return [
        Setting(_setting_name(overrides, tests) or "all runs", overrides, by_category(tests, label=label))
        for overrides, tests in _tests_by_overrides(results, varied, ignored=())
    ]


def _setting_name(overrides: Mapping[str, str], tests: Sequence[TestResult]) -> str:
    """Names a setting by its overrides; layers that are in use (1) or left out (0) by what they are."""
    backbone = tests[0].config.get("backbone")
    shown = {
        key: layers_in_use(value, backbone if isinstance(backbone, Mapping) else {})
        if key == LAYERS
        else value
        for key, value in overrides.items()
    }
    return name_of_overrides(shown)


def layers_in_use(value: str, backbone: Mapping[str, Any]) -> str:
    """Writes the layers that a fusion uses in words.

    Args:
        value: of `fusion.layers`, such as `[1,1,0]`.
        backbone: the configuration of the backbone.

    Returns:
        The strides of the layers where they are those of a convolutional network's pyramid, otherwise their
        places; `value` itself where a layer has another weight than 0 and 1.

    Example:
        >>> layers_in_use("[1,1,0]", {"layers": "pyramid", "model": "resnet18"})
        'strides 4 + 8'
        >>> layers_in_use("[0,0,1]", {"layers": "pyramid", "model": "vit_small"}), layers_in_use("[2,1]", {})
        ('layer 3', '[2,1]')
    """
    if not re.fullmatch(r"\[[01](, ?[01])*\]", value) or "1" not in value:
        return value
    used = [place for place, each in enumerate(value.strip("[]").split(",")) if each.strip() == "1"]
    names, word = [str(place + 1) for place in used], "layer"
    if backbone.get("layers") == "pyramid" and not _TRANSFORMER.search(str(backbone.get("model"))):
        names, word = [str(4 * 2**place) for place in used], "stride"
    return f"{word}{'s' if len(names) > 1 else ''} {' + '.join(names)}"


def methods_of(
    results: Results, varied: Sequence[str], *, ignored: Sequence[str] = ()
) -> dict[str, list[TestResult]]:
    """Groups tests by method.

    Args:
        results: the tests; a run may have several tests of a category.
        varied: configuration keys in which the runs differ.
        ignored: groups of the configuration that do not distinguish methods, because the study compares
            them.

    Returns:
        Name of the method -> its tests, in the order of the runs. The name consists of the values that
        distinguish the method; where nothing else was varied, it is the name in the configuration.
    """
    return {
        name_of_overrides(overrides)
        or method_of(tests[0].config, environment=tests[0].folder.environment): tests
        for overrides, tests in _tests_by_overrides(results, varied, ignored=ignored)
    }


def by_category(
    tests: Sequence[TestResult], *, label: Callable[[TestResult], str] = lambda test: test.category
) -> dict[str, tuple[TestResult, ...]]:
    """Groups the tests of one setting by category.

    Args:
        tests: the tests of one setting.
        label: returns the name of a test's category in the study.

    Returns:
        Category -> its tests, one per seed; a later test that repeats a seed is left out.
    """
    found: dict[str, tuple[TestResult, ...]] = {}
    for test in tests:
        known = found.setdefault(label(test), ())
        if all(test.seed != other.seed for other in known):
            found[label(test)] = (*known, test)
    return found


def common_categories(settings: Sequence[Setting]) -> list[str]:
    """Lists the categories on which every setting was tested.

    Args:
        settings: one setting or more.

    Returns:
        The names of the categories, in the order of the first setting.
    """
    return [name for name in settings[0].tests if all(name in each.tests for each in settings)]


def mean_over_seeds(measured: Sequence[Measured], *, paired: bool) -> Measured:
    """Averages a metric over seeds.

    Args:
        measured: the metric of each seed, on the same images.
        paired: whether the draws of all seeds belong to the same images in every resample. Otherwise the
            errors of the first seed stand for those of the mean: averaging independent draws would make them
            smaller with every seed, although there are no more images.

    Returns:
        The mean with its draws.

    Example:
        >>> from adframe.stats.intervals import Units
        >>> first = Measured("image/auroc", 0.8, np.array([0.7, 0.9]), Units(20, 40))
        >>> second = Measured("image/auroc", 0.9, np.array([0.9, 0.9]), Units(20, 40))
        >>> mean_over_seeds([first, second], paired=True).drawn.round(2).tolist()
        [0.8, 0.9]
        >>> mean_over_seeds([first, second], paired=False).drawn.round(2).tolist()
        [0.75, 0.95]
    """
    value = float(np.mean([each.value for each in measured]))
    if paired:
        count = min(len(each.drawn) for each in measured)
        drawn = np.asarray(np.mean([each.drawn[:count] for each in measured], axis=0, dtype=np.float64))
    else:
        drawn = measured[0].drawn + (value - measured[0].value)
    called = float(np.mean([each.called for each in measured]))
    return replace(measured[0], value=value, drawn=drawn, called=called)


def short_key(key: str, keys: Sequence[str]) -> str:
    """Shortens a configuration key to its last part, unless that is ambiguous.

    Args:
        key: a key with dots.
        keys: all keys that are shown, `key` among them.

    Returns:
        The last part, or the whole key where another one has the same last part.

    Example:
        >>> short_key("model.reduce", ["model.reduce", "seed"])
        'reduce'
    """
    last = key.rpartition(".")[2]
    return key if [other.rpartition(".")[2] for other in keys].count(last) > 1 else last


def name_of_overrides(overrides: Mapping[str, str]) -> str:
    """Names a setting by its overrides.

    Args:
        overrides: configuration key -> value.

    Returns:
        The value of a single key, `key=value` for each of several keys, "" where there is none. A method
        has the name of its paper.

    Example:
        >>> name_of_overrides({"coreset": "0.1"}), name_of_overrides({"model.k": "1", "coreset": "0.1"})
        ('0.1', 'k=1, coreset=0.1')
        >>> name_of_overrides({"model": "patchcore"})
        'PatchCore'
    """
    shown = {key: method_name(value) if key == METHOD else value for key, value in overrides.items()}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{short_key(key, list(shown))}={value}" for key, value in shown.items())


def name_in_sentence(setting: Setting) -> str:
    """Names a setting so that a sentence about it can be understood without its context.

    Args:
        setting: the setting.

    Returns:
        Its name; with the key where that is a bare number, truth value or null.

    Example:
        >>> [name_in_sentence(Setting(n, {k: n}, {})) for k, n in (("shots", "4"), ("model", "padim"))]
        ['shots 4', 'padim']
    """
    if len(setting.overrides) == 1 and _BARE_VALUE.fullmatch(setting.name):
        (key,) = setting.overrides
        return f"{short_key(key, [key])} {setting.name}"
    return setting.name


def categories_and_mean(categories: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Lists each category, and the mean over all of them where there are several.

    Args:
        categories: names of the categories.

    Returns:
        (name, categories of which it is the mean); `mean` comes last.

    Example:
        >>> categories_and_mean(["bolt", "tray"])
        [('bolt', ('bolt',)), ('tray', ('tray',)), ('mean', ('bolt', 'tray'))]
    """
    single: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in categories]
    return [*single, (MEAN, tuple(categories))] if len(single) > 1 else single


def _tests_by_overrides(
    results: Results, varied: Sequence[str], *, ignored: Sequence[str]
) -> list[tuple[dict[str, str], list[TestResult]]]:
    """Groups tests by the values of the varied keys, without replicates and ignored groups."""
    merged = {*REPLICATES, *([DATASET, "dataset.root"] if DATASET in varied else [])}
    keys = [key for key in varied if key not in merged and key.partition(".")[0] not in ignored]
    keys = [key for key in keys if any(key in test.overrides for test in results.tests)]
    groups: dict[tuple[str, ...], list[TestResult]] = {}
    for test in results.tests:
        groups.setdefault(tuple(test.overrides.get(key, "default") for key in keys), []).append(test)
    return [(dict(zip(keys, values, strict=True)), tests) for values, tests in groups.items()]
