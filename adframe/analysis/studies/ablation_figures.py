"""The figures of the page of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adframe.analysis.compare import between
from adframe.analysis.settings import Setting, name_of_overrides, short_key
from adframe.analysis.studies.ablation_results import AblationResults
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure
from adframe.reporting.format import capitalised, p_equals, points, title_of
from adframe.results.names import MEAN
from adframe.stats.estimates import Estimate

CHANCE = 0.5  # the AUROC of a guess
CURVES = 8  # in one figure


def category_bars(board: AblationResults) -> list[Figure]:
    """Bars by category of the first metric, and of the first one of pixels."""
    metrics = dict.fromkeys([board.main, *([board.pixel] if board.pixel else [])])
    return [_bars(board, metric) for metric in metrics]


def image_and_pixel(board: AblationResults) -> list[Figure]:
    """Whether settings that find images find pixels: one point per category."""
    if board.pixel is None or board.pixel == board.main:
        return []
    found: dict[str, list[tuple[float, float, str]]] = {}
    for each in board.shown:
        known = found.setdefault(each.name, [])
        for where in board.categories:
            x, y = (board.estimate(each, where, metric) for metric in (board.main, board.pixel))
            if x.known and y.known:
                known.append((x.value, y.value, where if len(board.categories) > 1 else ""))
    x_name, y_name = f"{title_of(board.main)}, %", f"{title_of(board.pixel)}, %"
    titles = f"{capitalised(title_of(board.pixel))} against {title_of(board.main)}"
    caption = f"{titles}, one point per category, test images."
    return [figures.scatter("image_pixel", caption=caption, points=found, x_name=x_name, y_name=y_name)]


def categories_matrix(board: AblationResults) -> list[Figure]:
    """Settings by categories."""
    if len(board.categories) < 2:
        return []
    columns = [*board.categories, MEAN]
    values = [[board.estimate(each, where, board.main).value for where in columns] for each in board.shown]
    return [
        figures.matrix(
            "categories_heatmap",
            caption=f"{capitalised(title_of(board.main))} of each setting in each category, test images.",
            rows=[each.name for each in board.shown],
            columns=columns,
            values=np.array(values),
            unit=f"{title_of(board.main)}, %",
        )
    ]


def pairs_matrix(board: AblationResults) -> list[Figure]:
    """Settings by settings: differences and their corrected p values."""
    names = [each.name for each in board.shown]
    if len(names) < 2:
        return []
    values, texts = np.full((len(names), len(names)), math.nan), [[""] * len(names) for _ in names]
    for row, column in np.ndindex(*values.shape):
        one = between(board.pairs, names[column], names[row], metric=board.main, where=MEAN)
        if one is not None:
            values[row, column] = one.difference.value
            star = "*" if one.significant else ""
            texts[row][column] = f"{points(one.difference.value)}{star}\n{p_equals(one.adjusted)}"
    return [
        figures.matrix(
            "pairs_heatmap",
            caption=f"{capitalised(title_of(board.main))} of the row's setting minus that of the column's, "
            "in "
            "points, with the p value of no difference by Holm's correction; * marks a significant "
            "difference.",
            rows=names,
            columns=names,
            values=values,
            unit="difference, %",
            diverging=True,
            texts=texts,
        )
    ]


def rocs(board: AblationResults) -> list[Figure]:
    """ROC curves of the shown settings together, one panel per category."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for where in board.in_figures:
        for each in board.shown:
            curve = curve_points.roc_of_rows(each.rows(where))
            if curve is not None:
                panels.setdefault(where, {})[each.name] = (curve.x, curve.y, curve.area)
    several = any(len(each.tests[where]) > 1 for each in board.shown for where in board.in_figures)
    caption = f"ROC curves of test images, raw scores{', first seed of each setting' if several else ''}."
    return [figures.roc_panels("roc", caption=caption, panels=panels)] if panels else []


def over_numbers(board: AblationResults) -> list[Figure]:
    """Metrics against what was swept, where that is a number."""
    key = numeric_key(board.settings)
    if key is None:
        return []
    xs = {each.name: float(each.overrides[key]) for each in board.settings}
    others = len(board.keys) > 1
    places = [MEAN] if others or len(board.categories) == 1 else [*board.in_figures, MEAN]
    found = []
    for metric in board.compared:
        series: dict[str, list[figures.Step]] = {}
        for each in board.settings:
            for where in places:
                value = board.estimate(each, where, metric)
                label = without(each, key) if others else where if len(places) > 1 else board.categories[0]
                if value.known:
                    series.setdefault(label, []).append(step(xs[each.name], value))
        caption = f"{capitalised(title_of(metric))} against {key}, test images, with 95% bootstrap intervals."
        kept = dict(list(series.items())[:CURVES])
        if len(series) > len(kept):
            caption += f" {len(kept)} of {len(series)} curves, the first that were asked for."
        found.append(
            figures.lines(
                f"curve_{_file_name(metric)}",
                caption=caption,
                series=kept,
                x_name=short_key(key, board.keys),
                y_name=f"{title_of(metric)}, %",
                log_x=is_wide(list(xs.values())),
            )
        )
    return found


def numeric_key(settings: Sequence[Setting]) -> str | None:
    """The key that was swept over the most numbers, three or more; None where there is none."""
    counts: dict[str, int] = {}
    for key in settings[0].overrides:
        values = {each.overrides[key] for each in settings}
        if all(_is_number(value) for value in values) and len(values) > 2:
            counts[key] = len(values)
    return max(counts, key=lambda key: counts[key]) if counts else None


def without(setting: Setting, key: str) -> str:
    """The name of a setting without one of its keys."""
    return name_of_overrides({other: value for other, value in setting.overrides.items() if other != key})


def step(x: float, value: Estimate) -> figures.Step:
    """A point of a curve with its interval."""
    known = math.isfinite(value.low)
    return x, value.value, value.low if known else None, value.high if known else None


def is_wide(values: Sequence[float]) -> bool:
    """Whether an axis is better logarithmic: all values are positive, and they span a factor of ten."""
    return min(values) > 0 and max(values) >= 10 * min(values)


def _bars(board: AblationResults, metric: str) -> Figure:
    places = [*board.in_figures, MEAN] if len(board.categories) > 1 else board.categories
    values = {
        each.name: {where: board.estimate(each, where, metric) for where in places} for each in board.shown
    }
    base = CHANCE if metric.endswith("auroc") else 0.0
    caption = (
        f"{capitalised(title_of(metric))} by category, test images; whiskers are 95% bootstrap intervals"
        + (", bars begin at chance." if base else ".")
    )
    name = f"bars_{_file_name(metric)}"
    return figures.bars(name, caption=caption, values=values, y_name=f"{title_of(metric)}, %", base=base)


def _file_name(metric: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in metric)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
