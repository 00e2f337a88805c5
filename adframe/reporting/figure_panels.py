"""Figures of several panels or of cells: ROC curves, matrices, scatter plots of embeddings.

`figures` offers these with the other figures; shares follow the same convention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

RocCurves = Mapping[str, tuple[np.ndarray, np.ndarray, float]]  # label -> (FPR, TPR, AUROC)
MANY = 800  # with more points than this, a cloud is rasterised inside the SVG


def matrix(
    name: str,
    *,
    caption: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    unit: str,
    diverging: bool = False,
    strength: np.ndarray | None = None,
    texts: Sequence[Sequence[str]] | None = None,
    row_name: str = "",
    column_name: str = "",
) -> Figure:
    """Draws a heatmap with numbers in its cells; unknown cells are hatched.

    Args:
        name: of the files.
        caption: below the figure.
        rows: names from top to bottom.
        columns: names from left to right.
        values: (rows, columns), NaN where unknown.
        unit: of the colours; shares are shown in per cent where it ends in "%".
        diverging: whether the colours are symmetric about 0.
        strength: (rows, columns), the opacity of each cell's colour in [0, 1]; None: all are opaque.
        texts: texts in the cells instead of the numbers.
        row_name: title of the rows.
        column_name: title of the columns.

    Returns:
        The figure.

    Raises:
        ValueError: `values` does not have one row per row name and one column per column name.
    """
    cells = np.asarray(values, float) * style.factor(unit)
    if cells.shape != (len(rows), len(columns)):
        raise ValueError(f"{name}: values {cells.shape} for {len(rows)} rows and {len(columns)} columns")
    room = max(0.42, min(0.85, 5.2 / max(len(columns), 1)))
    margin = 0.062 * max((len(row) for row in rows), default=0)
    size = (min(max(room * len(columns) + min(margin, 2.0) + 1.3, 3.0), 10.0), 0.3 * len(rows) + 1.5)

    def draw(canvas: Canvas) -> None:
        from matplotlib.cm import ScalarMappable

        axes = canvas.subplots()
        mesh = _draw_cells(axes, cells, diverging=diverging, strength=strength)
        percent = style.factor(unit) != 1
        _draw_numbers(axes, cells, mesh, strength=strength, texts=texts, percent=percent, room=room)
        style.name_ticks(axes, columns, room=room)
        axes.set_yticks(range(len(rows)), [style.wrapped(row, width=32) for row in rows])
        axes.set(xlabel=column_name, ylabel=row_name)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        # A mesh with one opacity per cell has none that a colour bar could use.
        colours = mesh if strength is None else ScalarMappable(mesh.norm, mesh.cmap)
        bar: Any = canvas.colorbar(colours, ax=axes, aspect=18, pad=0.02, shrink=0.9)
        bar.set_label(unit)
        bar.outline.set_visible(False)

    return Figure(name, caption, size, draw)


def roc_figure(name: str, *, caption: str, curves: RocCurves) -> Figure:
    """Draws several ROC curves in one panel, with the area of each.

    Args:
        name: of the files.
        caption: below the figure.
        curves: label -> (false-positive rates, true-positive rates, area), all in [0, 1].

    Returns:
        The figure.
    """
    return roc_panels(name, caption=caption, panels={"": curves})


def roc_panels(name: str, *, caption: str, panels: Mapping[str, RocCurves]) -> Figure:
    """Draws ROC curves, one panel per category; a method has the same colour in all panels.

    Args:
        name: of the files.
        caption: below the figure.
        panels: category -> label -> (false-positive rates, true-positive rates, area), all in [0, 1].

    Returns:
        The figure.
    """
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    across, several = min(len(panels), 3), len(panels) > 1
    down = math.ceil(len(panels) / max(across, 1))
    side, across_legend = (2.35, 3) if several else (3.4, 1)  # inches; entries per line of a legend
    width = max(side * across, 3.4)
    above = math.ceil(len(labels) / style.legend_columns(labels, width=width)) if several else 0
    below = math.ceil(len(labels) / across_legend)
    titles = {key: style.title_lines(key, room=width / max(across, 1) - 0.6) for key in panels}
    higher = 0.13 * max((text.count("\n") for text in titles.values()), default=0)
    size = (width, (side + 0.3 + 0.15 * below + higher) * down + 0.15 * above)

    def draw(canvas: Canvas) -> None:
        for axes, (title, curves) in zip(
            _panel_axes(canvas, panels, across=across), panels.items(), strict=True
        ):
            axes.plot([0, 100], [0, 100], color=style.RULE, linewidth=0.8)
            for label, (fpr, tpr, area) in curves.items():
                look = style.looks(labels.index(label)) | {"marker": ""}
                shown = f"{100 * area:.1f}" if several else f"{label}  {100 * area:.1f}".strip()
                axes.plot(np.asarray(fpr) * 100, np.asarray(tpr) * 100, label=shown, **look)
            axes.set(xlabel="false-positive rate, %", ylabel="recall, %", xlim=(-1, 101))
            axes.set(ylim=(-1, 101), aspect="equal")
            axes.set_title(titles[title], loc="left")
            if curves:
                axes.legend(
                    loc="upper left", bbox_to_anchor=(-0.05, -0.22), borderaxespad=0, title="AUROC, %",
                    alignment="left", ncols=across_legend, columnspacing=0.8, handlelength=1.4,
                )  # fmt: skip
            style.add_grid(axes, along="both")
        if several:
            from matplotlib.lines import Line2D

            looks = [style.looks(place) | {"marker": ""} for place in range(len(labels))]
            style.legend_above(canvas, [Line2D([], [], **look) for look in looks], labels, width=size[0])

    return Figure(name, caption, size, draw)


def cloud(
    name: str,
    *,
    caption: str,
    panels: Mapping[str, tuple[np.ndarray | None, Sequence[str]]],
    groups: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    across: int = 3,
) -> Figure:
    """Draws points on a plane, coloured by group: PCA, t-SNE, UMAP. The axes have no numbers.

    Args:
        name: of the files.
        caption: below the figure.
        panels: title -> ((n, 2) points, the group of each); None instead of points where there is no plane.
        groups: in the order of their colours; points of later groups are drawn on top. By default the order
            of first appearance.
        notes: title -> a note on its axes, or why there is no plane.
        across: number of panels per row.

    Returns:
        The figure.
    """
    found = list(groups) or list(dict.fromkeys(group for _, names in panels.values() for group in names))
    across = min(len(panels), across)
    down = math.ceil(len(panels) / max(across, 1))
    size = (max(2.35 * across, 3.4), 2.5 * down + 0.2 * math.ceil(len(found) / 4))

    def draw(canvas: Canvas) -> None:
        from matplotlib.lines import Line2D

        places = _panel_axes(canvas, panels, across=across)
        for axes, (title, (points, names)) in zip(places, panels.items(), strict=True):
            axes.set_title(style.title_lines(title, room=size[0] / across - 0.2), loc="left")
            axes.set(xticks=[], yticks=[], xlabel=(notes or {}).get(title, ""))
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color(style.RULE)
            if points is not None:
                many, which = len(points) > MANY, np.asarray(names, dtype=str)
                for place, group in enumerate(found):
                    own = np.asarray(points)[which == group]
                    dot = 2 if many else 4
                    axes.plot(own[:, 0], own[:, 1], markersize=dot, rasterized=many, **_dot_style(place))
        if places:
            looks = [_dot_style(place) | {"markersize": 4} for place in range(len(found))]
            style.legend_above(canvas, [Line2D([], [], **look) for look in looks], found, width=size[0])

    return Figure(name, caption, size, draw)


def _dot_style(place: int) -> dict[str, Any]:
    return style.looks(place) | {"linestyle": "none", "markeredgewidth": 0, "alpha": 0.7}


def _panel_axes(canvas: Canvas, panels: Mapping[str, object], *, across: int) -> list[Axes]:
    if not panels:
        return []
    down = math.ceil(len(panels) / across)
    grid = canvas.subplots(down, across, squeeze=False).ravel()
    for spare in grid[len(panels) :]:
        spare.set_visible(False)
    return list(grid[: len(panels)])


def _draw_cells(axes: Axes, cells: np.ndarray, *, diverging: bool, strength: np.ndarray | None) -> Any:
    from matplotlib.patches import Rectangle

    known = cells[np.isfinite(cells)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if diverging:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    elif high == low:
        low, high = low - 0.5, high + 0.5
    down, across = cells.shape
    edges = (np.arange(across + 1) - 0.5, np.arange(down + 1) - 0.5)
    for row, column in np.argwhere(~np.isfinite(cells)):
        # pcolormesh leaves masked cells empty; hatching distinguishes an unknown value from a pale colour.
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=style.RULE, linewidth=0))
    mesh: Any = axes.pcolormesh(
        *edges, np.ma.masked_invalid(cells), cmap="RdBu_r" if diverging else "YlGnBu",
        vmin=low, vmax=high, edgecolors="white", linewidth=0.8,
    )  # fmt: skip
    if strength is not None:
        mesh.set_alpha(strength)
    axes.set_ylim(down - 0.5, -0.5)
    return mesh


def _draw_numbers(
    axes: Axes,
    cells: np.ndarray,
    mesh: Any,
    *,
    strength: np.ndarray | None,
    texts: Sequence[Sequence[str]] | None,
    percent: bool,
    room: float,
) -> None:
    for row, column in np.ndindex(*cells.shape):
        value = cells[row, column]
        if texts is None and not math.isfinite(value):
            continue
        text = texts[row][column] if texts is not None else f"{value:.1f}" if percent else f"{value:.3g}"
        # Letters are black or white, whichever has the better contrast with the colour of the cell.
        opacity = 1.0 if strength is None else float(strength[row, column])
        shade = [1 - opacity * (1 - part) for part in mesh.cmap(mesh.norm(value))[:3]]
        dark = style.ink(*shade) if math.isfinite(value) else style.INK
        longest = max(map(len, text.split("\n")), default=1) or 1
        fits = min(7.0, 72 * (room - 0.06) / (0.6 * longest))
        axes.text(column, row, text, ha="center", va="center", color=dark, fontsize=fits)
