"""Models fitted on one thing and tested on each other: a grid of tests, as tables, figures and effects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.studies.domain_shift_plots import OVERLAPS, spanned
from adframe.analysis.studies.effects import Effect
from adframe.analysis.studies.test_result import Condition, Estimate
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, Numbers
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.names import TITLES

METRICS = ("image/auroc", "pixel/auroc", *OVERLAPS, "image/f1", "image/fpr")
Place = tuple[str, str]  # fitted on, tested on


@dataclass(frozen=True, slots=True)
class Square:
    """One cell: a test, and the classes in it that are meant."""

    test: Condition
    classes: tuple[str, ...]

    def estimate(self, metric: str) -> Estimate:
        """The mean over the classes."""
        return self.test.estimate(metric, self.classes)


@dataclass(frozen=True, slots=True)
class Grid:
    """One method, and which classes it is about.

    Attributes:
        method: what of the sweep makes it what it is.
        pool: the class that is meant, `mean` of all, or "" where rows and columns are classes.
        fitted: rows.
        tested: columns.
        squares: what is known.
    """

    method: str
    pool: str
    fitted: tuple[str, ...]
    tested: tuple[str, ...]
    squares: Mapping[Place, Square]

    @property
    def name(self) -> str:
        """What tells it from the study's other grids."""
        return f"{self.method}, {self.pool}" if self.pool else self.method

    def values(self, metric: str) -> np.ndarray:
        """(rows, columns), NaN where not known."""
        found = np.full((len(self.fitted), len(self.tested)), math.nan)
        for row, fitted in enumerate(self.fitted):
            for column, tested in enumerate(self.tested):
                if square := self.squares.get((fitted, tested)):
                    found[row, column] = square.estimate(metric)[0]
        return found

    def effects(self, metric: str, *, question: str) -> list[Effect]:
        """Every model against the one that was fitted on what is tested, on the same images."""
        found = []
        for (fitted, tested), square in self.squares.items():
            own = self.squares.get((tested, tested))
            if own and fitted != tested:
                more = square.test.more_than(own.test, metric, square.classes)
                subject = f"{self.name}: fitted on {fitted}, tested on {tested}"
                found.append(Effect(subject, question, more))
        return found


def drops(grid: Grid, metric: str) -> dict[Place, float]:
    """What a model lacks against the one that was fitted on what is tested; off the diagonal."""
    found = {}
    for (fitted, tested), square in grid.squares.items():
        own = grid.squares.get((tested, tested))
        if own and fitted != tested:
            found[fitted, tested] = own.estimate(metric)[0] - square.estimate(metric)[0]
    return found


def grid_table(grids: Sequence[Grid], *, rows: str, columns: str) -> Numbers:
    """Every cell with its intervals."""
    known = [
        metric
        for metric in METRICS
        if any(
            math.isfinite(square.estimate(metric)[0]) for grid in grids for square in grid.squares.values()
        )
    ]
    head = (("method", "method"), ("fitted", rows), ("tested", columns))
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for grid in grids:
        for (fitted, tested), square in grid.squares.items():
            found = [square.estimate(metric) for metric in known]
            start = (grid.name, fitted, tested)
            people.append((*start, *(spanned(each) for each in found)))
            numbers = [number for each in found for number in each]
            raw.append((*start, *(number if math.isfinite(number) else None for number in numbers)))
    start_columns = tuple(Column(key, title) for key, title in head)
    titles = tuple(Column(metric, TITLES.get(metric, metric)) for metric in known)
    ends = tuple(Column(f"{key}{end}", f"{key}{end}") for key in known for end in ("", "_low", "_high"))
    return Numbers(
        "all_tests",
        "Every model on every test set, in per cent with 95% intervals. F1 and FPR are at the threshold "
        "that was fitted where the model was fitted.",
        Table((*start_columns, *titles), tuple(people)),
        Table((*start_columns, *ends), tuple(raw)),
    )


def grid_heats(grids: Sequence[Grid], metric: str, *, name: str, rows: str, columns: str) -> list[Figure]:
    """A matrix a grid."""
    title = TITLES.get(metric, metric)
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
    """A bar a model, grouped by what was tested."""
    title = TITLES.get(metric, metric)
    values: dict[str, dict[str, Estimate]] = {}
    for (fitted, tested), square in grid.squares.items():
        values.setdefault(f"fitted on {fitted}", {})[tested] = square.estimate(metric)
    caption = f"{title} by what was tested, {grid.name}, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def grid_scatter(grids: Sequence[Grid]) -> Figure:
    """Image against pixel AUROC: at home and elsewhere."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for grid in grids:
        for (fitted, tested), square in grid.squares.items():
            x, y = (square.estimate(metric)[0] for metric in ("image/auroc", "pixel/auroc"))
            home = "tested where it was fitted" if fitted == tested else "tested elsewhere"
            points.setdefault(home, []).append((x, y, f"{fitted} → {tested}"))
    return figures.scatter(
        "image_against_pixel",
        caption="Image against pixel AUROC, a point a test.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def grid_roc(grid: Grid, *, name: str) -> Figure:
    """A panel a test set, a curve a model; the classes of a square drawn together only where it has one."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for (fitted, tested), square in grid.squares.items():
        rows = [row for category in square.classes for row in square.test.reading.rows(category)]
        curve = curve_points.roc([row["score"] for row in rows], [row["label"] for row in rows])
        if curve and len(square.classes) == 1:
            panels.setdefault(tested, {})[f"fitted on {fitted}"] = (curve.x, curve.y, curve.area)
    return figures.roc_panels(name, caption=f"ROC curves of image scores, {grid.name}.", panels=panels)
