"""The cross-category study: fitted on one, tested on each other, and how far their features lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adframe.analysis.compare import ALPHA, is_significant
from adframe.analysis.settings import Setting, by_category, methods_of
from adframe.analysis.studies.feature_distance_section import (
    MEASURES,
    distance_section,
    table_of_distances,
)
from adframe.analysis.studies.transfer_grid import Grid, Place, Square, losses
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
    """Makes the page of runs with `transfer=true`.

    Args:
        question: what the study asks, one or two sentences.
        patches: of each category that distances rest on at most.
        permutations: of images, for MMD's p.
    """

    def __init__(self, *, question: str, patches: int = 1000, permutations: int = 200) -> None:
        self.question, self.patches, self.permutations = question, patches, permutations

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: no run was tested on other categories, or one cannot be read.
        """
        methods = methods_of(load_results(sweep.finished), sweep.varied)
        tested = [(name, tests) for name, tests in methods.items() if any(not test.own for test in tests)]
        if not tested:
            raise AdframeError(
                f"{sweep.path} has no run that was tested on other categories; add transfer=true, with two "
                "categories or more"
            )
        grids = [_grid(name, tests) for name, tests in tested]
        findings, sections = [], []
        for place, (grid, (_, tests)) in enumerate(zip(grids, tested, strict=True)):
            samples = read_patch_samples(
                Path(next(test.folder.path for test in tests if test.own))
            )  # first seed
            if not set(grid.fitted) <= set(samples):
                continue
            found = layer_distances(
                {name: samples[name] for name in grid.fitted},
                most=self.patches,
                permutations=self.permutations,
            )
            known = _correlations(grid, found)
            findings += _findings(grid, known)
            sections.append(distance_section(grid, found, known, place=place))
        notes = ["A model's threshold is fitted to validation images of its own category."]
        if not sections:
            notes.append(
                "Without sampled patches there are no distances of features: callbacks.patches.count=2000."
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


def _grid(method: str, tests: Sequence[TestResult]) -> Grid:
    """All tests of one method, with every seed; rows and columns are categories."""
    fitted = tuple(dict.fromkeys(test.fitted for test in tests if test.own))
    squares: dict[Place, Square] = {}
    for row in fitted:
        own = [test for test in tests if test.fitted == row]
        setting = Setting(f"{method}, fitted on {row}", {}, by_category(own))
        squares |= {(row, column): Square(setting, (column,)) for column in setting.categories}
    return Grid(method, "", fitted, fitted, squares)


def _correlations(grid: Grid, found: Sequence[LayerDistance]) -> dict[tuple[str, str], Correlation]:
    """By layer and measure: whether a model loses more the further the category is from its own."""
    names, lost = list(grid.fitted), np.full((len(grid.fitted), len(grid.fitted)), math.nan)
    for (fitted, tested), loss in losses(grid, METRIC).items():
        lost[names.index(fitted), names.index(tested)] = loss
    return {
        (layer, measure): mantel(table_of_distances(found, names, layer=layer, measure=measure), lost)
        for layer in dict.fromkeys(each.layer for each in found)
        for measure in MEASURES
    }


def _findings(grid: Grid, known: dict[tuple[str, str], Correlation]) -> list[str]:
    """Only what Mantel's test supports after Holm's correction; with few categories nothing can be."""
    tests = {key: each for key, each in known.items() if math.isfinite(each.p)}
    if not tests:
        return []
    floor = next(iter(tests.values())).least * len(tests)
    if floor > ALPHA:
        return [
            f"{grid.name}: with {len(grid.fitted)} categories it cannot be shown whether the loss depends "
            "on the "
            f"distance: with {len(tests)} tests, p by Holm's correction is never below {min(1.0, floor):.2f}."
        ]
    corrected = zip(tests.items(), holm([each.p for each in tests.values()]), strict=True)
    return [
        f"{grid.name}: the loss increases with {MEASURES[measure]} in {layer} (Spearman {each.rho:.2f}, "
        "Mantel's "
        f"test, {p_equals(p)} after Holm's correction)."
        for ((layer, measure), each), p in corrected
        if is_significant(p)
    ] or [
        f"{grid.name}: no distance correlates significantly with the loss (Mantel's test, {len(tests)} "
        "tests)."
    ]
