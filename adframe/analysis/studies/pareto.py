"""Tables and figures of what finding costs, and which settings nothing beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adframe.analysis.studies.ablation_figures import numeric_key, rest_of
from adframe.analysis.studies.ablation_results import Board, cost
from adframe.analysis.studies.ablation_tables import cell, setting
from adframe.analysis.studies.settings import Measured, Variant
from adframe.analysis.studies.statements import begun, title_of
from adframe.reporting import figures
from adframe.reporting.document import Figure, Numbers
from adframe.reporting.tables import Cell, Column, Table, table_of
from adframe.results.sweep_folder import MEMORY, MODEL

P50, P95, RATE = "latency/p50_ms", "latency/p95_ms", "latency/images_per_second"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one setting costs and finds."""

    name: str
    found: Measured
    costs: Mapping[str, float]  # P50, ..., MODEL and MEMORY, as far as known


def spent(board: Board) -> list[Spent]:
    """What every setting costs, as far as its metric is known."""
    means = board.means(board.main)
    return [Spent(each.name, means[each.name], _costs(each)) for each in board.variants if each.name in means]


def front(points: Sequence[Spent], key: str) -> list[Spent]:
    """Those that no other beats in both: cheaper and at least as good, or as cheap and better (Pareto)."""
    known = [each for each in points if key in each.costs]
    return [each for each in known if not any(_beats(other, each, key) for other in known)]


def _beats(a: Spent, b: Spent, key: str) -> bool:
    no_worse = a.costs[key] <= b.costs[key] and a.found.value >= b.found.value
    return no_worse and (a.costs[key] < b.costs[key] or a.found.value > b.found.value)


def _costs(variant: Variant) -> dict[str, float]:
    found = {key: cost(variant, key) for key in (MODEL, MEMORY)}
    for key in (P50, P95, RATE):
        known = [
            value
            for run in variant.readings
            for facts in run.run.val.values()
            if (value := facts.get(key)) is not None
        ]
        found[key] = sum(known) / len(known) if known else None
    return {key: value for key, value in found.items() if value is not None and math.isfinite(value)}


def costs_table(points: Sequence[Spent], board: Board) -> Numbers:
    """Every setting's costs beside what it finds."""
    units = {P50: ("p50, ms", 1.0), P95: ("p95, ms", 1.0), RATE: ("images a second", 1.0),
             MODEL: ("model, MB", 1e6), MEMORY: ("process, MB", 1e6)}  # fmt: skip
    fastest = {each.name for each in front(points, P50)}
    smallest = {each.name for each in front(points, MODEL)}
    columns = (
        Column("setting", setting(board)),
        *(Column(key, title) for key, (title, _) in units.items()),
        Column("found", title_of(board.main)),
        Column("front", "not beaten in"),
    )
    rows: list[tuple[Cell, ...]] = []
    for each in points:
        cells = [
            f"{each.costs[key] / by:.4g}" if key in each.costs else None for key, (_, by) in units.items()
        ]
        marks = [word for word, names in (("time", fastest), ("size", smallest)) if each.name in names]
        rows.append((each.name, *cells, cell(each.found), ", ".join(marks) or None))
    caption = (
        "Milliseconds of one image by itself, median and 95th percentile; images a second in batches; "
        f"memory of one class's model and of the whole process; {title_of(board.main)} in per cent. Last "
        "column: no other setting is both cheaper and at least as good, by the numbers seen. Runs in one "
        "process inherit some of its memory."
    )
    raw: list[Mapping[str, Cell]] = [
        {"setting": each.name, **each.costs, board.main: each.found.value, "low": each.found.low,
         "high": each.found.high, "front_of_latency": int(each.name in fastest),
         "front_of_size": int(each.name in smallest)}
        for each in points
    ]  # fmt: skip
    return Numbers("efficiency", caption, Table(columns, tuple(rows)), raw=table_of(raw))


def against(points: Sequence[Spent], board: Board) -> list[Figure]:
    """The metric against time and against size."""
    wanted = (("latency", P50, 1.0, "median latency of one image, ms"), ("size", MODEL, 1e6, "model, MB"))
    return [
        figures.lines(
            f"{name}_against_quality",
            caption=f"{begun(title_of(board.main))} of test images against {axis}; whiskers are 95 % "
            "bootstrap intervals, rings mark settings that no other beats in both by the numbers seen.",
            series=_series(points, board, key, by),
            x_name=axis,
            y_name=f"{title_of(board.main)}, %",
            log_x=_wide([each.costs[key] for each in points if key in each.costs]),
            rings=[(each.costs[key] / by, each.found.value) for each in front(points, key)],
            ring_name="not beaten in both",
        )
        for name, key, by, axis in wanted
        if any(key in each.costs for each in points)
    ]


def over(points: Sequence[Spent], board: Board) -> list[Figure]:
    """Time against what was swept, where that is a number."""
    key = numeric_key(board.variants)
    if key is None:
        return []
    told = {each.name: each for each in board.variants}
    series: dict[str, list[figures.Step]] = {}
    for each in points:
        variant = told[each.name]
        for cost_key, word in ((P50, "p50"), (P95, "p95")):
            if cost_key in each.costs:
                label = f"{rest_of(variant, key)} {word}".strip()
                step = (float(variant.told[key]), each.costs[cost_key], None, None)
                series.setdefault(label, []).append(step)
    log = _wide([float(each.told[key]) for each in board.variants])
    caption = f"Latency of one image against {key}: median and 95th percentile."
    name = board.names[board.keys.index(key)]
    return [
        figures.lines("latency", caption=caption, series=series, x_name=name, y_name="latency, ms", log_x=log)
    ]


def _series(points: Sequence[Spent], board: Board, key: str, by: float) -> dict[str, list[figures.Step]]:
    """A curve for each of what was swept beside a number; all settings in one where nothing was."""
    number, told = numeric_key(board.variants), {each.name: each for each in board.variants}
    series: dict[str, list[figures.Step]] = {}
    for each in points:
        if key in each.costs:
            label = rest_of(told[each.name], number) if number else each.name
            low, high = each.found.low, each.found.high
            ends = (low, high) if math.isfinite(low) else (None, None)
            series.setdefault(label, []).append((each.costs[key] / by, each.found.value, *ends))
    return series


def _wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) >= 10 * min(values)
