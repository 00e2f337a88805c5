"""Measures how often the 95 % intervals of metrics contain the true value, on simulated test sets.

    python -m benchmarks.coverage                                  # everything
    python -m benchmarks.coverage --families pixel --kinds "one test" --simulations 200
    python -m benchmarks.coverage --csv coverage.csv               # every metric of every setting

A setting is a law of scores with a number of images, whose true metrics are known from a very large sample.
Each simulation draws a test set, its resamples, and the interval. Next to adframe's intervals are 95 %
percentile intervals of the same draws. The intervals should cover at least 93 % in every setting, at most
99 % where the number of images allows it, and none should have no width.

With 400 simulations a coverage of 95 % has a standard error of 1.1 points. Of some thousand measured
coverages the lowest is therefore too low by chance. So a setting in which a coverage is below 93 % by more
than one standard error is measured again, with new draws and more simulations, and the second result counts.
A setting fails where the coverage is below 93 % by more than two standard errors.

Where more than 2.5 % of the test sets have no error at all, one side of the interval cannot miss the true
value: such settings do not allow a coverage below 99 %, and are not counted as too high. True values outside
0.6 to 0.999 are in the file; in the summary they count for intervals without a width alone.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from adframe.stats.intervals import DifferenceOf, Interval, MeanOf, Measured, SeedError, interval_of
from benchmarks.simulation import images, maps
from benchmarks.simulation.common import Run, SimulatedTest
from benchmarks.simulation.images import ScoredImages
from benchmarks.simulation.maps import ScoredMaps

NOMINAL, LOWEST, HIGHEST = 0.95, 0.93, 0.99
# True values in this range have to be covered; a false-positive rate counts as 1 minus it.
RANGE = (0.6, 0.999)
FAMILIES = ("image", "pixel")
# Share of test sets without an error above which one side of an interval cannot miss.
_ONE_SIDED = 0.025
_NO_WIDTH = 1e-9
AUROCS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999, 1.0)
IMAGE_COUNTS = ((5, 5), (10, 30), (20, 40), (20, 60), (27, 90), (41, 119), (60, 20), (100, 100))
STRENGTHS = (1.0, 2.0, 3.5, 6.0, 9.0, 100.0)
MAP_COUNTS = ((5, 5), (10, 30), (20, 40), (20, 60), (41, 119), (100, 100))
# Difficulty of the categories of a mean.
CATEGORY_AUROCS = (0.9, 0.99, 0.97, 0.8, 0.95, 0.995, 0.7, 0.98, 0.999, 0.93, 0.96, 0.985, 0.85, 0.99, 0.97)
CATEGORY_STRENGTHS = (3.0, 5.0, 7.0, 2.5, 4.0, 6.0, 8.0, 3.5, 2.0, 4.5, 5.5, 6.5, 9.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated: one number with its interval per metric.

    Attributes:
        kind: kind of the number, such as `mean of 3`.
        title: description.
        first: the tests that are averaged, one per category.
        second: the tests of the run that is compared with it; empty for no comparison.
        correlation: of the scores of two runs, or of two seeds, on the same image.
        seeds: number of seeds that are averaged.
        seed_spread: standard deviation of the separation between seeds.
    """

    kind: str
    title: str
    first: tuple[SimulatedTest, ...]
    second: tuple[SimulatedTest, ...] = ()
    correlation: float = 0.0
    seeds: int = 1
    seed_spread: float = 0.0

    @property
    def family(self) -> str:
        """Returns `image` or `pixel`."""
        return "image" if isinstance(self.first[0], ScoredImages) else "pixel"

    def truth(self) -> dict[str, float]:
        """Computes the true value of each metric."""
        first = _mean_truth(self.first, spread=self.seed_spread)
        if not self.second:
            return first
        return {
            name: value - first[name]
            for name, value in _mean_truth(self.second, spread=self.seed_spread).items()
        }

    def in_range(self) -> dict[str, bool]:
        """Tells for each metric whether its true value is in the range that is promised."""
        sides = [_mean_truth(each, spread=self.seed_spread) for each in (self.first, self.second) if each]
        return {name: all(_is_in_range(name, each[name]) for each in sides) for name in sides[0]}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one metric in one setting.

    Attributes:
        family: `image` or `pixel`.
        metric: its name.
        kind: kind of the number.
        setting: description of the setting.
        truth: the true value.
        in_range: whether the true value is in the range that is promised.
        simulations: number of simulations.
        coverage: share of intervals that contain the true value.
        width: mean width of the intervals.
        no_width: share of intervals without a width.
        one_sided: share of test sets without an error, or without a difference.
        percentile_coverage: coverage of percentile intervals.
        percentile_width: their mean width.
        percentile_no_width: share of them without a width.
    """

    family: str
    metric: str
    kind: str
    setting: str
    truth: float
    in_range: bool
    simulations: int
    coverage: float
    width: float
    no_width: float
    one_sided: float
    percentile_coverage: float
    percentile_width: float
    percentile_no_width: float

    @property
    def too_low(self) -> bool:
        """Tells whether the coverage is below the lowest one by more than two standard errors."""
        return self.coverage < LOWEST - 2 * _standard_error(LOWEST, self.simulations)

    @property
    def too_high(self) -> bool:
        """Tells whether the coverage is above the highest one, though the number of images allows less."""
        return self.allows_less and self.coverage > HIGHEST

    @property
    def allows_less(self) -> bool:
        """Tells whether the number of images allows a coverage below 99 %."""
        return self.one_sided <= _ONE_SIDED


def image_settings(*, full: bool = False) -> Iterator[Setting]:
    """Yields the settings of image metrics.

    Args:
        full: all combinations of laws, difficulties and numbers of images; one in three otherwise.

    Yields:
        The settings.
    """
    for place, (law, auroc, counts) in enumerate(product(images.LAWS, AUROCS, IMAGE_COUNTS)):
        if full or place % 3 == 0:
            test = ScoredImages(law, auroc, *counts, fpr=(0.1, 0.02)[place % 2])
            yield Setting("one test", test.title, (test,))
    pairs = ((0.8, 0.8), (0.8, 0.88), (0.9, 0.9), (0.9, 0.95), (0.98, 0.98), (0.98, 0.995), (0.999, 0.999))
    laws = ("binormal", "wide", "heavy tails", "looks normal", "ties", "parts")
    counts = ((5, 5), (10, 30), (20, 40), (27, 90), (100, 100))
    for place, (law, aurocs, count, correlation) in enumerate(product(laws, pairs, counts, (0.2, 0.6, 0.95))):
        if full or place % 8 == 0:
            first, second = (ScoredImages(law, each, *count) for each in aurocs)
            title = f"{first.title} and {aurocs[1]:g}, correlation {correlation:g}"
            yield Setting("difference", title, (first,), (second,), correlation)
    for law, count in (
        ("binormal", (5, 5)),
        ("binormal", (20, 60)),
        ("heavy tails", (20, 40)),
        ("wide", (10, 30)),
    ):
        categories = [ScoredImages(law, each, *count) for each in CATEGORY_AUROCS]
        better = [ScoredImages(law, each + (1 - each) / 3, *count) for each in CATEGORY_AUROCS]
        yield from _mean_settings(f"{law}, {count[0]}+{count[1]}", categories, better)
    for auroc, count, spread in (
        (0.9, (20, 40), 0.1),
        (0.9, (100, 100), 0.3),
        (0.98, (20, 60), 0.3),
        (0.95, (10, 30), 0.2),
    ):
        test = ScoredImages("binormal", auroc, *count)
        categories = [ScoredImages("binormal", each, *count) for each in CATEGORY_AUROCS]
        yield from _seed_settings(test, categories, spread=spread)


def pixel_settings(*, full: bool = False) -> Iterator[Setting]:
    """Yields the settings of pixel metrics.

    Args:
        full: all combinations of laws, strengths and numbers of images; one in two otherwise.

    Yields:
        The settings.
    """
    for place, (law, strength, counts) in enumerate(product(maps.LAWS, STRENGTHS, MAP_COUNTS)):
        if full or (place + place // len(MAP_COUNTS)) % 2 == 0:
            test = ScoredMaps(law, strength, *counts)
            yield Setting("one test", test.title, (test,))
    pairs = ((2.0, 2.0), (2.0, 2.5), (4.0, 4.0), (4.0, 6.0), (8.0, 8.0))
    counts = ((5, 5), (10, 30), (20, 40), (100, 100))
    for place, (law, strengths, count, correlation) in enumerate(
        product(maps.LAWS, pairs, counts, (0.3, 0.9))
    ):
        if full or place % 5 == 0:
            first, second = (ScoredMaps(law, each, *count) for each in strengths)
            title = f"{first.title} and {strengths[1]:g}, correlation {correlation:g}"
            yield Setting("difference", title, (first,), (second,), correlation)
    for law, count in (("few large", (5, 5)), ("mixed", (20, 60)), ("some missed", (10, 30))):
        categories = [ScoredMaps(law, each, *count) for each in CATEGORY_STRENGTHS]
        better = [ScoredMaps(law, each * 1.2, *count) for each in CATEGORY_STRENGTHS]
        yield from _mean_settings(f"{law}, {count[0]}+{count[1]}", categories, better)
    for law, count, spread in (("few large", (20, 40), 0.3), ("many small", (20, 60), 0.6)):
        categories = [ScoredMaps(law, each, *count) for each in CATEGORY_STRENGTHS]
        yield from _seed_settings(ScoredMaps(law, 4.0, *count), categories, spread=spread)


def measure_coverage(
    setting: Setting, *, simulations: int, resamples: int, seed: Sequence[int]
) -> list[Coverage]:
    """Measures the coverage of all metrics in a setting.

    Args:
        setting: what is simulated.
        simulations: number of simulated test sets.
        resamples: number of resamples of each.
        seed: seed of the draws.

    Returns:
        One result per metric.
    """
    rng, truth, in_range = np.random.default_rng(seed), setting.truth(), setting.in_range()
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for _ in range(simulations):
        for name, (number, draws, one_sided) in _simulate(setting, rng, resamples=resamples).items():
            low, high = interval_of(number)
            lower, upper = np.quantile(draws, [(1 - NOMINAL) / 2, (1 + NOMINAL) / 2])
            inside, percentile_inside = (
                a - _NO_WIDTH <= truth[name] <= b + _NO_WIDTH for a, b in ((low, high), (lower, upper))
            )
            rows[name].append(
                (
                    inside,
                    high - low,
                    high - low < _NO_WIDTH,
                    one_sided,
                    percentile_inside,
                    upper - lower,
                    upper - lower < _NO_WIDTH,
                )
            )
    return [
        Coverage(
            setting.family,
            name,
            setting.kind,
            setting.title,
            truth[name],
            in_range[name],
            simulations,
            *np.mean(each, axis=0, dtype=float).tolist(),
        )
        for name, each in rows.items()
    ]


def _simulate(
    setting: Setting, rng: np.random.Generator, *, resamples: int
) -> dict[str, tuple[Interval, np.ndarray, bool]]:
    """Draws one test set per category.

    Returns:
        Metric -> the number with its interval, its (resamples,) draws, and whether no error was seen.
    """
    sides = [each for each in (setting.first, setting.second) if each]
    runs = []  # one per category, run and seed
    for tests in zip(*sides, strict=True):
        drawn = tests[0].images(rng, resamples=resamples)
        shifts = rng.normal(size=(len(sides), setting.seeds)) * setting.seed_spread
        runs.append(
            [
                [test.run(drawn, rng, correlation=setting.correlation, shift=float(each)) for each in row]
                for test, row in zip(tests, shifts, strict=True)
            ]
        )
    return {name: _number(setting, runs, name) for name in runs[0][0][0].values}


def _number(
    setting: Setting, runs: Sequence[Sequence[Sequence[Run]]], name: str
) -> tuple[Interval, np.ndarray, bool]:
    parts: list[Measured | DifferenceOf] = []
    for test, sides in zip(setting.first, runs, strict=True):
        measured = [_mean_over_seeds(each, name, test) for each in sides]
        parts.append(DifferenceOf(*measured, paired=True) if len(measured) == 2 else measured[0])
    draws = np.mean([each.drawn if isinstance(each, Measured) else each.errors[0] for each in parts], axis=0)
    one_sided = all(_has_no_error(each) for each in parts)
    if setting.seeds == 1 and len(parts) == 1:
        return parts[0], draws, one_sided
    by_seed = np.mean([[[each.values[name] for each in side] for side in sides] for sides in runs], axis=0)
    differences = by_seed[1] - by_seed[0] if len(by_seed) == 2 else by_seed[0]
    return MeanOf(parts, SeedError.of(differences.tolist())), draws, one_sided


def _mean_over_seeds(runs: Sequence[Run], name: str, test: SimulatedTest) -> Measured:
    return Measured(
        name,
        float(np.mean([each.values[name] for each in runs])),
        np.mean([each.drawn[name] for each in runs], axis=0),
        test.units,
        float(np.mean([each.called for each in runs])),
    )


def _has_no_error(number: Measured | DifferenceOf) -> bool:
    if isinstance(number, DifferenceOf):
        return number.value == 0 or any(_has_no_error(each) for each in (number.first, number.second))
    return number.value in (0, 1)


def _mean_truth(tests: Sequence[SimulatedTest], *, spread: float) -> dict[str, float]:
    """Averages true values over categories and, by Gauss-Hermite quadrature, over seeds."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(7) if spread else (np.zeros(1), np.ones(1))
    truths = [[test.truth(float(node) * spread) for node in nodes] for test in tests]
    return {
        name: float(np.mean([np.average([each[name] for each in row], weights=weights) for row in truths]))
        for name in truths[0][0]
    }


def _is_in_range(metric: str, value: float) -> bool:
    good = 1 - value if metric in ("image/fpr", "image/fpr95") else value
    return RANGE[0] <= good <= RANGE[1]


def _mean_settings(
    title: str, categories: Sequence[SimulatedTest], better: Sequence[SimulatedTest]
) -> Iterator[Setting]:
    for count in (3, 15):
        first = tuple(categories[:count])
        yield Setting(f"mean of {count}", title, first)
        yield Setting(
            f"difference of means of {count}", f"{title}, better", first, tuple(better[:count]), 0.6
        )
        yield Setting(f"difference of means of {count}", f"{title}, equal", first, first, 0.6)


def _seed_settings(
    test: SimulatedTest, categories: Sequence[SimulatedTest], *, spread: float
) -> Iterator[Setting]:
    options = {"correlation": 0.8, "seed_spread": spread}
    for seeds in (2, 3, 5):
        title = f"{test.title}, {seeds} seeds of spread {spread:g}"
        yield Setting("mean over seeds", title, (test,), seeds=seeds, **options)
        yield Setting("difference over seeds", title, (test,), (test,), seeds=seeds, **options)
        title = f"3 categories, {title}"
        yield Setting("mean over seeds", title, tuple(categories[:3]), seeds=seeds, **options)


def _standard_error(share: float, simulations: int) -> float:
    return float(np.sqrt(share * (1 - share) / simulations))


def summarise(results: Sequence[Coverage]) -> Table:
    """Lists the metrics, worst first.

    Args:
        results: the coverages; those outside the range count for intervals without a width alone.

    Returns:
        A table with one row per metric and kind of number.
    """
    table = Table(title=f"Coverage of 95 % intervals; true values from {RANGE[0]:g} to {RANGE[1]:g}")
    for heading in (
        "metric", "number", "settings", "min", "mean", "< 93 %", "> 99 %", "no width", "width",
        "percentile: min", "mean", "no width", "width",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("metric", "number") else "right")
    grouped: dict[tuple[str, str], list[Coverage]] = defaultdict(list)
    for each in results:
        grouped[each.metric, each.kind].append(each)
    tables = [
        (key, found, rows) for key, found in grouped.items() if (rows := [r for r in found if r.in_range])
    ]
    for (metric, kind), found, rows in sorted(tables, key=lambda item: min(row.coverage for row in item[2])):
        coverages, percentiles = (
            [getattr(row, name) for row in rows] for name in ("coverage", "percentile_coverage")
        )
        table.add_row(
            metric,
            kind,
            f"{len(rows)}",
            f"{min(coverages):.3f}",
            f"{np.mean(coverages):.3f}",
            f"{sum(row.too_low for row in rows)}",
            f"{sum(row.too_high for row in rows)} of {sum(row.allows_less for row in rows)}",
            # Perfect separation is outside the range of true values, but has to have a width.
            f"{np.mean([row.no_width for row in found]):.1%}",
            f"{np.mean([row.width for row in rows]):.3f}",
            f"{min(percentiles):.3f}",
            f"{np.mean(percentiles):.3f}",
            f"{np.mean([row.percentile_no_width for row in found]):.1%}",
            f"{np.mean([row.percentile_width for row in rows]):.3f}",
        )
    return table


def list_worst(results: Sequence[Coverage], *, count: int) -> Table:
    """Lists the settings with the lowest coverage and those with too high a coverage.

    Args:
        results: the coverages; those outside the range are left out.
        count: number of rows of each kind.

    Returns:
        A table with one row per metric and setting.
    """
    table = Table(
        title="Settings with the lowest coverage, and those above 99 % though the images allow less"
    )
    for heading in (
        "metric",
        "number",
        "setting",
        "truth",
        "coverage",
        "width",
        "percentile: coverage",
        "no width",
    ):
        table.add_column(heading, justify="left" if heading in ("metric", "number", "setting") else "right")
    known = sorted((each for each in results if each.in_range), key=lambda each: each.coverage)
    for row in [*known[:count], *[each for each in reversed(known) if each.too_high][:count]]:
        table.add_row(
            row.metric,
            row.kind,
            row.setting,
            f"{row.truth:.4f}",
            f"{row.coverage:.3f}{' *' if row.too_low or row.too_high else ''}",
            f"{row.width:.4f}",
            f"{row.percentile_coverage:.3f}",
            f"{row.percentile_no_width:.0%}",
        )
    return table


def write_csv(results: Sequence[Coverage], path: Path) -> None:
    """Writes all results.

    Args:
        results: the coverages.
        path: the file.
    """
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Coverage)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(each) for each in results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument(
        "--kinds", nargs="+", help="kinds of numbers, such as `one test` or `mean of 3`; all by default"
    )
    parser.add_argument(
        "--full", action="store_true", help="all combinations of laws, difficulties and numbers of images"
    )
    parser.add_argument("--simulations", type=int, default=300, help="test sets per setting")
    parser.add_argument(
        "--again", type=int, default=4, help="how many times more for settings that seem to fail"
    )
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--worst", type=int, default=20, help="settings that are listed")
    parser.add_argument("--csv", type=Path, help="file for all results")
    options = parser.parse_args()
    settings = [
        setting
        for family, listed in zip(FAMILIES, (image_settings, pixel_settings), strict=True)
        for setting in listed(full=options.full)
        if family in options.families and (not options.kinds or setting.kind in options.kinds)
    ]
    start, results = time.perf_counter(), []
    limit = LOWEST - _standard_error(LOWEST, options.simulations)
    for place, setting in enumerate(settings):
        given = {"resamples": options.resamples}
        found = measure_coverage(
            setting, simulations=options.simulations, seed=(options.seed, place), **given
        )
        if options.again and any(each.in_range and each.coverage < limit for each in found):
            simulations = options.simulations * options.again
            found = measure_coverage(setting, simulations=simulations, seed=(options.seed, place, 1), **given)
        results += found
        if options.csv:
            write_csv(results, options.csv)
    console = Console()
    console.print(list_worst(results, count=options.worst))
    console.print(summarise(results))
    console.print(f"{len(settings)} settings, {time.perf_counter() - start:.0f} s")
    console.print(_note_on_truths(settings, results))


def _note_on_truths(settings: Sequence[Setting], results: Sequence[Coverage]) -> str:
    """Compares the errors of the true values of pixel metrics with the widths of the intervals."""
    tests = {
        each.title: each.first[0] for each in settings if each.kind == "one test" and each.family == "pixel"
    }
    shares = [
        tests[each.setting].truth_errors()[each.metric] / each.width
        for each in results
        if each.setting in tests and each.in_range
    ]
    if not shares:
        return ""
    return (
        f"Standard errors of true pixel metrics: at most {max(shares):.1%} of the mean width of an interval."
    )


if __name__ == "__main__":
    main()
