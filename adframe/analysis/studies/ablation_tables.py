"""The tables of the page of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

from adframe.analysis.compare import Comparison
from adframe.analysis.studies.ablation_results import AblationResults, cost, raw_estimates
from adframe.reporting.document import TableBlock
from adframe.reporting.format import capitalised, p_value, points, span, title_of, with_interval
from adframe.reporting.tables import Cell, Column, Table, table_of
from adframe.results.names import MEAN
from adframe.results.run_folder import MEMORY, MODEL, SECONDS
from adframe.stats.estimates import Estimate

_PAIRS = 12  # rows on the page


def results_table(board: AblationResults) -> TableBlock:
    """The mean over categories of every setting; the file has every category, raw."""
    metrics = [name for name in board.metrics if board.means(name)]
    columns = (Column("setting", key_title(board)), *(Column(name, title_of(name)) for name in metrics))
    rows = tuple(
        (each.name, *(with_interval(board.estimate(each, MEAN, name)) for name in metrics))
        for each in board.settings
    )
    count = len(board.categories)
    over = f"Mean over {count} categories" if count > 1 else f"On {board.categories[0]}"
    seeds = any(value.seeds > 1 for name in metrics for value in board.means(name).values())
    caption = f"{over}, test images, in per cent, with 95% bootstrap intervals" + (
        "; ± is the standard deviation over seeds." if seeds else "."
    )
    raw: list[Mapping[str, Cell]] = [
        {
            **setting.overrides, "setting": setting.name, "category": where, "metric": metric,
            "value": value.value, "low": value.low, "high": value.high, "seeds": value.seeds,
            "seeds_sd": value.spread,
        }
        for setting, where, metric, value in raw_estimates(board)
    ]  # fmt: skip
    return TableBlock("results", caption, Table(columns, rows), raw=table_of(raw))


def categories_table(board: AblationResults) -> TableBlock:
    """The first metric, category by category."""
    places = [*board.categories, MEAN]
    columns = (Column("setting", key_title(board)), *(Column(name, name, True) for name in places))
    rows = tuple(
        (each.name, *(known_value(board.estimate(each, where, board.main)) for where in places))
        for each in board.settings
    )
    caption = f"{capitalised(title_of(board.main))} by category, test images, in per cent."
    return TableBlock("categories", caption, Table(columns, rows))


def pairs_table(board: AblationResults) -> TableBlock:
    """Every pair of settings, by each metric that is compared."""
    columns = (
        Column("a", "A"), Column("b", "B"), Column("metric", "metric"), Column("difference", "B minus A"),
        Column("interval", "95% interval"), Column("p", "p"), Column("p_holm", "p (Holm)"),
        Column("draws", "draws"),
    )  # fmt: skip
    surest = sorted(board.pairs, key=lambda one: (one.adjusted, one.difference.p))
    rest = f" The first {_PAIRS} are shown; the file has all." if len(surest) > _PAIRS else ""
    return TableBlock(
        "pairs",
        "Differences between every two settings, in points, those with the smallest p first. p is the "
        f"bootstrap's; Holm's correction is over one family of {len(surest)} comparisons. Paired draws are "
        "of "
        f"the same images in every resample.{rest}",
        Table(columns, tuple(_pair(one) for one in surest[:_PAIRS])),
        raw=table_of([_raw_pair(one) for one in [*board.pairs, *board.within]]),
    )


def costs_table(board: AblationResults) -> TableBlock:
    """Time and memory, on average over a setting's runs."""
    parts = {SECONDS: (1.0, "run, s"), MODEL: (1e6, "model, MB"), MEMORY: (1e6, "process, MB")}
    columns = (
        Column("setting", key_title(board)),
        *(Column(key, title) for key, (_, title) in parts.items()),
    )
    rows = tuple(
        (each.name, *(_scaled(cost(each, key), by=unit) for key, (unit, _) in parts.items()))
        for each in board.settings
    )
    raw = [{"setting": each.name, **{key: cost(each, key) for key in parts}} for each in board.settings]
    return TableBlock(
        "costs",
        "Wall seconds of a run, memory of one category's model, largest memory of the run's process. The "
        "runs "
        "of a sweep share features and selections: the first one computes them, and its seconds include "
        "them.",
        Table(columns, rows),
        raw=table_of(raw),
    )


def key_title(board: AblationResults) -> str:
    """The title of the column of settings."""
    return board.key_names[0] if len(board.key_names) == 1 else "setting"


def known_value(found: Estimate) -> float | None:
    """The number, or None where it is unknown."""
    return found.value if found.known else None


def _pair(one: Comparison) -> tuple[Cell, ...]:
    found = one.difference
    ends = span(found.low, found.high, signed=True)
    kind = "paired" if one.paired else "independent"
    return (
        one.a,
        one.b,
        title_of(one.metric),
        points(found.value),
        ends,
        p_value(found.p),
        p_value(one.adjusted),
        kind,
    )


def _raw_pair(one: Comparison) -> Mapping[str, Cell]:
    return {
        "a": one.a, "b": one.b, "category": one.where, "metric": one.metric,
        "difference": one.difference.value, "low": one.difference.low, "high": one.difference.high,
        "p": one.difference.p, "p_holm": one.adjusted,
        "paired": int(one.paired), "same_sign_in_every_seed": int(one.consistent),
    }  # fmt: skip


def _scaled(value: float | None, *, by: float) -> str | None:
    return None if value is None else f"{value / by:.3g}" if value / by < 1000 else f"{value / by:.0f}"
