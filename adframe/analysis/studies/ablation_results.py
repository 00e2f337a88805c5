"""All numbers on the page of a sweep: its settings, their metrics, and their comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adframe.analysis.compare import Comparison, all_pairs, compare_settings
from adframe.analysis.settings import Setting, common_categories, settings_of, short_key
from adframe.results.frame import Results, load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import MODEL
from adframe.results.sweep_folder import LEADERBOARD_METRICS, SweepFolder
from adframe.stats.estimates import UNKNOWN, Estimate

_FIGURE_SETTINGS = 8  # more settings make a figure unreadable
_FIGURE_CATEGORIES = 6  # the same for categories


@dataclass(frozen=True)
class AblationResults:
    """The numbers from which the tables and figures of an ablation are made.

    Attributes:
        sweep: the sweep.
        settings: all settings, in the order of their first runs.
        shown: the settings in figures, at most eight: the best ones of the leaderboard.
        categories: the categories on which all settings were tested.
        metrics: the metrics of the leaderboard that any run has.
        compared: the metrics that are compared; the first one is the main metric.
        pairs: the comparison of every pair of settings, in the mean over categories.
        category_pairs: the comparison of every pair of shown settings in each category by the main metric.
        left_out: names of settings that share no category with the first one; they are in no number.

    Example:
        >>> from pathlib import Path
        >>> sweep = SweepFolder(Path(), (), command="python sweep.py -m coreset=0.1,0.2")
        >>> settings = [Setting(value, {"model.coreset": value}, {}) for value in ("0.1", "0.2")]
        >>> results = AblationResults(sweep, settings, settings, [], [], ["image/auroc"], [], [], [])
        >>> results.main_metric, results.keys, results.key_names
        ('image/auroc', ['model.coreset'], ['coreset'])
    """

    sweep: SweepFolder
    settings: list[Setting]
    shown: list[Setting]
    categories: list[str]
    metrics: list[str]
    compared: list[str]
    pairs: list[Comparison]
    category_pairs: list[Comparison]
    left_out: list[str]

    @property
    def main_metric(self) -> str:
        """The metric that comes first."""
        return self.compared[0]

    @property
    def pixel_metric(self) -> str | None:
        """The pixel metric of figures: a compared one, or else one of overlap before pixel AUROC."""
        known = sorted(self.metrics, key=lambda name: name == "pixel/auroc")
        return next((name for name in (*self.compared, *known) if name.startswith("pixel/")), None)

    @property
    def keys(self) -> list[str]:
        """The configuration keys that distinguish the settings."""
        return list(self.settings[0].overrides)

    @property
    def key_names(self) -> list[str]:
        """The same keys, as short as they are unambiguous."""
        return [short_key(key, self.keys) for key in self.keys]

    @property
    def categories_in_figures(self) -> list[str]:
        """At most six categories: those with the largest range of the main metric over shown settings."""
        if len(self.categories) <= _FIGURE_CATEGORIES:
            return self.categories

        def value_range(where: str) -> float:
            found = [self.estimate(each, where, self.main_metric) for each in self.shown]
            known = [each.value for each in found if each.known]
            return max(known) - min(known) if known else 0.0

        widest = sorted(self.categories, key=value_range, reverse=True)[:_FIGURE_CATEGORIES]
        return [name for name in self.categories if name in widest]

    def estimate(self, setting: Setting, where: str, metric: str) -> Estimate:
        """Estimates a metric of a setting.

        Args:
            setting: one of the settings.
            where: a category, or `mean` over the categories on which all settings were tested.
            metric: such as `image/auroc`.

        Returns:
            The estimate; `UNKNOWN` where the metric is unknown.
        """
        return setting.estimate(metric, self.categories if where == MEAN else [where])

    def means(self, metric: str) -> dict[str, Estimate]:
        """Estimates the mean of a metric over categories for every setting.

        Args:
            metric: such as `image/auroc`.

        Returns:
            Name of the setting -> the estimate; settings with an unknown mean are left out.
        """
        found = {each.name: self.estimate(each, MEAN, metric) for each in self.settings}
        return {name: value for name, value in found.items() if value.known}

    def sizes(self) -> dict[str, float]:
        """Returns the average size of a category's model in bytes, by name of the setting."""
        found = {each.name: mean_cost(each, MODEL) for each in self.settings}
        return {name: size for name, size in found.items() if size}


def mean_cost(setting: Setting, key: str) -> float | None:
    """Averages a cost over the runs of a setting.

    Args:
        setting: a setting.
        key: name of the cost, such as `seconds`.

    Returns:
        The mean in the unit of the cost; None where no run has it.
    """
    known = [value for run in setting.runs if (value := run.folder.costs.get(key)) is not None]
    return sum(known) / len(known) if known else None


def read_ablation(sweep: SweepFolder, metrics: Sequence[str]) -> AblationResults | None:
    """Reads the runs of a sweep and compares their settings.

    Args:
        sweep: a finished sweep.
        metrics: the metrics to compare, if the runs have them; the first one is the main metric.

    Returns:
        The results; None with fewer than two finished runs that have one of the metrics.

    Raises:
        AdframeError: a file of a run cannot be read.
    """
    by_run = load_results(sweep.finished).own.by_run()
    labelled = [each for each in by_run.values() if any(_has_metric(each, name) for name in metrics)]
    if len(labelled) < 2:
        return None
    results = Results(tuple(test for each in labelled for test in each.tests))
    all_settings = settings = settings_of(results, sweep.varied)
    categories = common_categories(settings)
    if not categories:
        # Without a category that all settings share, those with the first setting's categories remain.
        settings = [each for each in settings if set(each.tests) >= set(settings[0].tests)]
        categories = common_categories(settings)
    names = [name for name in dict.fromkeys([*metrics, *LEADERBOARD_METRICS]) if _has_metric(results, name)]
    compared = [name for name in metrics if name in names]
    shown = _settings_in_figures(sweep, settings)
    single = {name: [name] for name in categories} if len(categories) > 1 else {}
    return AblationResults(
        sweep=sweep,
        settings=settings,
        shown=shown,
        categories=categories,
        metrics=names,
        compared=compared,
        pairs=compare_settings(all_pairs(settings), metrics=compared, over={MEAN: categories}),
        category_pairs=compare_settings(all_pairs(shown), metrics=compared[:1], over=single),
        left_out=[each.name for each in all_settings if each not in settings],
    )


def known_estimates(results: AblationResults) -> list[tuple[Setting, str, str, Estimate]]:
    """Lists every known number of an ablation.

    Args:
        results: the results of the ablation.

    Returns:
        (setting, category or `mean`, metric, estimate), by setting, then place, then metric.
    """
    places = [*dict.fromkeys(name for each in results.settings for name in each.tests), MEAN]
    found = [
        (each, where, name, results.estimate(each, where, name) if where in (*each.tests, MEAN) else UNKNOWN)
        for each in results.settings
        for where in places
        for name in results.metrics
    ]
    return [row for row in found if row[3].known]


def _settings_in_figures(sweep: SweepFolder, settings: list[Setting]) -> list[Setting]:
    if len(settings) <= _FIGURE_SETTINGS:
        return settings
    # The runs of a sweep are in the order of the leaderboard, the best one first.
    ranks = {run.name: rank for rank, run in enumerate(sweep.runs)}
    by_rank = sorted(settings, key=lambda each: min(ranks[test.run] for test in each.runs))
    return [each for each in settings if each in by_rank[:_FIGURE_SETTINGS]]


def _has_metric(results: Results, metric: str) -> bool:
    return any(math.isfinite(test.values.get(metric, math.nan)) for test in results.tests)
