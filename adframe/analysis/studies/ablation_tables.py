"""The tables of a sweep's page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from adframe.analysis.studies.ablation_results import Board, cost
from adframe.analysis.studies.pairwise import Contrast
from adframe.analysis.studies.settings import Measured
from adframe.analysis.studies.statements import begun, signed, span, title_of
from adframe.reporting.document import Numbers
from adframe.reporting.tables import DASH, Cell, Column, Table, table_of
from adframe.results.names import MEAN
from adframe.results.sweep_folder import MEMORY, MODEL, SECONDS

_PAIRS = 12  # rows on the page


def results(board: Board) -> Numbers:
    """Every setting's mean over classes; the file has every class, raw."""
    metrics = [name for name in board.metrics if board.means(name)]
    columns = (Column("setting", setting(board)), *(Column(name, title_of(name)) for name in metrics))
    rows = tuple(
        (each.name, *(cell(board.values.get((each.name, MEAN, name))) for name in metrics))
        for each in board.variants
    )
    over = f"Mean over {len(board.classes)} classes" if len(board.classes) > 1 else f"On {board.classes[0]}"
    seeds = any(value.seeds > 1 for value in board.values.values())
    caption = f"{over}, test images, in per cent; behind a number its 95 % bootstrap interval" + (
        ", behind ± the standard deviation over seeds." if seeds else "."
    )
    return Numbers("results", caption, Table(columns, rows), raw=table_of(_raw(board)))


def classes(board: Board) -> Numbers:
    """The first metric, class by class."""
    names = [*board.classes, MEAN]
    columns = (Column("setting", setting(board)), *(Column(name, name, True) for name in names))
    rows = tuple(
        (each.name, *(_value(board.values.get((each.name, where, board.main))) for where in names))
        for each in board.variants
    )
    caption = f"{begun(title_of(board.main))} by class, test images, in per cent."
    return Numbers("classes", caption, Table(columns, rows))


def pairs(board: Board) -> Numbers:
    """Every pair of settings, by each metric that is compared."""
    columns = (
        Column("a", "A"), Column("b", "B"), Column("metric", "metric"), Column("more", "B more than A"),
        Column("interval", "95% interval"), Column("p", "p"),
        Column("holm", "p Holm"), Column("same", "draws"),
    )  # fmt: skip
    surest = sorted(board.found, key=lambda one: (one.holm, one.more.p))
    rows = tuple(_pair(one) for one in surest[:_PAIRS])
    family = f"one family of {len(surest)} comparisons"
    rest = f" The first {_PAIRS}; the file has all." if len(surest) > _PAIRS else ""
    return Numbers(
        "pairs",
        "Differences between every two settings, in points of per cent, the surest first. p is the "
        f"bootstrap's; Holm's correction is over {family}. Paired draws are of the same images in every "
        f"resample.{rest}",
        Table(columns, rows),
        raw=table_of([_raw_pair(one) for one in [*board.found, *board.within]]),
    )


def costs(board: Board) -> Numbers:
    """Time and memory, on average over a setting's runs."""
    parts = {SECONDS: (1.0, "run, s"), MODEL: (1e6, "model, MB"), MEMORY: (1e6, "process, MB")}
    columns = (Column("setting", setting(board)), *(Column(key, title) for key, (_, title) in parts.items()))
    rows = tuple(
        (each.name, *(_scaled(cost(each, key), by=unit) for key, (unit, _) in parts.items()))
        for each in board.variants
    )
    raw = [{"setting": each.name, **{key: cost(each, key) for key in parts}} for each in board.variants]
    return Numbers(
        "costs",
        "Wall seconds of a run, memory of one class's model, largest memory of the run's process. Runs of "
        "a sweep share features and selections: who came first has paid for them, and its seconds hold them.",
        Table(columns, rows),
        raw=table_of(raw),
    )


def setting(board: Board) -> str:
    """Title of the column of settings."""
    return board.names[0] if len(board.names) == 1 else "setting"


def cell(value: Measured | None) -> str | None:
    """A number as a table has it, with its spread and its interval."""
    if value is None:
        return None
    spread = f" ± {100 * value.spread:.1f}" if math.isfinite(value.spread) else ""
    ends = f" ({_ends(value)})" if math.isfinite(value.low) else ""
    return f"{100 * value.value:.1f}{spread}{ends}"


def _ends(value: Measured) -> str:
    return f"{100 * value.low:.1f}{DASH}{100 * value.high:.1f}"


def _value(value: Measured | None) -> float | None:
    return None if value is None else value.value


def _raw(board: Board) -> list[Mapping[str, Cell]]:
    told = {each.name: each.told for each in board.variants}
    return [
        {
            **told[name], "setting": name, "class": where, "metric": metric, "value": value.value,
            "low": value.low, "high": value.high, "seeds": value.seeds, "seeds_sd": value.spread,
        }
        for (name, where, metric), value in board.values.items()
    ]  # fmt: skip


def _pair(one: Contrast) -> tuple[Cell, ...]:
    more = signed(one.more.value)
    kind = "paired" if one.same_images else "independent"
    ends = span(one.more.low, one.more.high, sign=True)
    return one.a, one.b, title_of(one.metric), more, ends, _p(one.more.p), _p(one.holm), kind


def _raw_pair(one: Contrast) -> Mapping[str, Cell]:
    return {
        "a": one.a, "b": one.b, "class": one.where, "metric": one.metric, "difference": one.more.value,
        "low": one.more.low, "high": one.more.high, "p": one.more.p, "p_holm": one.holm,
        "paired": int(one.same_images), "same_sign_in_every_seed": int(one.steady),
    }  # fmt: skip


def _p(value: float) -> str:
    return DASH if not math.isfinite(value) else f"{value:.3f}" if value >= 0.001 else "<0.001"


def _scaled(value: float | None, *, by: float) -> str | None:
    return None if value is None else f"{value / by:.3g}" if value / by < 1000 else f"{value / by:.0f}"
