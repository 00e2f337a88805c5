"""A grid of models and test sets, as tables and figures: models are also tested where others were fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.questions import Answer, answer_question
from adframe.analysis.settings import Setting
from adframe.analysis.studies.domain_shift_plots import (
    OVERLAP_METRICS,
    estimate_cells,
    estimate_columns,
    estimate_csv_columns,
)
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import title_of
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.estimates import Estimate

GRID_METRICS = ("image/auroc", "pixel/auroc", *OVERLAP_METRICS, "image/f1", "image/fpr")
Place = tuple[str, str]  # fitted on, tested on


@dataclass(frozen=True)
class Grid:
    """All tests of one method on one category, or on several together.

    Attributes:
        method: name that distinguishes the method from the sweep's others.
        category: the category, `mean` of all, or "" where rows and columns are categories.
        fitted: names of the rows: where a model was fitted.
        tested: names of the columns: where it was tested.
        cells: (fitted, tested) -> the tests of that model there; each cell has the tests of its own
            categories only. Combinations that were not tested are missing.

    Example:
        >>> cells = {("bolt", "tray"): Setting("", {}, {}), ("tray", "tray"): Setting("", {}, {})}
        >>> grid = Grid("padim", "", ("bolt", "tray"), ("bolt", "tray"), cells)
        >>> grid.name, [place for place, _, _ in grid.tested_elsewhere()]
        ('padim', [('bolt', 'tray')])
    """

    method: str
    category: str
    fitted: tuple[str, ...]
    tested: tuple[str, ...]
    cells: Mapping[Place, Setting]

    @property
    def name(self) -> str:
        """The name that distinguishes the grid from the study's others."""
        return f"{self.method}, {self.category}" if self.category else self.method

    def values(self, metric: str) -> np.ndarray:
        """Returns a metric of every cell.

        Args:
            metric: such as `image/auroc`.

        Returns:
            (rows, columns) means over categories and seeds; NaN where unknown.
        """
        found = np.full((len(self.fitted), len(self.tested)), math.nan)
        for row, fitted in enumerate(self.fitted):
            for column, tested in enumerate(self.tested):
                if cell := self.cells.get((fitted, tested)):
                    found[row, column] = cell.estimate(metric).value
        return found

    def tested_elsewhere(self) -> list[tuple[Place, Setting, Setting]]:
        """Lists the tests of models where another model was fitted.

        Returns:
            ((fitted, tested), tests of the model, tests of the model that was fitted there).
        """
        return [
            ((fitted, tested), cell, own)
            for (fitted, tested), cell in self.cells.items()
            if fitted != tested and (own := self.cells.get((tested, tested)))
        ]

    def answers(self, metric: str, *, question: str) -> list[Answer]:
        """Compares every model that was tested elsewhere with the model that was fitted there.

        Args:
            metric: such as `image/auroc`.
            question: the text of the question.

        Returns:
            One answer per cell, without a correction.
        """
        return [
            answer_question(
                f"{self.name}: fitted on {fitted}, tested on {tested}",
                question,
                own,
                cell,
                metric=metric,
                categories=cell.categories,
            )
            for (fitted, tested), cell, own in self.tested_elsewhere()
        ]


def losses(grid: Grid, metric: str) -> dict[Place, float]:
    """Computes the loss of every model that was tested elsewhere.

    Args:
        grid: the grid of a method.
        metric: such as `image/auroc`.

    Returns:
        (fitted, tested) -> the metric of the model that was fitted there, minus that of this model; NaN
        where unknown.
    """
    return {
        place: own.estimate(metric).value - cell.estimate(metric).value
        for place, cell, own in grid.tested_elsewhere()
    }


def grid_table(grids: Sequence[Grid], *, rows: str, columns: str) -> TableBlock:
    """Builds the table of every cell with its intervals.

    Args:
        grids: the grids of the study.
        rows: title of the column that says where a model was fitted.
        columns: title of the column that says where it was tested.

    Returns:
        One row per cell.
    """
    metrics = [
        metric
        for metric in GRID_METRICS
        if any(cell.estimate(metric).known for grid in grids for cell in grid.cells.values())
    ]
    lines = []
    for grid in grids:
        for (fitted, tested), cell in grid.cells.items():
            line: dict[str, str | float | None] = {"method": grid.name, "fitted": fitted, "tested": tested}
            for metric in metrics:
                line |= estimate_cells(metric, cell.estimate(metric))
            lines.append(line)
    start = [Column("method", "method"), Column("fitted", rows), Column("tested", columns)]
    return TableBlock(
        "all_tests",
        "Every model on every test set, in per cent with 95% intervals. F1 and FPR are at the threshold "
        "that was fitted together with the model.",
        table_of_columns([*start, *estimate_columns(metrics)], lines),
        raw=table_of_columns([*start, *estimate_csv_columns(metrics)], lines),
    )


def grid_matrices(grids: Sequence[Grid], metric: str, *, name: str, rows: str, columns: str) -> list[Figure]:
    """Draws one matrix per grid.

    Args:
        grids: the grids to draw.
        metric: such as `image/auroc`.
        name: start of the names of the figures' files.
        rows: name of the vertical axis.
        columns: name of the horizontal axis.

    Returns:
        The figures, in the order of the grids.
    """
    title = title_of(metric)
    return [
        figures.matrix(
            f"{name}_{place}",
            caption=f"{title}, {grid.name}: rows show where a model was fitted, columns where it was tested.",
            rows=grid.fitted,
            columns=grid.tested,
            values=grid.values(metric),
            unit=f"{title}, %",
            row_name=rows,
            column_name=columns,
        )
        for place, grid in enumerate(grids)
    ]


def grid_bars(grid: Grid, metric: str, *, name: str) -> Figure:
    """Draws one bar per model, grouped by test set.

    Args:
        grid: the grid to draw.
        metric: such as `image/auroc`.
        name: name of the figure's files.

    Returns:
        The figure.
    """
    title = title_of(metric)
    values: dict[str, dict[str, Estimate]] = {}
    for (fitted, tested), cell in grid.cells.items():
        values.setdefault(f"fitted on {fitted}", {})[tested] = cell.estimate(metric)
    caption = f"{title} by test set, {grid.name}, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def grid_scatter(grids: Sequence[Grid]) -> Figure:
    """Draws pixel AUROC over image AUROC, one point per cell.

    Args:
        grids: the grids to draw.

    Returns:
        The figure; models that were tested elsewhere have a colour of their own.
    """
    points: dict[str, list[figures.Point]] = {}
    for grid in grids:
        for (fitted, tested), cell in grid.cells.items():
            x, y = (cell.estimate(metric).value for metric in ("image/auroc", "pixel/auroc"))
            group = "tested where it was fitted" if fitted == tested else "tested elsewhere"
            points.setdefault(group, []).append((x, y, f"{fitted} → {tested}"))
    return figures.scatter(
        "image_against_pixel",
        caption="Pixel AUROC over image AUROC, one point per test.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def grid_rocs(grid: Grid, *, name: str) -> Figure:
    """Draws ROC curves: one panel per test set, one curve per model.

    Args:
        grid: the grid to draw; only cells with a single category are drawn.
        name: name of the figure's files.

    Returns:
        The figure.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for (fitted, tested), cell in grid.cells.items():
        if len(cell.categories) == 1 and (curve := curve_points.roc_of_rows(cell.rows(cell.categories[0]))):
            panels.setdefault(tested, {})[f"fitted on {fitted}"] = (curve.x, curve.y, curve.area)
    return figures.roc_panels(name, caption=f"ROC curves of image scores, {grid.name}.", panels=panels)
