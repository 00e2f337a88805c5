"""The figures of a study: bars, points, lines, curves, matrices and clouds in one style.

Shares are given in [0, 1], and are shown in per cent on an axis whose name (or, for a matrix, whose unit)
ends in "%". Unknown values are None or NaN; they are left blank and never drawn as zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.reporting.figure_bars import bars, histogram
from adframe.reporting.figure_labels import place_labels
from adframe.reporting.figure_panels import cloud, matrix, roc, roc_panels
from adframe.reporting.figure_reliability import reliability, reliability_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = [
    "bars", "cloud", "histogram", "lines", "matrix", "reliability", "reliability_panels", "roc",
    "roc_panels", "scatter",
]  # fmt: skip

Point = tuple[float, float, str]  # x, y, its label
Step = tuple[float, float, float | None, float | None]  # x, y, low, high


def scatter(
    name: str,
    *,
    caption: str,
    points: Mapping[str, Sequence[Point]],
    x_name: str,
    y_name: str,
    log_x: bool = False,
    front: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Draws points with their names next to them, where there is room for a name.

    Args:
        name: of the files.
        caption: below the figure.
        points: series -> (x, y, label) of each point; "" is no label.
        x_name: of the axis; shares are shown in per cent where it ends in "%".
        y_name: of the axis, in the same way.
        log_x: whether the x axis is logarithmic.
        front: (x, y) of the Pareto-optimal points, which a line behind the others connects.

    Returns:
        The figure.
    """
    across, up = style.factor(x_name), style.factor(y_name)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        placed: list[Point] = []
        if front:
            line = np.array(sorted(front), float) * (across, up)
            axes.plot(line[:, 0], line[:, 1], color=style.RULE, linewidth=3, zorder=1, label="Pareto front")
        for place, (series, group) in enumerate(points.items()):
            known = [point for point in group if math.isfinite(point[0]) and math.isfinite(point[1])]
            placed += [(x * across, y * up, label) for x, y, label in known]
            look = style.looks(place) | {"linestyle": "none"}
            x, y = ([point[axis] for point in known] for axis in (0, 1))
            axes.plot(np.multiply(x, across), np.multiply(y, up), label=series, markersize=5, **look)
        if log_x:
            axes.set_xscale("log")
            style.log_ticks(axes.xaxis, [x for x, _, _ in placed])
        axes.margins(0.12)
        axes.set(xlabel=x_name, ylabel=y_name)
        style.grid(axes, along="both")
        style.legend_above(canvas, *axes.get_legend_handles_labels(), width=5.0)
        canvas.draw_without_rendering()  # before it, the layout and the positions of points are unknown
        place_labels(axes, placed)

    return Figure(name, caption, (5.0, 3.6), draw)


def lines(
    name: str,
    *,
    caption: str,
    series: Mapping[str, Sequence[Step]],
    x_name: str,
    y_name: str,
    log_x: bool = False,
    rings: Sequence[tuple[float, float]] = (),
    ring_name: str = "",
) -> Figure:
    """Draws curves with whiskers for their intervals, and with bands where there are one or two curves.

    Args:
        name: of the files.
        caption: below the figure.
        series: name -> (x, y, low, high) of each point; low and high are None where unknown.
        x_name: of the axis; shares are shown in per cent where it ends in "%".
        y_name: of the axis, in the same way.
        log_x: whether the x axis is logarithmic.
        rings: (x, y) of points to mark with a ring.
        ring_name: meaning of the ring, for the legend.

    Returns:
        The figure.
    """
    across, up = style.factor(x_name), style.factor(y_name)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for place, (label, steps) in enumerate(series.items()):
            _draw_curve(axes, steps, label=label, place=place, scale=(across, up), band=len(series) < 3)
        if rings:
            x, y = np.array(rings, float).T
            axes.plot(
                x * across, y * up, "o", markersize=9, fillstyle="none", color=style.INK, label=ring_name
            )
        if log_x:
            axes.set_xscale("log")
            style.log_ticks(axes.xaxis, [step[0] * across for steps in series.values() for step in steps])
        axes.margins(x=0.06, y=0.1)
        axes.set(xlabel=x_name, ylabel=y_name)
        style.grid(axes)
        style.legend_above(canvas, *axes.get_legend_handles_labels(), width=5.0)

    return Figure(name, caption, (5.0, 3.2), draw)


def _draw_curve(
    axes: Axes, steps: Sequence[Step], *, label: str, place: int, scale: tuple[float, float], band: bool
) -> None:
    rows = sorted((step for step in steps if math.isfinite(step[1])), key=lambda step: step[0])
    if not rows:
        return
    x = np.array([row[0] for row in rows]) * scale[0]
    y = np.array([row[1] for row in rows]) * scale[1]
    blank = [(math.nan if row[2] is None or row[3] is None else 1.0) for row in rows]
    low = np.array([row[2] or 0.0 for row in rows]) * scale[1] * blank
    high = np.array([row[3] or 0.0 for row in rows]) * scale[1] * blank
    look = style.looks(place)
    axes.plot(x, y, label=label, **look)
    if band and np.isfinite(low).sum() > 1:
        axes.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0)
    reach = np.nan_to_num(np.stack([y - low, high - y])).clip(min=0)
    axes.errorbar(x, y, reach, fmt="none", ecolor=look["color"], elinewidth=0.7, capsize=2, alpha=0.8)
