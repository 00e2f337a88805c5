"""Builds the tables on the page of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping

from adframe.analysis.paper_tables import results_latex
from adframe.analysis.studies.ablation_results import AblationResults, known_estimates, mean_cost
from adframe.reporting.document import TableBlock
from adframe.reporting.format import capitalised, counted, p_value, points, span, title_of, with_spread
from adframe.reporting.tables import Cell, Column, Table, table_of, table_of_columns
from adframe.results.names import MEAN
from adframe.results.run_folder import MEMORY, MODEL, SECONDS

_PAIRS = 12  # rows of the table of pairs on the page
_PAIR_COLUMNS = (
    Column("a", "A"),
    Column("b", "B"),
    Column("metric_title", "metric"),
    Column("points", "B minus A"),
    Column("interval", "95% interval"),
    Column("p_text", "p"),
    Column("p_holm_text", "p (Holm)"),
    Column("draws", "draws"),
)
_PAIR_CSV_COLUMNS = tuple(
    Column(key, key)
    for key in (
        *("a", "b", "category", "metric", "difference", "low", "high", "p", "p_holm"),
        "paired",
    )
)
_COSTS = {SECONDS: (1.0, "time, s"), MODEL: (1e6, "size of a model, MB"), MEMORY: (1e6, "memory used, MB")}


def results_table(results: AblationResults) -> TableBlock:
    """Builds the table of settings and metrics.

    Args:
        results: the results of the sweep.

    Returns:
        The means over categories on the page; in the CSV file every category, unrounded.
    """
    metrics = [name for name in results.metrics if results.means(name)]
    columns = (
        Column("setting", settings_title(results)),
        *(Column(name, title_of(name)) for name in metrics),
    )
    rows = tuple(
        (each.name, *(with_spread(results.estimate(each, MEAN, name)) for name in metrics))
        for each in results.settings
    )
    notes = {
        (line, place): f"({span(found.low, found.high)})"
        for line, each in enumerate(results.settings)
        for place, name in enumerate(metrics, 1)
        if math.isfinite((found := results.estimate(each, MEAN, name)).low)
    }
    count = len(results.categories)
    over = f"Mean over {count} categories" if count > 1 else f"On {results.categories[0]}"
    several_seeds = any(value.seeds > 1 for name in metrics for value in results.means(name).values())
    caption = f"{over}, test images, in per cent; in brackets the 95% interval" + (
        "; ± is the standard deviation over seeds." if several_seeds else "."
    )
    raw: list[Mapping[str, Cell]] = [
        {
            **setting.overrides, "setting": setting.name, "category": where, "metric": metric,
            "value": value.value, "low": value.low, "high": value.high, "seeds": value.seeds,
            "seeds_sd": value.spread,
        }
        for setting, where, metric, value in known_estimates(results)
    ]  # fmt: skip
    return TableBlock(
        "results", caption, Table(columns, rows), raw=table_of(raw), notes=notes, latex=results_latex(results)
    )


def categories_table(results: AblationResults) -> TableBlock:
    """Builds the table of the main metric per category.

    Args:
        results: the results of the sweep.

    Returns:
        One row per setting; the last column is the mean over categories.
    """
    places = [*results.categories, MEAN]
    columns = (Column("setting", settings_title(results)), *(Column(name, name, True) for name in places))
    rows = []
    for each in results.settings:
        found = [results.estimate(each, where, results.main_metric) for where in places]
        rows.append((each.name, *(value.value if value.known else None for value in found)))
    caption = f"{capitalised(title_of(results.main_metric))} per category, test images, in per cent."
    return TableBlock("categories", caption, Table(columns, tuple(rows)))


def pairs_table(results: AblationResults) -> TableBlock:
    """Builds the table of differences between every two settings.

    Args:
        results: the results of the sweep.

    Returns:
        On the page the differences of means with the smallest p values; in the CSV file all of them, and
        those of single categories.
    """
    rows = [
        {
            "a": each.a,
            "b": each.b,
            "category": each.where,
            "metric": each.metric,
            "difference": each.difference.value,
            "low": each.difference.low,
            "high": each.difference.high,
            "p": each.difference.p,
            "p_holm": each.adjusted,
            "paired": int(each.paired),
            "metric_title": title_of(each.metric),
            "points": points(each.difference.value),
            "interval": span(each.difference.low, each.difference.high, signed=True),
            "p_text": p_value(each.difference.p),
            "p_holm_text": p_value(each.adjusted),
            "draws": "paired" if each.paired else "independent",
        }
        for each in [*results.pairs, *results.category_pairs]
    ]
    means = rows[: len(results.pairs)]
    by_p = sorted(means, key=lambda row: (row["p_holm"], row["p"]))
    rest = f" The first {_PAIRS} are shown; the file has all." if len(by_p) > _PAIRS else ""
    return TableBlock(
        "pairs",
        "Differences between every two settings, in percentage points, in ascending order of p. Holm's "
        "correction and the simultaneous intervals are for one family of "
        f"{counted(len(by_p), 'comparison')}. Where the draws are paired, both settings are "
        f"resampled on the same images.{rest}",
        table_of_columns(_PAIR_COLUMNS, by_p[:_PAIRS]),
        raw=table_of_columns(_PAIR_CSV_COLUMNS, rows) if rows else table_of([]),
    )


def costs_table(results: AblationResults) -> TableBlock:
    """Builds the table of time and memory, averaged over the runs of each setting.

    Args:
        results: the results of the sweep.

    Returns:
        Seconds and megabytes on the page; seconds and bytes in the CSV file.
    """
    columns = (
        Column("setting", settings_title(results)),
        *(Column(key, title) for key, (_, title) in _COSTS.items()),
    )
    costs = {each.name: {key: mean_cost(each, key) for key in _COSTS} for each in results.settings}
    rows = tuple(
        (name, *(_scaled_cost(own[key], by=unit) for key, (unit, _) in _COSTS.items()))
        for name, own in costs.items()
    )
    raw: list[Mapping[str, Cell]] = [{"setting": name, **own} for name, own in costs.items()]
    return TableBlock(
        "costs",
        "Time of a run in seconds, size of one category's model, and the most memory that the run's "
        "process used. The runs of a sweep share features and selections: the first run computes them, and "
        "its time includes them.",
        Table(columns, rows),
        raw=table_of(raw),
    )


def settings_title(results: AblationResults) -> str:
    """Returns the title of the column that names the settings.

    Args:
        results: the results of the sweep.

    Returns:
        The name of the key that was varied, or `setting` where several were.
    """
    return results.key_names[0] if len(results.key_names) == 1 else "setting"


def _scaled_cost(value: float | None, *, by: float) -> str | None:
    if value is None:
        return None
    return f"{value / by:.3g}" if value / by < 1000 else f"{value / by:.0f}"
