"""The cross-category study: fitted on one, tested on each other, and how far their features lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adframe.analysis.studies.feature_distance_section import MEASURES, distance_section, table_of_distances
from adframe.analysis.studies.method_groups import grouped
from adframe.analysis.studies.test_result import read_condition
from adframe.analysis.studies.transfer_grid import Grid, Place, Square, drops
from adframe.analysis.studies.transfer_page import METRIC, write_grids
from adframe.errors import AdframeError
from adframe.reporting.format import p_value
from adframe.results.layer_distances import LayerDistance, layer_distances
from adframe.results.names import TRANSFER
from adframe.results.patch_samples import read_samples
from adframe.results.sweep_folder import Sweep
from adframe.stats.mantel import Correlation, mantel


class CrossCategory:
    """Makes the page of runs with `transfer=true`.

    Args:
        question: what the study asks, one or two sentences.
        patches: of each category that distances rest on at most.
        permutations: of images, for MMD's p.
    """

    def __init__(self, *, question: str, patches: int = 1000, permutations: int = 200) -> None:
        self.question, self.patches, self.permutations = question, patches, permutations

    def write(self, sweep: Sweep) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: no run was tested on other categories, or one cannot be read.
        """
        runs = _runs(sweep)
        grids = [_grid(name, run) for name, run in runs.items()]
        findings, sections = [], []
        for place, grid in enumerate(grids):
            samples = read_samples(runs[grid.method])
            if not set(grid.fitted) <= set(samples):
                continue
            found = layer_distances(
                {name: samples[name] for name in grid.fitted},
                most=self.patches,
                permutations=self.permutations,
            )
            known = _correlations(grid, found)
            findings += _said(grid, known)
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


def _runs(sweep: Sweep) -> dict[str, Path]:
    known = {
        name: run.path
        for name, runs in grouped(sweep).items()
        for run in runs[:1]
        if (run.path / TRANSFER).is_dir()
    }
    if not known:
        raise AdframeError(
            f"{sweep.folder} has no run that was tested on other categories; add transfer=true, with two "
            "categories or more"
        )
    return known


def _grid(name: str, run: Path) -> Grid:
    own = read_condition(run, name=name)
    squares: dict[Place, Square] = {}
    for fitted in own.categories:
        squares[fitted, fitted] = Square(own, (fitted,))
        other = read_condition(run / TRANSFER / fitted, name=fitted)
        squares |= {(fitted, tested): Square(other, (tested,)) for tested in other.categories}
    return Grid(name, "", own.categories, own.categories, squares)


def _correlations(grid: Grid, found: Sequence[LayerDistance]) -> dict[tuple[str, str], Correlation]:
    """By layer and measure: does a model lose more the further the category lies off?"""
    names, lost = list(grid.fitted), np.full((len(grid.fitted), len(grid.fitted)), math.nan)
    for (fitted, tested), drop in drops(grid, METRIC).items():
        lost[names.index(fitted), names.index(tested)] = drop
    return {
        (layer, measure): mantel(table_of_distances(found, names, layer=layer, measure=measure), lost)
        for layer in dict.fromkeys(each.layer for each in found)
        for measure in MEASURES
    }


def _said(grid: Grid, known: dict[tuple[str, str], Correlation]) -> list[str]:
    """Only what Mantel's test supports; with few categories nothing can be."""
    tests = [each for each in known.values() if math.isfinite(each.p)]
    if not tests:
        return []
    least, family = tests[0].least, len(tests)
    if least * family > 0.05:
        return [
            f"{grid.name}: {len(grid.fitted)} categories cannot show whether the drop follows the distance: "
            f"with {family} tests, p by Holm's correction is never below {min(1.0, least * family):.2f}."
        ]
    supported = {key: each for key, each in known.items() if each.p * family < 0.05}  # Bonferroni: below Holm
    return [
        f"{grid.name}: the drop follows {MEASURES[measure]} in {layer} (Spearman {each.rho:.2f}, Mantel p "
        f"{p_value(each.p)})."
        for (layer, measure), each in supported.items()
    ] or [f"{grid.name}: no distance goes with the drop beyond chance (Mantel's test, {family} of them)."]
