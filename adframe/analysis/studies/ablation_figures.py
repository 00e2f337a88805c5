"""The figures of a sweep's page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adframe.analysis.studies.ablation_results import Board
from adframe.analysis.studies.pairwise import between
from adframe.analysis.studies.settings import Measured, Variant, shown_name
from adframe.analysis.studies.statements import begun, signed, title_of
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure
from adframe.results.names import MEAN

CHANCE = 0.5  # of AUROC


def by_class(board: Board) -> list[Figure]:
    """Bars of the first metric and of the first one of pixels."""
    metrics = dict.fromkeys([board.main, *([board.pixel] if board.pixel else [])])
    return [_bars(board, metric) for metric in metrics]


def image_and_pixel(board: Board) -> list[Figure]:
    """Whether settings that find images find pixels: a point a class."""
    if board.pixel is None or board.pixel == board.main:
        return []
    points = {
        each.name: [
            (x.value, y.value, where if len(board.classes) > 1 else "")
            for where in board.classes
            if (x := board.values.get((each.name, where, board.main)))
            and (y := board.values.get((each.name, where, board.pixel)))
        ]
        for each in board.shown
    }
    names = f"{title_of(board.main)}, %", f"{title_of(board.pixel)}, %"
    caption = f"{begun(title_of(board.pixel))} against {title_of(board.main)}, a point a class, test images."
    return [figures.scatter("image_pixel", caption=caption, points=points, x_name=names[0], y_name=names[1])]


def classes_matrix(board: Board) -> list[Figure]:
    """Settings by classes."""
    if len(board.classes) < 2:
        return []
    columns = [*board.classes, MEAN]
    values = [
        [_value(board.values.get((each.name, where, board.main))) for where in columns]
        for each in board.shown
    ]
    return [
        figures.matrix(
            "classes_heatmap",
            caption=f"{begun(title_of(board.main))} of each setting in each class, test images.",
            rows=[each.name for each in board.shown],
            columns=columns,
            values=np.array(values),
            unit=f"{title_of(board.main)}, %",
        )
    ]


def pairs_matrix(board: Board) -> list[Figure]:
    """Settings against settings: differences and their corrected p."""
    names = [each.name for each in board.shown]
    if len(names) < 2:
        return []
    values, texts = np.full((len(names), len(names)), math.nan), [[""] * len(names) for _ in names]
    for row, column in np.ndindex(*values.shape):
        one = between(board.found, names[column], names[row], metric=board.main, where=MEAN)
        if one is not None:
            values[row, column] = one.more.value
            star = "*" if one.shown else ""
            texts[row][column] = f"{signed(one.more.value)}{star}\n{_p(one.holm)}"
    return [
        figures.matrix(
            "pairs_heatmap",
            caption=f"{begun(title_of(board.main))} of the row's setting less that of the column's, in "
            "points of per cent, with the p of no difference by Holm's correction; * marks what is more "
            "than chance.",
            rows=names,
            columns=names,
            values=values,
            unit="difference, %",
            diverging=True,
            texts=texts,
        )
    ]


def rocs(board: Board) -> list[Figure]:
    """ROC curves of the shown settings in one, a panel a class."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for where in board.wide:
        for each in board.shown:
            run, name = each.cells[where][0]
            rows = run.rows(name)
            curve = curve_points.roc([row["score"] for row in rows], [row["label"] for row in rows])
            if curve is not None:
                panels.setdefault(where, {})[each.name] = (curve.x, curve.y, curve.area)
    several = any(len(each.cells[where]) > 1 for each in board.shown for where in board.wide)
    caption = "ROC curves of test images, scores raw" + (
        "; of each setting's first seed." if several else "."
    )
    return [figures.roc_panels("roc", caption=caption, panels=panels)] if panels else []


def over_numbers(board: Board) -> list[Figure]:
    """Metrics against what was swept, where that is a number."""
    key = numeric_key(board.variants)
    if key is None:
        return []
    xs = {each.name: float(each.told[key]) for each in board.variants}
    positive = [value for value in xs.values() if value > 0]
    log = len(positive) == len(xs) and max(positive) >= 10 * min(positive)
    others = len(board.keys) > 1
    wheres = [MEAN] if others or len(board.classes) == 1 else [*board.wide, MEAN]
    found = []
    for metric in board.compared:
        series: dict[str, list[figures.Step]] = {}
        for each in board.variants:
            for where in wheres:
                value = board.values.get((each.name, where, metric))
                label = rest_of(each, key) if others else where if len(wheres) > 1 else board.classes[0]
                if value is not None:
                    series.setdefault(label, []).append(_step(xs[each.name], value))
        caption = f"{begun(title_of(metric))} against {key}, test images, with 95 % bootstrap intervals."
        kept = dict(list(series.items())[:8])
        if len(series) > len(kept):
            caption += f" {len(kept)} of {len(series)} curves, the first that were asked for."
        name = "curve_" + "".join(letter if letter.isalnum() else "_" for letter in metric)
        found.append(
            figures.lines(
                name,
                caption=caption,
                series=kept,
                x_name=shown_name(key, board.keys),
                y_name=f"{title_of(metric)}, %",
                log_x=log,
            )
        )
    return found


def numeric_key(variants: Sequence[Variant]) -> str | None:
    """What was swept over the most numbers, three or more; None where nothing was."""
    counts: dict[str, int] = {}
    for key in variants[0].told:
        values = {each.told[key] for each in variants}
        if all(_is_number(value) for value in values) and len(values) > 2:
            counts[key] = len(values)
    return max(counts, key=lambda key: counts[key]) if counts else None


def _bars(board: Board, metric: str) -> Figure:
    wheres = [*board.wide, MEAN] if len(board.classes) > 1 else board.classes
    values = {
        each.name: {where: _triple(board.values.get((each.name, where, metric))) for where in wheres}
        for each in board.shown
    }
    name = "bars_" + "".join(letter if letter.isalnum() else "_" for letter in metric)
    base = CHANCE if metric.endswith("auroc") else 0.0
    caption = f"{begun(title_of(metric))} by class, test images; whiskers are 95 % bootstrap intervals" + (
        ", bars begin at chance." if base else "."
    )
    return figures.bars(name, caption=caption, values=values, y_name=f"{title_of(metric)}, %", base=base)


def _triple(value: Measured | None) -> tuple[float, float, float] | None:
    return None if value is None else (value.value, value.low, value.high)


def _value(value: Measured | None) -> float:
    return math.nan if value is None else value.value


def _step(x: float, value: Measured) -> figures.Step:
    known = math.isfinite(value.low)
    return x, value.value, value.low if known else None, value.high if known else None


def rest_of(variant: Variant, key: str) -> str:
    """A setting without one of its keys."""
    rest = {other: value for other, value in variant.told.items() if other != key}
    if len(rest) == 1:
        return next(iter(rest.values()))
    return ", ".join(f"{shown_name(other, list(rest))}={value}" for other, value in rest.items())


def _p(value: float) -> str:
    return "p –" if not math.isfinite(value) else f"p {value:.3f}" if value >= 0.001 else "p<0.001"  # noqa: RUF001


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
