"""Reliability diagrams: predicted probabilities compared with observed shares of anomalous images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.stats.calibration_error import Bin
from adframe.stats.proportions import share_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_ACROSS, _SIDE = 3, 3.0  # panels side by side, inches of each
_FLOOR = -24  # per cent, the lower end of the axis; bars that count the images stand below 0


def reliability(name: str, *, caption: str, series: Mapping[str, Sequence[Bin]]) -> Figure:
    """Draws one reliability diagram; see `reliability_panels`.

    Args:
        name: of the figure.
        caption: below the figure.
        series: name of a run -> its bins.

    Returns:
        The figure.
    """
    return reliability_panels(name, caption=caption, panels={"": series})


def reliability_panels(
    name: str, *, caption: str, panels: Mapping[str, Mapping[str, Sequence[Bin]]]
) -> Figure:
    """Draws observed shares with their 95% intervals by mean predicted probability; the diagonal is perfect.

    A diagram of one run counts the images of each bin below; with several runs the area of a dot shows the
    count.

    Args:
        name: of the figure.
        caption: below the figure.
        panels: title -> name of a run -> its bins that hold images.

    Returns:
        The figure, one panel per title.
    """
    labels = list(dict.fromkeys(label for series in panels.values() for label in series))
    across = max(1, min(len(panels), _ACROSS))
    down = math.ceil(len(panels) / across)
    size = (max(_SIDE * across, 3.6), (_SIDE + 0.2) * down + 0.25)

    def draw(canvas: Canvas) -> None:
        from matplotlib.lines import Line2D

        grid = canvas.subplots(down, across, squeeze=False).ravel()
        for axes, (title, series) in zip(grid, panels.items(), strict=False):
            axes.set_title(style.title_lines(title, room=_SIDE - 0.6), loc="left")
            _draw_diagram(axes, series, labels=labels)
        for spare in grid[len(panels) :]:
            spare.set_visible(False)
        if len(labels) > 1:
            handles = [Line2D([], [], **style.looks(place)) for place in range(len(labels))]
            style.legend_above(canvas, handles, labels, width=size[0])

    return Figure(name, caption, size, draw)


def _draw_diagram(axes: Axes, series: Mapping[str, Sequence[Bin]], *, labels: Sequence[str]) -> None:
    axes.plot([0, 100], [0, 100], color=style.QUIET, linewidth=0.8, linestyle=style.DASHES[2])
    most = max((each.count for bins in series.values() for each in bins), default=1)
    alone = len(labels) == 1
    for label, bins in series.items():
        look = style.looks(labels.index(label))
        x = np.array([each.predicted for each in bins]) * 100
        y = np.array([each.observed for each in bins]) * 100
        ends = np.array(
            [share_interval(round(each.observed * each.count), each.count) for each in bins]
        ).reshape(-1, 2)
        reach = np.abs(ends * 100 - y[:, None]).T
        axes.errorbar(x, y, reach, fmt="none", ecolor=look["color"], elinewidth=0.8, capsize=2, alpha=0.7)
        axes.plot(x, y, **(look | {"markersize": 3.5}))
        counts = np.array([each.count for each in bins])
        if alone:
            _draw_counts(axes, x, counts)
        else:
            axes.scatter(x, y, s=8 + 160 * counts / most, color=look["color"], alpha=0.2, linewidth=0)
    axes.set(xlabel="mean probability of a bin, %", ylabel="anomalous images, %", aspect="equal")
    axes.set(
        xlim=(-4, 104),
        ylim=(_FLOOR if alone else -4, 104),
        xticks=range(0, 101, 25),
        yticks=range(0, 101, 25),
    )
    style.add_grid(axes)


def _draw_counts(axes: Axes, x: np.ndarray, counts: np.ndarray) -> None:
    """Bars at the foot of the diagram, with the number of images of each bin above its bar."""
    heights = 10 * counts / max(counts.max(initial=0), 1)
    axes.bar(x, heights, 7, bottom=_FLOOR, color=style.QUIET, alpha=0.4)
    for across, height, count in zip(x, heights, counts, strict=True):
        axes.text(across, _FLOOR + height + 1, str(count), ha="center", va="bottom", fontsize=6)
