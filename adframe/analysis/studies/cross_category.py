"""Writes the page of models that were fitted on one category and tested on the others, with distances of
features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from adframe.analysis.compare import ALPHA, is_significant
from adframe.analysis.settings import Setting, by_category, methods_of
from adframe.analysis.studies.feature_distance_section import (
    MEASURES,
    distance_matrix,
    distance_section,
)
from adframe.analysis.studies.transfer_grid import Grid, Place, losses
from adframe.analysis.studies.transfer_page import METRIC, write_grids
from adframe.errors import AdframeError
from adframe.reporting.format import p_equals
from adframe.results.frame import TestResult, load_results
from adframe.results.layer_distances import LayerDistance, layer_distances
from adframe.results.patch_samples import read_patch_samples
from adframe.results.sweep_folder import SweepFolder
from adframe.stats.mantel import Correlation, mantel
from adframe.stats.significance import holm


class CrossCategory:
    """The study of runs with `transfer=true`.

    Args:
        question: the question that the study asks, one or two sentences.
        patches: largest number of patches per category from which distances are computed.
        permutations: number of permutations of images for the p value of MMD.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = CrossCategory(question="Does a model transfer to another category?")
        >>> study.write(read_sweep(Path("multirun/cross_category")))  # doctest: +SKIP
        PosixPath('multirun/cross_category/study.html')
    """

    def __init__(self, *, question: str, patches: int = 1000, permutations: int = 200) -> None:
        self.question, self.patches, self.permutations = question, patches, permutations

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page.

        Raises:
            AdframeError: no run was tested on other categories, or one cannot be read.
        """
        methods = methods_of(load_results(sweep.finished), sweep.varied)
        tested = {name: tests for name, tests in methods.items() if any(not test.own for test in tests)}
        if not tested:
            raise AdframeError(
                f"{sweep.path} has no run that was tested on other categories; add transfer=true, with two "
                "categories or more"
            )
        grids = [_category_grid(name, tests) for name, tests in tested.items()]
        findings, sections = [], []
        for place, grid in enumerate(grids):
            first_seed = next(test for test in tested[grid.method] if test.own)
            samples = read_patch_samples(first_seed.folder.path)
            if not set(grid.fitted) <= set(samples):
                continue
            distances = layer_distances(
                {name: samples[name] for name in grid.fitted},
                most=self.patches,
                permutations=self.permutations,
            )
            correlations = _loss_correlations(grid, distances)
            findings += _correlation_findings(grid, correlations)
            sections.append(distance_section(grid, distances, correlations, place=place))
        notes = ["A model's threshold is fitted to validation images of its own category."]
        if not sections:
            notes.append(
                "Distances of features need patches that the runs have stored: set "
                "callbacks.patches.count=2000."
            )
        return write_grids(
            sweep,
            grids,
            means=grids,
            kind="category",
            question=self.question,
            findings=findings,
            sections=sections,
            notes=notes,
        )


def _category_grid(method: str, tests: Sequence[TestResult]) -> Grid:
    """Builds the grid of a method from the tests of every seed; rows and columns are categories."""
    fitted = tuple(dict.fromkeys(test.fitted for test in tests if test.own))
    cells: dict[Place, Setting] = {}
    for row in fitted:
        by_column = by_category([test for test in tests if test.fitted == row])
        for column, own in by_column.items():
            cells[row, column] = Setting(f"{method}, fitted on {row}", {}, {column: own})
    return Grid(method, "", fitted, fitted, cells)


def _loss_correlations(grid: Grid, distances: Sequence[LayerDistance]) -> dict[tuple[str, str], Correlation]:
    """Correlates the loss of models tested elsewhere with each distance, by (layer, measure)."""
    names = list(grid.fitted)
    lost = np.full((len(names), len(names)), math.nan)
    for (fitted, tested), loss in losses(grid, METRIC).items():
        lost[names.index(fitted), names.index(tested)] = loss
    return {
        (layer, measure): mantel(distance_matrix(distances, names, layer=layer, measure=measure), lost)
        for layer in dict.fromkeys(each.layer for each in distances)
        for measure in MEASURES
    }


def _correlation_findings(grid: Grid, correlations: Mapping[tuple[str, str], Correlation]) -> list[str]:
    """Writes which distances correlate significantly with the loss (Mantel's test, Holm's correction)."""
    tests = {key: each for key, each in correlations.items() if math.isfinite(each.p)}
    if not tests:
        return []
    # The number of permutations of a few categories is small, which limits p from below.
    floor = next(iter(tests.values())).least * len(tests)
    if floor > ALPHA:
        return [
            f"{grid.name}: {len(grid.fitted)} categories are too few to show whether the loss depends on the "
            f"distance: with {len(tests)} tests, p after Holm's correction is never below "
            f"{min(1.0, floor):.2f}."
        ]
    corrected = zip(tests.items(), holm([each.p for each in tests.values()]), strict=True)
    return [
        f"{grid.name}: the loss increases with {MEASURES[measure]} in {layer} (Spearman {each.rho:.2f}, "
        f"Mantel's test, {p_equals(p)} after Holm's correction)."
        for ((layer, measure), each), p in corrected
        if is_significant(p)
    ] or [
        f"{grid.name}: no distance correlates significantly with the loss (Mantel's test, {len(tests)} "
        "tests)."
    ]
