"""Builds the tables and figures of costs and quality, and finds the Pareto-optimal settings."""

from __future__ import annotations

import math
from collections.abc import Mapping

from adframe.analysis.studies.ablation_figures import (
    curve_point,
    name_without,
    needs_log_axis,
    numeric_key,
)
from adframe.analysis.studies.ablation_results import AblationResults, mean_cost
from adframe.analysis.studies.ablation_tables import settings_title
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import capitalised, title_of, with_interval
from adframe.reporting.tables import Cell, Column, table_of, table_of_columns
from adframe.results.run_folder import MEMORY, MODEL

P50, P95, RATE = "latency/p50_ms", "latency/p95_ms", "latency/images_per_second"
Costs = Mapping[str, Mapping[str, float]]  # name of the setting -> name of the cost -> value
_TABLE_COSTS = {
    P50: ("median, ms", 1.0),
    P95: ("95th percentile, ms", 1.0),
    RATE: ("images per second", 1.0),
    MODEL: ("size of a model, MB", 1e6),
    MEMORY: ("memory used, MB", 1e6),
}


def costs_of(results: AblationResults) -> dict[str, dict[str, float]]:
    """Collects the costs of every setting whose main metric is known.

    Args:
        results: the results of the sweep.

    Returns:
        Name of the setting -> name of the cost -> its mean over runs, in milliseconds, images per second or
        bytes; unknown costs are left out.
    """
    found = {}
    means = results.means(results.main_metric)
    for setting in results.settings:
        if setting.name not in means:
            continue
        costs = {key: mean_cost(setting, key) for key in (MODEL, MEMORY)}
        for key in (P50, P95, RATE):
            facts = [facts for test in setting.runs for facts in test.folder.val.values()]
            known = [value for each in facts if (value := each.get(key)) is not None]
            costs[key] = sum(known) / len(known) if known else None
        found[setting.name] = {
            key: value for key, value in costs.items() if value is not None and math.isfinite(value)
        }
    return found


def pareto_front(costs: Costs, values: Mapping[str, float], key: str) -> list[str]:
    """Finds the Pareto-optimal settings.

    A setting is dominated if another one is cheaper and at least as good, or as cheap and better.

    Args:
        costs: name of the setting -> name of the cost -> value.
        values: name of the setting -> its metric; higher is better.
        key: name of the cost.

    Returns:
        Names of the settings that no other one dominates, in the order of `costs`. Settings with an unknown
        cost are left out.

    Example:
        >>> costs = {"small": {"seconds": 1.0}, "large": {"seconds": 5.0}, "slow": {"seconds": 9.0}}
        >>> pareto_front(costs, {"small": 0.8, "large": 0.9, "slow": 0.7}, "seconds")
        ['small', 'large']
    """
    known = {name: (own[key], values[name]) for name, own in costs.items() if key in own}

    def dominates(a: str, b: str) -> bool:
        (cost_a, value_a), (cost_b, value_b) = known[a], known[b]
        return cost_a <= cost_b and value_a >= value_b and (cost_a < cost_b or value_a > value_b)

    return [name for name in known if not any(dominates(other, name) for other in known)]


def efficiency_table(costs: Costs, results: AblationResults) -> TableBlock:
    """Builds the table of costs and quality.

    Args:
        costs: the costs by setting, as from `costs_of`.
        results: the results of the sweep.

    Returns:
        One row per setting.
    """
    means, metric = results.means(results.main_metric), results.main_metric
    values = {name: each.value for name, each in means.items()}
    fastest, smallest = (set(pareto_front(costs, values, key)) for key in (P50, MODEL))
    columns = (
        Column("setting", settings_title(results)),
        *(Column(key, title) for key, (title, _) in _TABLE_COSTS.items()),
        Column("quality", title_of(metric)),
        Column("fronts", "Pareto-optimal in"),
    )
    rows = [
        {
            "setting": name,
            **{
                key: f"{own[key] / unit:.4g}" if key in own else None
                for key, (_, unit) in _TABLE_COSTS.items()
            },
            "quality": with_interval(means[name]),
            "fronts": ", ".join(["time"] * (name in fastest) + ["size"] * (name in smallest)) or None,
        }
        for name, own in costs.items()
    ]
    raw: list[Mapping[str, Cell]] = [
        {
            "setting": name,
            **own,
            metric: means[name].value,
            "low": means[name].low,
            "high": means[name].high,
            "pareto_latency": int(name in fastest),
            "pareto_size": int(name in smallest),
        }
        for name, own in costs.items()
    ]
    caption = (
        "Latency of a single image in milliseconds, median and 95th percentile; images per second in "
        "batches; size of one category's model, and the most memory that the process used; "
        f"{title_of(metric)} in per cent. A setting is Pareto-optimal if no other is both cheaper and at "
        "least as good. Runs in one process inherit some of its memory."
    )
    return TableBlock("efficiency", caption, table_of_columns(columns, rows), raw=table_of(raw))


def quality_over_cost(costs: Costs, results: AblationResults) -> list[Figure]:
    """Draws the main metric over latency and over size.

    Args:
        costs: the costs by setting, as from `costs_of`.
        results: the results of the sweep.

    Returns:
        One figure per cost that is known.
    """
    means, title = results.means(results.main_metric), title_of(results.main_metric)
    values = {name: each.value for name, each in means.items()}
    settings = {each.name: each for each in results.settings}
    number = numeric_key(results.settings)
    found = []
    for file, key, unit, axis in (
        ("latency", P50, 1.0, "median latency of one image, ms"),
        ("size", MODEL, 1e6, "size of a model, MB"),
    ):
        known = {name: own[key] for name, own in costs.items() if key in own}
        if not known:
            continue
        # One curve connects the values of the numeric key; every setting is a curve where there is none.
        series: dict[str, list[figures.Step]] = {}
        for name, cost in known.items():
            label = name_without(settings[name], number) if number else name
            series.setdefault(label, []).append(curve_point(cost / unit, means[name]))
        found.append(
            figures.lines(
                f"{file}_against_quality",
                caption=f"{capitalised(title)} of test images over {axis}; whiskers are 95% "
                "intervals, rings mark Pareto-optimal settings.",
                series=series,
                x_name=axis,
                y_name=f"{title}, %",
                log_x=needs_log_axis(list(known.values())),
                rings=[(known[name] / unit, values[name]) for name in pareto_front(costs, values, key)],
                ring_name="Pareto-optimal",
            )
        )
    return found


def latency_curves(costs: Costs, results: AblationResults) -> list[Figure]:
    """Draws latency over a key that was varied, where its values are numbers.

    Args:
        costs: the costs by setting, as from `costs_of`.
        results: the results of the sweep.

    Returns:
        The figure; none where no key has numbers as values.
    """
    key = numeric_key(results.settings)
    if key is None:
        return []
    series: dict[str, list[figures.Step]] = {}
    for setting in results.settings:
        for cost_key, word in ((P50, "median"), (P95, "95th percentile")):
            if cost_key in costs.get(setting.name, {}):
                label = f"{name_without(setting, key)} {word}".strip()
                x = float(setting.overrides[key])
                series.setdefault(label, []).append((x, costs[setting.name][cost_key], None, None))
    return [
        figures.lines(
            "latency",
            caption=f"Latency of one image over {key}: median and 95th percentile.",
            series=series,
            x_name=results.key_names[results.keys.index(key)],
            y_name="latency, ms",
            log_x=needs_log_axis([float(each.overrides[key]) for each in results.settings]),
        )
    ]
