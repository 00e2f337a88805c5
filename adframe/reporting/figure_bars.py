"""Figures made of bars: values by category, and histograms.

`figures` offers these with the other figures; shares follow the same convention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.stats.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BarValue = Estimate | tuple[float, float, float] | float | None  # a value, with or without its interval


def bars(
    name: str,
    *,
    caption: str,
    values: Mapping[str, Mapping[str, BarValue]],
    y_name: str,
    base: float = 0.0,
) -> Figure:
    """Draws bars by category, grouped by method; with a single category, one bar per method.

    Args:
        name: of the files.
        caption: below the figure.
        values: method -> category -> (value, low, high), a value without an interval, or None.
        y_name: of the axis; shares are shown in per cent where it ends in "%".
        base: where bars begin, in the unit of the values: 0, or the chance level.

    Returns:
        The figure; a missing value is shown as `n/a`.
    """
    categories = list(dict.fromkeys(group for by_category in values.values() for group in by_category))
    scale = style.factor(y_name)
    single = len(categories) == 1
    table = (
        values
        if not single
        else {categories[0]: {key: row.get(categories[0]) for key, row in values.items()}}
    )
    groups = list(values) if single else categories
    count = max(len(groups), 1) * max(len(table), 1)
    width = style.PAGE if count > 10 or len(groups) > 5 else 0.75 * style.PAGE

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        thick = 0.8 / max(len(table), 1)
        for place, (series, row) in enumerate(table.items()):
            x = np.arange(len(groups)) + (place - (len(table) - 1) / 2) * thick
            _draw_bars(
                axes, x, [_value_and_interval(row.get(group), scale) for group in groups],
                thick=0.88 * thick, color=style.colour(place), label=series, base=base * scale,
                numbers=count <= 14, percent=scale != 1,
            )  # fmt: skip
        style.name_ticks(axes, groups, room=(width - 0.6) / max(len(groups), 1))
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.set_ylabel(f"{y_name} (bars from {base * scale:g})" if base else y_name)
        axes.axhline(base * scale, color=style.QUIET, linewidth=0.6)
        axes.tick_params(axis="x", length=0)
        # The axis ends a little beyond the highest and the lowest interval.
        known = [_value_and_interval(value, scale) for row in table.values() for value in row.values()]
        ends = [*style.finite_values(part for triple in known for part in triple), base * scale]
        span = (max(ends) - min(ends)) or 1.0
        axes.set_ylim(min(ends) - (0.1 * span if min(ends) < base * scale else 0), max(ends) + 0.1 * span)
        style.add_grid(axes)
        if single:
            axes.set_title(style.title_lines(categories[0], room=width - 0.7), loc="left")
        else:
            style.legend_above(canvas, *axes.get_legend_handles_labels(), width=width)

    return Figure(name, caption, (width, 2.9), draw)


def histogram(
    name: str,
    *,
    caption: str,
    series: Mapping[str, Sequence[float]],
    x_name: str,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Draws histograms with the same bins for all series, each in shares of its own values.

    Args:
        name: of the files.
        caption: below the figure.
        series: name -> values; values that are not finite are left out.
        x_name: of the axis; shares are shown in per cent where it ends in "%".
        marks: name -> value of vertical lines, such as a threshold.

    Returns:
        The figure.
    """
    scale, marks = style.factor(x_name), marks or {}
    values = {key: np.array(style.finite_values(each)) * scale for key, each in series.items()}
    everything = np.concatenate([*values.values(), [mark * scale for mark in marks.values()], np.zeros(0)])
    edges = np.histogram_bin_edges(everything, bins=30) if len(everything) else np.linspace(0, 1, 31)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for place, (label, each) in enumerate(values.items()):
            shares = np.histogram(each, edges)[0] / max(len(each), 1) * 100
            axes.stairs(shares, edges, fill=True, color=style.colour(place), alpha=0.25)
            axes.stairs(shares, edges, color=style.colour(place), linewidth=1.2, label=label)
        for place, (label, mark) in enumerate(marks.items()):
            dash = style.DASHES[1 + place % 3]
            axes.axvline(mark * scale, color=style.INK, linewidth=1, linestyle=dash, label=label)
        axes.set(xlabel=x_name, ylabel="share of each group, %")
        axes.set_ylim(bottom=0)
        style.add_grid(axes)
        style.legend_above(canvas, *axes.get_legend_handles_labels(), width=5.0)

    return Figure(name, caption, (5.0, 3.0), draw)


def _value_and_interval(value: BarValue, scale: float) -> tuple[float, float, float]:
    """Returns (value, low, high) as shown; NaN for unknown parts."""
    if value is None:
        return math.nan, math.nan, math.nan
    if isinstance(value, Estimate):
        value = (value.value, value.low, value.high)
    parts = value if isinstance(value, tuple) else (value, math.nan, math.nan)
    return parts[0] * scale, parts[1] * scale, parts[2] * scale


def _draw_bars(
    axes: Axes,
    x: np.ndarray,
    triples: Sequence[tuple[float, float, float]],
    *,
    thick: float,
    color: str,
    label: str,
    base: float,
    numbers: bool,
    percent: bool,
) -> None:
    y, low, high = np.array(triples, float).reshape(-1, 3).T
    axes.bar(x, np.nan_to_num(y - base), thick, bottom=base, color=color, label=label)
    reach = np.nan_to_num(np.stack([y - low, high - y])).clip(min=0)
    ends = np.isfinite(low) & np.isfinite(high)
    axes.errorbar(x[ends], y[ends], reach[:, ends], fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=2)
    for at, value, bottom, top in zip(x, y, np.fmin(low, y), np.fmax(high, y), strict=True):
        below = value < base
        text = f"{value:.1f}" if percent else f"{value:.3g}"
        spot = base if not math.isfinite(value) else float(bottom if below else top)
        if numbers or not math.isfinite(value):
            axes.annotate(
                text if math.isfinite(value) else "n/a", (at, spot), (0, -2 if below else 2),
                textcoords="offset points", ha="center", va="top" if below else "bottom", fontsize=6.5,
            )  # fmt: skip
