"""The figure of a category's scores: their histogram, the ROC curve and the precision-recall curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adframe.metrics.curve_points import Curve, Floats, bin_edges, pr_points, roc_points
from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.reporting.format import hundredths
from adframe.reporting.summary import confusion
from adframe.results.predictions import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

SIZE, MARGINS = (9.4, 2.85), (0.055, 0.31, 0.985, 0.91)
_KIND_LABELS = {"normal": 0, "anomalous": 1, "unlabelled": -1}
_KIND_COLOURS = {"normal": style.PALETTE[0], "anomalous": style.PALETTE[1], "unlabelled": style.PALETTE[7]}
_ALL, _SUBSETS = "all", ("logical", "structural")  # MVTec LOCO scores the subsets separately
_PART_COLOURS = {_ALL: style.PALETTE[2], "logical": style.PALETTE[3], "structural": style.PALETTE[4]}
_NO_CURVE = "No curve: it needs both normal\nand anomalous images with labels."
_NO_SCORE = "No image has a finite score."
_PERCENT = (0, 50, 100)  # few ticks, because ticks take half of the drawing time


def scores(name: str, *, caption: str, rows: Sequence[Row], threshold: float | None) -> Figure:
    """Draws the histogram of scores with the threshold, the ROC curve, and the precision-recall curve.

    On MVTec LOCO there is one more curve for each subset. A ring marks the rates at the threshold.

    Args:
        name: of the figure.
        caption: below the figure.
        rows: the predictions for the test images of a category.
        threshold: of the decisions, a raw score; None where nothing was decided.

    Returns:
        The figure with three panels.
    """
    parts = _subset_rows(rows)
    rocs = {
        part: curve
        for part, own in parts.items()
        if (curve := roc_points(*_scores_and_labels(own))) is not None
    }
    prs = {
        part: _stepped(curve)
        for part, own in parts.items()
        if (curve := pr_points(*_scores_and_labels(own))) is not None
    }
    counts = confusion(rows)

    def draw(canvas: Canvas) -> None:
        left, middle, right = canvas.subplots(1, 3, gridspec_kw={"wspace": 0.24})
        _draw_histogram(left, rows, threshold=threshold)
        _draw_curves(middle, rocs, title="ROC", area="AUROC", ring=(counts.fpr, counts.recall))
        middle.set(xlabel="false-positive rate, %", ylabel="recall, %")
        _draw_curves(
            right, prs, title="Precision and recall", area="AP", ring=(counts.recall, counts.precision)
        )
        right.set(xlabel="recall, %", ylabel="precision, %")

    return Figure(name, caption, SIZE, draw, MARGINS)


def _draw_histogram(axes: Axes, rows: Sequence[Row], *, threshold: float | None) -> None:
    """Normal images are counted upwards, anomalous ones downwards, so that both shapes stay visible."""
    axes.set_title("Scores", loc="left")
    scored, labelled = _scores_and_labels(rows)
    values = np.array(scored, dtype=np.float64)
    kinds = np.array([-1 if label is None else label for label in labelled])
    known = np.isfinite(values)
    if not known.any():
        _write_absence(axes, _NO_SCORE)
        return
    edges = bin_edges(values)
    for kind, label in _KIND_LABELS.items():
        group: Floats = values[known & (kinds == label)]
        if len(group):
            shares = np.histogram(group, edges)[0] / len(group) * 100
            heights = -shares if kind == "anomalous" else shares
            axes.stairs(heights, edges, fill=True, color=_KIND_COLOURS[kind], label=f"{kind} ({len(group)})")
    if threshold is not None and math.isfinite(threshold):
        axes.axvline(
            threshold,
            color=style.INK,
            linewidth=1,
            linestyle=style.DASHES[1],
            label=f"threshold {threshold:.4g}",
        )
    axes.axhline(0, color=style.QUIET, linewidth=0.6)
    axes.margins(y=0.12)
    axes.locator_params(nbins=4)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set(xlabel="score", ylabel="share of the images of a kind, %")
    _add_grid_and_legend(axes, columns=2)


def _draw_curves(
    axes: Axes,
    curves: Mapping[str, Curve],
    *,
    title: str,
    area: str,
    ring: tuple[float | None, float | None],
) -> None:
    axes.set_title(title, loc="left")
    if not curves:
        _write_absence(axes, _NO_CURVE)
        return
    if title == "ROC":
        axes.plot((0, 100), (0, 100), color=style.RULE, linewidth=0.8)
    for place, (part, curve) in enumerate(curves.items()):
        label = (
            f"{part} {area} {hundredths(curve.area)}"
            if len(curves) > 1
            else f"{area} {hundredths(curve.area)}"
        )
        dash, wide = style.DASHES[place], 1.6 if part == _ALL else 1.2
        axes.plot(
            curve.x * 100,
            curve.y * 100,
            label=label,
            color=_PART_COLOURS[part],
            linestyle=dash,
            linewidth=wide,
        )
    if ring[0] is not None and ring[1] is not None:
        axes.plot(
            ring[0] * 100, ring[1] * 100, "o", markersize=5, fillstyle="none", color=style.INK,
            label="at the threshold", clip_on=False,
        )  # fmt: skip
    axes.set(xlim=(-1, 101), ylim=(-1, 103), xticks=_PERCENT, yticks=_PERCENT)
    _add_grid_and_legend(axes, columns=2)


def _add_grid_and_legend(axes: Axes, *, columns: int) -> None:
    style.grid(axes)
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.03, -0.21), ncols=columns, borderaxespad=0, columnspacing=1.2,
        handlelength=1.4,
    )  # fmt: skip


def _write_absence(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0, 0.85, text, va="top", color=style.QUIET, transform=axes.transAxes)


def _subset_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Returns all rows, then for each subset of MVTec LOCO its rows together with the normal ones."""
    parts = {_ALL: list(rows)}
    for subset in _SUBSETS:
        if any(row["subset"] == subset for row in rows):
            parts[subset] = [row for row in rows if row["label"] == 0 or row["subset"] == subset]
    return parts


def _scores_and_labels(rows: Sequence[Row]) -> tuple[list[float], list[int | None]]:
    return [row["score"] for row in rows], [row["label"] for row in rows]


def _stepped(curve: Curve) -> Curve:
    """Turns a precision-recall curve into steps, under which the area is AP.

    Between two recalls, the precision of the higher recall holds.
    """
    return Curve(np.repeat(curve.x, 2)[1:-1], np.repeat(curve.y[1:], 2), curve.area)
