"""All numbers of the page of a sweep: its settings, their metrics, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adframe.analysis.compare import Comparison, all_pairs, compare
from adframe.analysis.settings import Setting, common_categories, settings_of, short_key
from adframe.results.frame import Results, load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import MODEL
from adframe.results.sweep_folder import LEADERBOARD_METRICS, SweepFolder
from adframe.stats.estimates import UNKNOWN, Estimate

SHOWN = 8  # settings that a figure can hold
CATEGORIES = 6  # and categories


@dataclass(frozen=True)
class AblationResults:
    """The numbers from which the tables and figures of an ablation are made.

    Attributes:
        sweep: the sweep.
        settings: all, in the order in which they were asked for.
        shown: those in figures, at most eight: the first ones of the leaderboard.
        categories: those on which all settings were tested.
        metrics: the leaderboard's metrics that any run has.
        compared: those of them that are compared; the first one leads.
        pairs: every pair of settings, in the mean over categories.
        within: every pair of those shown, category by category, by the first metric.
        left_out: names of settings that share no category with the first one, and are in no number.
    """

    sweep: SweepFolder
    settings: list[Setting]
    shown: list[Setting]
    categories: list[str]
    metrics: list[str]
    compared: list[str]
    pairs: list[Comparison]
    within: list[Comparison]
    left_out: list[str]

    @property
    def main(self) -> str:
        """The metric that comes first."""
        return self.compared[0]

    @property
    def pixel(self) -> str | None:
        """The metric that stands for pixels: a compared one, or else one of overlap before one of ranking."""
        known = sorted(self.metrics, key=lambda name: name == "pixel/auroc")
        return next((name for name in (*self.compared, *known) if name.startswith("pixel/")), None)

    @property
    def keys(self) -> list[str]:
        """The keys that distinguish the settings."""
        return list(self.settings[0].overrides)

    @property
    def key_names(self) -> list[str]:
        """The same keys, as short as they are unambiguous."""
        return [short_key(key, self.keys) for key in self.keys]

    @property
    def in_figures(self) -> list[str]:
        """At most six categories for figures: those in which the shown settings lie furthest apart."""
        if len(self.categories) <= CATEGORIES:
            return self.categories

        def apart(where: str) -> float:
            known = [e.value for each in self.shown if (e := self.estimate(each, where, self.main)).known]
            return max(known) - min(known) if known else 0.0

        wanted = sorted(self.categories, key=apart, reverse=True)[:CATEGORIES]
        return [name for name in self.categories if name in wanted]

    def estimate(self, setting: Setting, where: str, metric: str) -> Estimate:
        """A metric of a setting in a category, or in the mean over the common ones."""
        return setting.estimate(metric, self.categories if where == MEAN else [where])

    def means(self, metric: str) -> dict[str, Estimate]:
        """The metric by setting, as far as it is known."""
        found = {each.name: self.estimate(each, MEAN, metric) for each in self.settings}
        return {name: value for name, value in found.items() if value.known}

    def sizes(self) -> dict[str, float]:
        """Bytes of one category's model by setting, on average."""
        found = {each.name: cost(each, MODEL) for each in self.settings}
        return {name: size for name, size in found.items() if size}


def cost(setting: Setting, key: str) -> float | None:
    """What one of its runs costs, on average over them."""
    known = [value for run in setting.runs if (value := run.folder.costs.get(key)) is not None]
    return sum(known) / len(known) if known else None


def read_ablation(sweep: SweepFolder, metrics: Sequence[str]) -> AblationResults | None:
    """Reads a sweep's runs and compares them; None with fewer than two that are finished and labelled.

    Args:
        sweep: a sweep that has ended.
        metrics: to compare, as far as the runs have them; the first one leads.
    """
    by_run = load_results(sweep.finished).own.by_run()
    labelled = [each for each in by_run.values() if any(_known(each, name) for name in metrics)]
    if len(labelled) < 2:
        return None
    results = Results(tuple(test for each in labelled for test in each.tests))
    everything = settings = settings_of(results, sweep.varied)
    categories = common_categories(settings)
    if not categories:  # nothing on which all were tested: those that have the first one's categories
        settings = [each for each in settings if set(each.tests) >= set(settings[0].tests)]
        categories = common_categories(settings)
    names = [name for name in dict.fromkeys([*metrics, *LEADERBOARD_METRICS]) if _known(results, name)]
    compared = [name for name in metrics if name in names]
    shown = _shown(sweep, settings)
    within = {name: [name] for name in categories} if len(categories) > 1 else {}
    return AblationResults(
        sweep=sweep,
        settings=settings,
        shown=shown,
        categories=categories,
        metrics=names,
        compared=compared,
        pairs=compare(all_pairs(settings), metrics=compared, over={MEAN: categories}),
        within=compare(all_pairs(shown), metrics=compared[:1], over=within),
        left_out=[each.name for each in everything if each not in settings],
    )


def raw_estimates(board: AblationResults) -> list[tuple[Setting, str, str, Estimate]]:
    """Every known number: setting, category or mean, metric, estimate."""
    places = [*dict.fromkeys(name for each in board.settings for name in each.tests), MEAN]
    found = [
        (each, where, name, board.estimate(each, where, name) if where in (*each.tests, MEAN) else UNKNOWN)
        for each in board.settings
        for where in places
        for name in board.metrics
    ]
    return [one for one in found if one[3].known]


def _shown(sweep: SweepFolder, settings: list[Setting]) -> list[Setting]:
    if len(settings) <= SHOWN:
        return settings
    order = {run.name: place for place, run in enumerate(sweep.runs)}
    by_rank = sorted(settings, key=lambda each: min(order[test.run] for test in each.runs))
    return [each for each in settings if each in by_rank[:SHOWN]]


def _known(results: Results, metric: str) -> bool:
    return any(math.isfinite(test.values.get(metric, math.nan)) for test in results.tests)
