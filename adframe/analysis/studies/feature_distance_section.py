"""Builds the section on distances between the features of categories: its tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from adframe.analysis.studies.transfer_grid import Grid, losses
from adframe.analysis.studies.transfer_page import METRIC
from adframe.reporting import figures
from adframe.reporting.document import Figure, Section, TableBlock
from adframe.reporting.format import p_value, signed
from adframe.reporting.tables import Column, table_of_columns
from adframe.results.layer_distances import LayerDistance
from adframe.stats.mantel import Correlation

MEASURES = {  # name of a measure -> its title
    "mmd": "squared MMD",
    "wasserstein": "sliced Wasserstein",
    "cosine": "1 - cosine of means",
}
_CORRELATION_KEYS = ("layer", "distance", "Spearman", "p Mantel", "pairs")
_DISTANCE_TITLES = {
    "first": "category",
    "second": "other",
    "layer": "layer",
    "mmd": "MMD²",
    "mmd_floor": "95% of no difference",
    "p": "p",
    "wasserstein": "sliced W2",
    "cosine": "1 - cosine",
}


def distance_matrix(
    distances: Sequence[LayerDistance], names: Sequence[str], *, layer: str, measure: str
) -> np.ndarray:
    """Arranges the distances of one layer as a matrix.

    Args:
        distances: the distances between categories in every layer.
        names: the k categories, in the order of the rows.
        layer: name of the layer.
        measure: a key of `MEASURES`.

    Returns:
        (k, k) symmetric distances, NaN where unknown; the diagonal has the distance between random halves of
        one category.
    """
    matrix = np.full((len(names), len(names)), math.nan)
    for each in distances:
        if each.layer == layer:
            a, b = names.index(each.first), names.index(each.second)
            value = each.mmd.squared if measure == "mmd" else getattr(each, measure)
            matrix[a, b] = matrix[b, a] = value
    return matrix


def distance_section(
    grid: Grid,
    distances: Sequence[LayerDistance],
    correlations: Mapping[tuple[str, str], Correlation],
    *,
    place: int,
) -> Section:
    """Builds the section of one grid.

    Args:
        grid: the grid of one method.
        distances: the distances between its categories in every layer.
        correlations: (layer, measure) -> correlation of distance and loss.
        place: number of the grid in the study, for names of files.

    Returns:
        Matrices of the last layer, MMD by layer, the loss over the distance, and tables of all numbers.
    """
    names, layers = list(grid.fitted), list(dict.fromkeys(each.layer for each in distances))
    last = layers[-1]
    matrices = [
        figures.matrix(
            f"distance_{measure}_{place}",
            caption=f"{title} between features of normal training images, {last}, {grid.name}; on the "
            "diagonal between random halves of one category, which shows the value of no difference.",
            rows=names,
            columns=names,
            values=distance_matrix(distances, names, layer=last, measure=measure),
            unit=title,
        )
        for measure, title in MEASURES.items()
    ]
    return Section(
        f"Distances between categories, {grid.name}",
        (
            *matrices,
            _mmd_bars(grid, distances, layers, place=place),
            _loss_scatter(grid, distances, last, place=place),
            _correlation_table(correlations, place=place),
            _distance_table(distances, place=place),
        ),
    )


def _mmd_bars(grid: Grid, distances: Sequence[LayerDistance], layers: Sequence[str], *, place: int) -> Figure:
    values: dict[str, dict[str, float]] = {}
    for each in distances:
        if each.first != each.second:
            values.setdefault(f"{each.first} and {each.second}", {})[each.layer] = each.mmd.squared
    halves = {
        layer: float(
            np.mean(
                [each.mmd.squared for each in distances if each.first == each.second and each.layer == layer]
            )
        )
        for layer in layers
    }
    return figures.bars(
        f"drift_{place}",
        caption=f"Squared MMD between the features of two categories by layer, {grid.name}.",
        values={**values, "halves of one": halves},
        y_name="squared MMD",
    )


def _loss_scatter(grid: Grid, distances: Sequence[LayerDistance], layer: str, *, place: int) -> Figure:
    names = list(grid.fitted)
    mmd = distance_matrix(distances, names, layer=layer, measure="mmd")
    points = [
        (float(mmd[names.index(fitted), names.index(tested)]), loss, f"{fitted} → {tested}")
        for (fitted, tested), loss in losses(grid, METRIC).items()
    ]
    return figures.scatter(
        f"drop_{place}",
        caption="Loss of image AUROC compared with the model fitted on the test category, over the distance "
        f"in {layer}, {grid.name}.",
        points={grid.name: points},
        x_name="squared MMD",
        y_name="image AUROC lost, percentage points",
    )


def _correlation_table(correlations: Mapping[tuple[str, str], Correlation], *, place: int) -> TableBlock:
    rows = [
        {
            "layer": layer,
            "distance": MEASURES[measure],
            "Spearman": each.rho,
            "p Mantel": each.p,
            "pairs": each.entries,
        }
        for (layer, measure), each in correlations.items()
    ]
    columns = tuple(Column(key, key) for key in _CORRELATION_KEYS)
    texts = [
        row
        | {
            "Spearman": signed(each.rho) if math.isfinite(each.rho) else None,
            "p Mantel": p_value(each.p),
        }
        for row, each in zip(rows, correlations.values(), strict=True)
    ]
    return TableBlock(
        f"correlation_{place}",
        "Whether the loss of image AUROC increases with the distance between the categories. Spearman's rank "
        "correlation over ordered pairs; p by permuting categories, because pairs with a common category are "
        "not independent.",
        table_of_columns(columns, texts),
        raw=table_of_columns(columns, rows),
    )


def _distance_table(distances: Sequence[LayerDistance], *, place: int) -> TableBlock:
    rows, texts = [], []
    for each in distances:
        names = {
            "first": each.first,
            "second": "halves of it" if each.first == each.second else each.second,
            "layer": each.layer,
        }
        numbers = {
            "mmd": each.mmd.squared,
            "mmd_floor": each.mmd.floor,
            "p": each.mmd.p_value,
            "wasserstein": each.wasserstein,
            "cosine": each.cosine,
        }
        rows.append(
            names | {key: number if math.isfinite(number) else None for key, number in numbers.items()}
        )
        four = {key: f"{number:.4f}" if math.isfinite(number) else None for key, number in numbers.items()}
        texts.append(names | four | {"p": p_value(each.mmd.p_value)})
    return TableBlock(
        f"distances_{place}",
        "Distances between features of normal training images by layer. MMD has an RBF kernel with one "
        "bandwidth per layer (median heuristic). Next to it are the value below which 95% of the "
        "permutations of images lie, and the p value of these permutations.",
        table_of_columns([Column(key, title) for key, title in _DISTANCE_TITLES.items()], texts),
        raw=table_of_columns([Column(key, key) for key in _DISTANCE_TITLES], rows),
    )
