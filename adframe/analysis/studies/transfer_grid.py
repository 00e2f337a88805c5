"""Models fitted on one thing and tested on each other: a grid of tests, as tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.questions import Question
from adframe.analysis.settings import Setting
from adframe.analysis.studies.domain_shift_plots import OVERLAPS
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import title_of, with_interval
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.estimates import Estimate

METRICS = ("image/auroc", "pixel/auroc", *OVERLAPS, "image/f1", "image/fpr")
Place = tuple[str, str]  # fitted on, tested on


@dataclass(frozen=True)
class Square:
    """One cell of a grid: the tests of one model, and the categories that count.

    Attributes:
        tests: of the model, by category and seed.
        categories: those of the cell.
    """

    tests: Setting
    categories: tuple[str, ...]

    def estimate(self, metric: str) -> Estimate:
        """The mean over the categories."""
        return self.tests.estimate(metric, self.categories)


@dataclass(frozen=True)
class Grid:
    """All tests of one method, of one category or of several together.

    Attributes:
        method: what distinguishes the method from the sweep's others.
        category: the category, `mean` of all, or "" where rows and columns are categories.
        fitted: names of the rows.
        tested: names of the columns.
        squares: (fitted, tested) -> the cell, as far as it was tested.
    """

    method: str
    category: str
    fitted: tuple[str, ...]
    tested: tuple[str, ...]
    squares: Mapping[Place, Square]

    @property
    def name(self) -> str:
        """What distinguishes it from the study's other grids."""
        return f"{self.method}, {self.category}" if self.category else self.method

    def values(self, metric: str) -> np.ndarray:
        """(rows, columns), NaN where not known."""
        found = np.full((len(self.fitted), len(self.tested)), math.nan)
        for row, fitted in enumerate(self.fitted):
            for column, tested in enumerate(self.tested):
                if square := self.squares.get((fitted, tested)):
                    found[row, column] = square.estimate(metric).value
        return found

    def foreign(self) -> list[tuple[Place, Square, Square]]:
        """Every model tested elsewhere, and the one that was fitted on what is tested."""
        return [
            ((fitted, tested), square, own)
            for (fitted, tested), square in self.squares.items()
            if fitted != tested and (own := self.squares.get((tested, tested)))
        ]

    def questions(self, metric: str, *, text: str) -> list[Question]:
        """Every model tested elsewhere compared with the one that was fitted on what is tested."""
        return [
            Question(
                f"{self.name}: fitted on {fitted}, tested on {tested}",
                text, own.tests, square.tests, metric, square.categories,
            )
            for (fitted, tested), square, own in self.foreign()
        ]  # fmt: skip


def losses(grid: Grid, metric: str) -> dict[Place, float]:
    """What each model tested elsewhere lacks compared with the one that was fitted there."""
    return {
        place: own.estimate(metric).value - square.estimate(metric).value
        for place, square, own in grid.foreign()
    }


def grid_table(grids: Sequence[Grid], *, rows: str, columns: str) -> TableBlock:
    """Every cell with its intervals."""
    known = [
        metric
        for metric in METRICS
        if any(square.estimate(metric).known for grid in grids for square in grid.squares.values())
    ]
    head = (("method", "method"), ("fitted", rows), ("tested", columns))
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for grid in grids:
        for (fitted, tested), square in grid.squares.items():
            found = [square.estimate(metric) for metric in known]
            start = (grid.name, fitted, tested)
            people.append((*start, *(with_interval(each) for each in found)))
            numbers = [number for each in found for number in (each.value, each.low, each.high)]
            raw.append((*start, *(number if math.isfinite(number) else None for number in numbers)))
    start_columns = tuple(Column(key, title) for key, title in head)
    titles = tuple(Column(metric, title_of(metric)) for metric in known)
    ends = tuple(Column(f"{key}{end}", f"{key}{end}") for key in known for end in ("", "_low", "_high"))
    return TableBlock(
        "all_tests",
        "Every model on every test set, in per cent with 95% intervals. F1 and FPR are at the threshold "
        "that was fitted where the model was fitted.",
        Table((*start_columns, *titles), tuple(people)),
        Table((*start_columns, *ends), tuple(raw)),
    )


def grid_heats(grids: Sequence[Grid], metric: str, *, name: str, rows: str, columns: str) -> list[Figure]:
    """One matrix per grid."""
    title = title_of(metric)
    return [
        figures.matrix(
            f"{name}_{place}",
            caption=f"{title}, {grid.name}: rows say where a model was fitted, columns where it was tested.",
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
    """One bar per model, grouped by what was tested."""
    title = title_of(metric)
    values: dict[str, dict[str, Estimate]] = {}
    for (fitted, tested), square in grid.squares.items():
        values.setdefault(f"fitted on {fitted}", {})[tested] = square.estimate(metric)
    caption = f"{title} by what was tested, {grid.name}, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def grid_scatter(grids: Sequence[Grid]) -> Figure:
    """Image against pixel AUROC: tested where the model was fitted, and elsewhere."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for grid in grids:
        for (fitted, tested), square in grid.squares.items():
            x, y = (square.estimate(metric).value for metric in ("image/auroc", "pixel/auroc"))
            home = "tested where it was fitted" if fitted == tested else "tested elsewhere"
            points.setdefault(home, []).append((x, y, f"{fitted} → {tested}"))
    return figures.scatter(
        "image_against_pixel",
        caption="Image against pixel AUROC, one point per test.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def grid_roc(grid: Grid, *, name: str) -> Figure:
    """One panel per test set, one curve per model; only of cells that have a single category."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for (fitted, tested), square in grid.squares.items():
        if len(square.categories) == 1 and (
            curve := curve_points.roc_of_rows(square.tests.rows(square.categories[0]))
        ):
            panels.setdefault(tested, {})[f"fitted on {fitted}"] = (curve.x, curve.y, curve.area)
    return figures.roc_panels(name, caption=f"ROC curves of image scores, {grid.name}.", panels=panels)
