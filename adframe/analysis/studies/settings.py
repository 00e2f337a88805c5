"""The variants that a sweep compares: runs that differ in nothing but seed or class are one of them.

Two variants are compared on the bootstrap draws of their runs. Runs with the same seed and images have drawn
the same images in every resample, so their differences are paired; where seeds or images differ the draws are
taken for independent, which is wider, and said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.studies.sweep_runs import Reading, paired
from adframe.results.names import MEAN
from adframe.results.sweep_folder import Sweep
from adframe.stats.bootstrap import interval

LEVEL = 0.95
SEED, CLASS, DATASET = "seed", "category", "dataset"
Cell = tuple[Reading, str]  # a run, and the category as its folder calls it


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric with its 95 % interval (NaN where not known), and its spread over seeds (NaN below two)."""

    value: float
    low: float
    high: float
    spread: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One setting of what varies.

    Attributes:
        name: only what varies.
        told: the same by key.
        cells: class -> the runs that tested it, one a seed.
    """

    name: str
    told: Mapping[str, str]
    cells: Mapping[str, tuple[Cell, ...]]

    @property
    def readings(self) -> list[Reading]:
        """Its runs."""
        found = {id(run): run for cells in self.cells.values() for run, _ in cells}
        return list(found.values())

    def seeds(self, where: str, metric: str) -> list[float]:
        """A class's metric of each seed, as far as it is known."""
        values = [run.run.test[name].get(metric) for run, name in self.cells.get(where, ())]
        return [value for value in values if value is not None and math.isfinite(value)]

    def draws(self, where: str, metric: str) -> np.ndarray | None:
        """(resamples,) values of a class's metric, the mean over seeds."""
        found = [run.drawn.get(name, {}).get(metric) for run, name in self.cells.get(where, ())]
        known = [values for values in found if values is not None]
        return mean_together(known) if known and len(known) == len(found) else None


def variants_of(sweep: Sweep, readings: Sequence[Reading]) -> list[Variant]:
    """The settings that were tried, in the order in which they were asked for."""
    varied = [key for key in sweep.varied if any(key in run.entry.told for run in readings)]
    merged = {SEED, CLASS, *([DATASET, "dataset.root"] if DATASET in varied else [])}
    keys = [key for key in varied if key not in merged]
    groups: dict[tuple[str, ...], list[Reading]] = {}
    for run in readings:
        groups.setdefault(tuple(run.entry.told.get(key, "default") for key in keys), []).append(run)
    found = []
    for values, runs in groups.items():
        told = dict(zip(keys, values, strict=True))
        found.append(Variant(_name(told), told, _cells(runs, named=DATASET in varied)))
    return found


def common_classes(variants: Sequence[Variant]) -> list[str]:
    """The classes that every variant was tested on."""
    return [name for name in variants[0].cells if all(name in each.cells for each in variants)]


def measured(variant: Variant, where: str, metric: str, *, classes: Sequence[str]) -> Measured | None:
    """A metric of a class, or its mean over classes; None where it is not known.

    Args:
        variant: of it.
        where: a class, or `mean`.
        metric: such as `image/auroc`.
        classes: that the mean is over.
    """
    names = list(classes) if where == MEAN else [where]
    by_class = [variant.seeds(name, metric) for name in names]
    if not by_class or not all(by_class):
        return None
    value = float(np.mean([np.mean(values) for values in by_class]))
    draws = [variant.draws(name, metric) for name in names]
    known = [each for each in draws if each is not None]
    ends = interval(np.mean(known, axis=0), level=LEVEL) if len(known) == len(draws) else (math.nan, math.nan)
    fewest = min(len(values) for values in by_class)
    each_seed = np.mean([values[:fewest] for values in by_class], axis=0)
    spread = float(np.std(each_seed, ddof=1)) if fewest > 1 else math.nan
    return Measured(value, *ends, spread, fewest)


def gain_draws(a: Variant, b: Variant, where: str, metric: str) -> tuple[np.ndarray, float, bool] | None:
    """What b has more than a in a class: (resamples,) draws, the value seen, whether they are paired.

    Seeds that both have are compared seed by seed.
    """
    pairs = [
        (one, other)
        for one in a.cells.get(where, ())
        for other in b.cells.get(where, ())
        if paired([one[0], other[0]], one[1])
    ]
    drawn = [(_draws(one, metric), _draws(other, metric)) for one, other in pairs]
    both = [(one, other) for one, other in drawn if one is not None and other is not None]
    if both and len(both) == len(drawn):
        seen = [_value(other, metric) - _value(one, metric) for one, other in pairs]
        return mean_together([other - one for one, other in both]), float(np.mean(seen)), True
    one, other = a.draws(where, metric), b.draws(where, metric)
    if one is None or other is None:
        return None
    apart = np.random.default_rng(0).permutation(len(other))  # whatever they have in common is not relied on
    seen_a, seen_b = a.seeds(where, metric), b.seeds(where, metric)
    return other[apart] - one, float(np.mean(seen_b) - np.mean(seen_a)), False


def mean_together(draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several seeds' draws, as if all of them erred together, which is the widest they can.

    Seeds are tested on the same images, but each has drawn its own resamples of them: a plain mean of such
    draws would be narrower the more seeds there are, although the images are no more.
    """
    if len(draws) == 1:
        return draws[0]
    together = np.empty(len(draws[0]))
    together[np.argsort(draws[0], kind="stable")] = np.mean([np.sort(each) for each in draws], axis=0)
    return together


def shown_name(key: str, keys: Sequence[str]) -> str:
    """`model.reduce` is `reduce`, unless another key would be called the same."""
    last = key.rpartition(".")[2]
    return key if [other.rpartition(".")[2] for other in keys].count(last) > 1 else last


def _name(told: Mapping[str, str]) -> str:
    if len(told) == 1:
        return next(iter(told.values()))
    return ", ".join(f"{shown_name(key, list(told))}={value}" for key, value in told.items()) or "all runs"


def _cells(runs: Sequence[Reading], *, named: bool) -> dict[str, tuple[Cell, ...]]:
    cells: dict[str, tuple[Cell, ...]] = {}
    for run in runs:
        for name in run.run.test:
            if name == MEAN:
                continue
            where = f"{run.entry.told[DATASET]}/{name}" if named and DATASET in run.entry.told else name
            if all(run.seed != other.seed for other, _ in cells.get(where, ())):  # the same asked for twice
                cells[where] = (*cells.get(where, ()), (run, name))
    return cells


def _draws(cell: Cell, metric: str) -> np.ndarray | None:
    return cell[0].drawn.get(cell[1], {}).get(metric)


def _value(cell: Cell, metric: str) -> float:
    value = cell[0].run.test[cell[1]].get(metric)
    return math.nan if value is None else value
