"""All numbers of a sweep's page: variants, their metrics, what was compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adframe.analysis.studies.pairwise import Contrast, contrasts
from adframe.analysis.studies.settings import (
    Measured,
    Variant,
    common_classes,
    measured,
    shown_name,
    variants_of,
)
from adframe.analysis.studies.sweep_runs import Reading, read_sweep_runs
from adframe.results.names import MEAN
from adframe.results.sweep_folder import METRICS, MODEL, Sweep

SHOWN = 8  # variants that a figure can hold
CLASSES = 6  # and classes


@dataclass(frozen=True, slots=True)
class Board:
    """What an ablation's tables and figures are made of.

    Attributes:
        sweep: as the leaderboard has it.
        variants: all, in the order in which they were asked for.
        shown: those in figures, no more than eight: the first by the leaderboard.
        classes: that all variants were tested on.
        metrics: headline metrics that any run has.
        compared: those of them that are compared.
        values: (variant, class or mean, metric) -> what was measured.
        found: every pair of variants, in the mean over classes.
        within: every pair of those shown, class by class, by the first metric.
        apart: names of settings that share no class with the first, and are left out of everything.
    """

    sweep: Sweep
    variants: list[Variant]
    shown: list[Variant]
    classes: list[str]
    metrics: list[str]
    compared: list[str]
    values: dict[tuple[str, str, str], Measured]
    found: list[Contrast]
    within: list[Contrast]
    apart: list[str]

    @property
    def main(self) -> str:
        """The metric that comes first."""
        return self.compared[0]

    @property
    def pixel(self) -> str | None:
        """What stands for pixels: one that is compared, or else one of overlap before one of ranking."""
        known = sorted(self.metrics, key=lambda name: name == "pixel/auroc")
        return next((name for name in (*self.compared, *known) if name.startswith("pixel/")), None)

    @property
    def keys(self) -> list[str]:
        """What makes the variants."""
        return list(self.variants[0].told)

    @property
    def names(self) -> list[str]:
        """The same, as people call it."""
        return [shown_name(key, self.keys) for key in self.keys]

    @property
    def wide(self) -> list[str]:
        """The classes of figures: no more than six, those in which the shown variants lie furthest apart."""
        if len(self.classes) <= CLASSES:
            return self.classes
        wanted = sorted(self.classes, key=self._apart, reverse=True)[:CLASSES]
        return [name for name in self.classes if name in wanted]

    def means(self, metric: str) -> dict[str, Measured]:
        """By variant, as far as known."""
        found = {each.name: self.values.get((each.name, MEAN, metric)) for each in self.variants}
        return {name: value for name, value in found.items() if value is not None}

    def sizes(self) -> dict[str, float]:
        """Bytes of a class's model by variant, on average."""
        return {
            name: size for name, size in ((each.name, cost(each, MODEL)) for each in self.variants) if size
        }

    def _apart(self, where: str) -> float:
        found = [self.values.get((each.name, where, self.main)) for each in self.shown]
        known = [each.value for each in found if each]
        return max(known) - min(known) if known else 0.0


def cost(variant: Variant, key: str) -> float | None:
    """What one of its runs costs, on average over them."""
    known = [value for run in variant.readings if (value := run.entry.costs.get(key)) is not None]
    return sum(known) / len(known) if known else None


def read_board(sweep: Sweep, metrics: Sequence[str]) -> Board | None:
    """Reads a sweep's runs and compares them; None with fewer than two that are finished and labelled.

    Args:
        sweep: that has ended.
        metrics: to compare, as far as the runs have them; the first leads.
    """
    readings = [run for run in read_sweep_runs(sweep) if _labelled(run, metrics)]
    if len(readings) < 2:
        return None
    everything = variants = variants_of(sweep, readings)
    classes = common_classes(variants)
    if not classes:  # nothing that all were tested on: those with the first one's classes
        variants = [each for each in variants if set(each.cells) >= set(variants[0].cells)]
        classes = common_classes(variants)
    apart = [each.name for each in everything if each not in variants]
    names = [name for name in dict.fromkeys([*metrics, *METRICS]) if _known(readings, name)]
    compared = [name for name in metrics if name in names]
    wheres = [*dict.fromkeys(name for each in variants for name in each.cells), MEAN]
    values = {
        (each.name, where, name): value
        for each in variants
        for where in wheres
        for name in names
        if (value := measured(each, where, name, classes=classes)) is not None
    }
    shown = _shown(sweep, variants)
    found = contrasts(variants, wheres=[MEAN], metrics=compared, classes=classes)
    several = classes if len(classes) > 1 else []
    within = contrasts(shown, wheres=several, metrics=compared[:1], classes=classes)
    return Board(sweep, variants, shown, classes, names, compared, values, found, within, apart)


def _shown(sweep: Sweep, variants: list[Variant]) -> list[Variant]:
    if len(variants) <= SHOWN:
        return variants
    order = {entry.run: place for place, entry in enumerate(sweep.entries)}
    by_rank = sorted(variants, key=lambda each: min(order[run.entry.run] for run in each.readings))
    return [each for each in variants if each in by_rank[:SHOWN]]


def _labelled(run: Reading, metrics: Sequence[str]) -> bool:
    return any(_finite(row.get(name)) for row in run.run.test.values() for name in metrics)


def _known(readings: Sequence[Reading], metric: str) -> bool:
    return any(_finite(row.get(metric)) for run in readings for row in run.run.test.values())


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
