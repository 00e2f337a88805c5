"""Figures of drift over time: the capital of the test, scores with their quantiles, the rate of alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_SIZE = (style.PAGE, 2.5)
_MOST_POINTS = 1500  # of a line; more cannot be told apart
_MOST_DOTS = 600  # single scores are drawn up to this number of images
_LOWEST = -3.0  # a capital below a thousandth is drawn at the border


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive images of a stream.

    Attributes:
        first: number of its first image, counted from 1.
        last: number of its last image.
        time: of the last image; None where it is unknown.
        low: 10 % quantile of the scores.
        median: of the scores.
        high: 90 % quantile of the scores.
        alarms: number of images that were called anomalous.
        median_shift: shift of the median in standard deviations of the reference.
        psi: population stability index.
        ks: distance of the distribution functions.
    """

    first: int
    last: int
    time: datetime | None
    low: float
    median: float
    high: float
    alarms: int
    median_shift: float
    psi: float
    ks: float


def capital_figure(
    name: str,
    *,
    caption: str,
    log_capital: np.ndarray,
    log_limit: float,
    blocks: Sequence[Block],
    alarm_at: int | None,
) -> Figure:
    """Draws the capital of the test against drift over the images, on a logarithmic axis.

    Args:
        name: of the files.
        caption: below the figure.
        log_capital: (n,) natural logarithms.
        log_limit: where the alarm is.
        blocks: the stream in parts; their times, where known, are written below the axis.
        alarm_at: number of the image with the alarm; None without one.

    Returns:
        The figure.
    """
    places = _thinned(len(log_capital), keep=alarm_at)
    shown = np.maximum(log_capital[places] / math.log(10), _LOWEST)
    limit = log_limit / math.log(10)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.plot(places + 1, shown, color=style.colour(0), label="capital")
        axes.axhline(limit, color=style.colour(1), linestyle="--", label="alarm")
        if alarm_at is not None:
            axes.axvline(alarm_at, color=style.colour(1), linewidth=0.8)
        low, high = min(shown.min(), -0.5), max(shown.max(), limit)
        axes.set_ylim(low - 0.2, high + 0.1 * (high - low))
        ticks = sorted({*range(math.floor(low), math.ceil(high) + 1, max(1, round((high - low) / 6)))} | {0})
        axes.set_yticks(ticks, [f"1e{tick}" if abs(tick) > 3 else f"{10.0**tick:g}" for tick in ticks])
        _finish(canvas, axes, blocks, y_name="capital")

    return Figure(name, caption, _SIZE, draw)


def scores_figure(
    name: str,
    *,
    caption: str,
    scores: np.ndarray,
    blocks: Sequence[Block],
    reference: np.ndarray,
    threshold: float | None,
    alarm_at: int | None,
) -> Figure:
    """Draws the median and the 10 and 90 % quantiles of consecutive images, and those of the reference.

    Args:
        name: of the files.
        caption: below the figure.
        scores: (n,) raw scores; they are drawn as dots where there are few.
        blocks: the stream in parts.
        reference: (m,) scores of normal images.
        threshold: of the decisions; None where there are several.
        alarm_at: number of the image with the alarm; None without one.

    Returns:
        The figure.
    """
    low, middle, high = np.quantile(reference, (0.1, 0.5, 0.9))

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.axhspan(low, high, color=style.colour(2), alpha=0.15, linewidth=0, label="reference, 10 to 90%")
        axes.axhline(middle, color=style.colour(2), linewidth=0.9, label="reference, median")
        if len(scores) <= _MOST_DOTS:
            axes.plot(
                np.arange(1, len(scores) + 1), scores, ".", markersize=2.5, color=style.QUIET, alpha=0.6
            )
        x = [(block.first + block.last) / 2 for block in blocks]
        axes.fill_between(
            x, [block.low for block in blocks], [block.high for block in blocks],
            color=style.colour(0), alpha=0.2, linewidth=0, label="log, 10 to 90%",
        )  # fmt: skip
        axes.plot(
            x, [block.median for block in blocks], "o-", markersize=3, color=style.colour(0),
            label="log, median",
        )  # fmt: skip
        if threshold is not None:
            axes.axhline(threshold, color=style.INK, linestyle=":", label="threshold")
        if alarm_at is not None:
            axes.axvline(alarm_at, color=style.colour(1), linewidth=0.8, label="drift found")
        _finish(canvas, axes, blocks, y_name="raw score")

    return Figure(name, caption, _SIZE, draw)


def rate_figure(
    name: str,
    *,
    caption: str,
    blocks: Sequence[Block],
    intervals: Sequence[tuple[float, float]],
    promised: float | None,
) -> Figure:
    """Draws the share of alarms up to each moment with its anytime interval, and that of each part.

    Args:
        name: of the files.
        caption: below the figure.
        blocks: the stream in parts.
        intervals: of the rate up to the end of each part, in [0, 1].
        promised: the highest rate that is expected, in [0, 1]; None without one.

    Returns:
        The figure.
    """
    alarms, last = (np.array([getattr(block, key) for block in blocks]) for key in ("alarms", "last"))
    sizes = np.diff(last, prepend=0)
    ends = 100 * np.array(intervals)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.fill_between(
            last, ends[:, 0], ends[:, 1], color=style.colour(0), alpha=0.2, linewidth=0,
            label="interval at any time",
        )  # fmt: skip
        axes.plot(last, 100 * np.cumsum(alarms) / last, color=style.colour(0), label="up to here")
        axes.plot(
            last - sizes / 2, 100 * alarms / sizes, "s", markersize=3, color=style.colour(4),
            label="of each part",
        )  # fmt: skip
        if promised is not None:
            axes.axhline(100 * promised, color=style.colour(1), linestyle="--", label="promised")
        axes.set_ylim(bottom=0)
        _finish(canvas, axes, blocks, y_name="called anomalous, %")

    return Figure(name, caption, _SIZE, draw)


def _finish(canvas: Canvas, axes: Axes, blocks: Sequence[Block], *, y_name: str) -> None:
    axes.set(xlabel="number of the image in the log", ylabel=y_name)
    axes.set_xlim(0, blocks[-1].last + 1)
    if all(block.time is not None for block in blocks):
        shown = [blocks[place] for place in np.unique(np.linspace(0, len(blocks) - 1, 6).astype(int))]
        axes.set_xticks(
            [block.last for block in shown],
            [f"{block.last:,}\n{block.time:%Y-%m-%d}\n{block.time:%H:%M:%S}" for block in shown],
        )
    style.add_grid(axes)
    handles: list[Any]
    handles, labels = axes.get_legend_handles_labels()
    style.legend_above(canvas, handles, labels, width=_SIZE[0])


def _thinned(count: int, *, keep: int | None) -> np.ndarray:
    places = np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int))
    return places if keep is None else np.unique(np.append(places, keep - 1))
