"""Distances between categories' features: the tables and figures of a section."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from adframe.analysis.studies.transfer_grid import Grid, losses
from adframe.analysis.studies.transfer_page import METRIC
from adframe.reporting import figures
from adframe.reporting.document import Block, Section, TableBlock
from adframe.reporting.format import p_value, signed
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.layer_distances import LayerDistance
from adframe.stats.mantel import Correlation

MEASURES = {
    "mmd": "squared MMD",
    "wasserstein": "sliced Wasserstein",
    "cosine": "1 - cosine of means",
}


def table_of_distances(
    found: Sequence[LayerDistance], names: Sequence[str], *, layer: str, measure: str
) -> np.ndarray:
    """(k, k) of one layer, symmetric; the diagonal is what halves of one category differ by."""
    table = np.full((len(names), len(names)), math.nan)
    for each in found:
        if each.layer == layer:
            a, b = names.index(each.first), names.index(each.second)
            value = each.mmd.squared if measure == "mmd" else getattr(each, measure)
            table[a, b] = table[b, a] = value
    return table


def distance_section(
    grid: Grid, found: Sequence[LayerDistance], known: Mapping[tuple[str, str], Correlation], *, place: int
) -> Section:
    """All of one grid: matrices of the last layer, drift by layer, correlation with the drop, every number.

    Args:
        grid: of one method.
        found: distances of its categories.
        known: correlations by layer and measure.
        place: of the grid in the study, for names of files.
    """
    names, layers = list(grid.fitted), list(dict.fromkeys(each.layer for each in found))
    last = layers[-1]
    blocks: list[Block] = [
        figures.matrix(
            f"distance_{measure}_{place}",
            caption=f"{title} between features of normal training images, {last}, {grid.name}; on the "
            "diagonal between random halves of one category: what no difference looks like.",
            rows=names,
            columns=names,
            values=table_of_distances(found, names, layer=last, measure=measure),
            unit=title,
        )
        for measure, title in MEASURES.items()
    ]
    blocks += [_drift(grid, found, layers, place=place), _scatter(grid, found, last, place=place)]
    return Section(
        f"How far categories lie apart, {grid.name}",
        (*blocks, _correlation_table(known, place=place), _distance_table(found, place=place)),
    )


def _drift(grid: Grid, found: Sequence[LayerDistance], layers: Sequence[str], *, place: int) -> Block:
    """Each pair's MMD by layer."""
    values: dict[str, dict[str, float]] = {}
    for each in found:
        if each.first != each.second:
            values.setdefault(f"{each.first} and {each.second}", {})[each.layer] = each.mmd.squared
    within = {
        layer: float(
            np.mean([each.mmd.squared for each in found if each.first == each.second and each.layer == layer])
        )
        for layer in layers
    }
    return figures.bars(
        f"drift_{place}",
        caption=f"Squared MMD by layer, {grid.name}: how far features drift from one category to another.",
        values={**values, "halves of one": within},
        y_name="squared MMD",
    )


def _scatter(grid: Grid, found: Sequence[LayerDistance], layer: str, *, place: int) -> Block:
    names = list(grid.fitted)
    table = table_of_distances(found, names, layer=layer, measure="mmd")
    points = [
        (float(table[names.index(fitted), names.index(tested)]), loss, f"{fitted} → {tested}")
        for (fitted, tested), loss in losses(grid, METRIC).items()
    ]
    return figures.scatter(
        f"drop_{place}",
        caption="Loss of image AUROC compared with the model trained on the same category, over the "
        f"distance in {layer}, {grid.name}.",
        points={grid.name: points},
        x_name="squared MMD",
        y_name="image AUROC lost, %",
    )


def _correlation_table(known: Mapping[tuple[str, str], Correlation], *, place: int) -> TableBlock:
    columns = tuple(Column(key, key) for key in ("layer", "distance", "Spearman", "p Mantel", "pairs"))
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for (layer, measure), each in known.items():
        start = (layer, MEASURES[measure])
        rho = signed(each.rho) if math.isfinite(each.rho) else None
        people.append((*start, rho, p_value(each.p), each.entries))
        raw.append((*start, each.rho, each.p, each.entries))
    return TableBlock(
        f"correlation_{place}",
        "Whether image AUROC drops more the further the categories lie apart. Spearman's rank correlation "
        "over "
        "ordered pairs; p by permuting categories, because pairs that share one are not independent.",
        Table(columns, tuple(people)),
        Table(columns, tuple(raw)),
    )


def _distance_table(found: Sequence[LayerDistance], *, place: int) -> TableBlock:
    keys = ("first", "second", "layer", "mmd", "mmd_floor", "p", "wasserstein", "cosine")
    titles = ("category", "other", "layer", "MMD²", "95% of no difference", "p", "sliced W2", "1 - cosine")
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for each in found:
        start = (each.first, "halves of it" if each.first == each.second else each.second, each.layer)
        numbers = (each.mmd.squared, each.mmd.floor, each.mmd.p_value, each.wasserstein, each.cosine)
        raw.append((*start, *(number if math.isfinite(number) else None for number in numbers)))
        shown = [f"{number:.4f}" if math.isfinite(number) else None for number in numbers]
        people.append((*start, *shown[:2], p_value(each.mmd.p_value), *shown[3:]))
    return TableBlock(
        f"distances_{place}",
        "Distances between features of normal training images by layer. MMD with an RBF kernel, one "
        "bandwidth per layer by the median heuristic; next to it the value below which 95% of "
        "permutations of images lie, and the p value by them.",
        Table(tuple(Column(k, t) for k, t in zip(keys, titles, strict=True)), tuple(people)),
        Table(tuple(Column(key, key) for key in keys), tuple(raw)),
    )
