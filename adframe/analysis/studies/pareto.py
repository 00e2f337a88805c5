"""Tables and figures of costs against quality, and which settings are Pareto-optimal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adframe.analysis.settings import Setting
from adframe.analysis.studies.ablation_figures import is_wide, numeric_key, without
from adframe.analysis.studies.ablation_results import AblationResults, cost
from adframe.analysis.studies.ablation_tables import key_title
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import capitalised, title_of, with_interval
from adframe.reporting.tables import Cell, Column, Table, table_of
from adframe.results.run_folder import MEMORY, MODEL
from adframe.stats.estimates import Estimate

P50, P95, RATE = "latency/p50_ms", "latency/p95_ms", "latency/images_per_second"


@dataclass(frozen=True, slots=True)
class Costed:
    """A setting with its quality and its costs.

    Attributes:
        setting: the setting.
        found: its metric, in the mean over categories.
        costs: by name, as far as they are known.
    """

    setting: Setting
    found: Estimate
    costs: Mapping[str, float]

    @property
    def name(self) -> str:
        """The name of the setting."""
        return self.setting.name


def costed(board: AblationResults) -> list[Costed]:
    """The costs of every setting of which the metric is known."""
    means = board.means(board.main)
    return [Costed(each, means[each.name], _costs(each)) for each in board.settings if each.name in means]


def pareto_front(points: Sequence[Costed], key: str) -> list[Costed]:
    """The Pareto-optimal settings: no other is cheaper and at least as good, or as cheap and better."""

    def dominates(a: Costed, b: Costed) -> bool:
        no_worse = a.costs[key] <= b.costs[key] and a.found.value >= b.found.value
        return no_worse and (a.costs[key] < b.costs[key] or a.found.value > b.found.value)

    known = [each for each in points if key in each.costs]
    return [each for each in known if not any(dominates(other, each) for other in known)]


def _costs(setting: Setting) -> dict[str, float]:
    found = {key: cost(setting, key) for key in (MODEL, MEMORY)}
    for key in (P50, P95, RATE):
        facts = [facts for test in setting.runs for facts in test.folder.val.values()]
        known = [value for each in facts if (value := each.get(key)) is not None]
        found[key] = sum(known) / len(known) if known else None
    return {key: value for key, value in found.items() if value is not None and math.isfinite(value)}


def efficiency_table(points: Sequence[Costed], board: AblationResults) -> TableBlock:
    """The costs of every setting, and its quality."""
    units = {P50: ("p50, ms", 1.0), P95: ("p95, ms", 1.0), RATE: ("images per second", 1.0),
             MODEL: ("model, MB", 1e6), MEMORY: ("process, MB", 1e6)}  # fmt: skip
    fastest = {each.name for each in pareto_front(points, P50)}
    smallest = {each.name for each in pareto_front(points, MODEL)}
    columns = (
        Column("setting", key_title(board)),
        *(Column(key, title) for key, (title, _) in units.items()),
        Column("found", title_of(board.main)),
        Column("front", "Pareto-optimal in"),
    )
    rows: list[tuple[Cell, ...]] = []
    for each in points:
        cells = [
            f"{each.costs[key] / by:.4g}" if key in each.costs else None for key, (_, by) in units.items()
        ]
        marks = [word for word, names in (("time", fastest), ("size", smallest)) if each.name in names]
        rows.append((each.name, *cells, with_interval(each.found), ", ".join(marks) or None))
    caption = (
        "Milliseconds of one image by itself, median and 95th percentile; images per second in batches; "
        "memory "
        f"of one category's model and of the whole process; {title_of(board.main)} in per cent. A setting is "
        "Pareto-optimal if no other is both cheaper and at least as good. Runs in one process inherit some "
        "of "
        "its memory."
    )
    raw: list[Mapping[str, Cell]] = [
        {"setting": each.name, **each.costs, board.main: each.found.value, "low": each.found.low,
         "high": each.found.high, "pareto_latency": int(each.name in fastest),
         "pareto_size": int(each.name in smallest)}
        for each in points
    ]  # fmt: skip
    return TableBlock("efficiency", caption, Table(columns, tuple(rows)), raw=table_of(raw))


def against_costs(points: Sequence[Costed], board: AblationResults) -> list[Figure]:
    """The metric against latency and against size."""
    wanted = (("latency", P50, 1.0, "median latency of one image, ms"), ("size", MODEL, 1e6, "model, MB"))
    return [
        figures.lines(
            f"{name}_against_quality",
            caption=f"{capitalised(title_of(board.main))} of test images against {axis}; whiskers are 95% "
            "bootstrap intervals, rings mark Pareto-optimal settings.",
            series=_series(points, board, key, by),
            x_name=axis,
            y_name=f"{title_of(board.main)}, %",
            log_x=is_wide([each.costs[key] for each in points if key in each.costs]),
            rings=[(each.costs[key] / by, each.found.value) for each in pareto_front(points, key)],
            ring_name="Pareto-optimal",
        )
        for name, key, by, axis in wanted
        if any(key in each.costs for each in points)
    ]


def latency_curves(points: Sequence[Costed], board: AblationResults) -> list[Figure]:
    """Latency against what was swept, where that is a number."""
    key = numeric_key(board.settings)
    if key is None:
        return []
    series: dict[str, list[figures.Step]] = {}
    for each in points:
        for cost_key, word in ((P50, "p50"), (P95, "p95")):
            if cost_key in each.costs:
                label = f"{without(each.setting, key)} {word}".strip()
                x = float(each.setting.overrides[key])
                series.setdefault(label, []).append((x, each.costs[cost_key], None, None))
    log = is_wide([float(each.overrides[key]) for each in board.settings])
    caption = f"Latency of one image against {key}: median and 95th percentile."
    name = board.key_names[board.keys.index(key)]
    return [
        figures.lines("latency", caption=caption, series=series, x_name=name, y_name="latency, ms", log_x=log)
    ]


def _series(
    points: Sequence[Costed], board: AblationResults, key: str, by: float
) -> dict[str, list[figures.Step]]:
    """One curve for each setting of what was swept next to a number; one curve where nothing was."""
    number = numeric_key(board.settings)
    series: dict[str, list[figures.Step]] = {}
    for each in points:
        if key in each.costs:
            label = without(each.setting, number) if number else each.name
            low, high = each.found.low, each.found.high
            ends = (low, high) if math.isfinite(low) else (None, None)
            series.setdefault(label, []).append((each.costs[key] / by, each.found.value, *ends))
    return series
