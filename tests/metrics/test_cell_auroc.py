"""AUROC over cells: exact, and its interval draws images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adframe.metrics.cell_auroc import MAX_EDGES, cell_auroc

RNG = np.random.default_rng(0)


def images(count: int, *, each: int, moved: float = 0.0) -> list[np.ndarray]:
    return [RNG.normal(moved, 1, each).round(1) for _ in range(count)]


def truth_of(normal: list[np.ndarray], anomalous: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    below, above = np.concatenate(normal), np.concatenate(anomalous)
    return np.repeat([0, 1], [len(below), len(above)]), np.concatenate([below, above])


def test_the_value_is_scikit_learns_and_a_resample_that_of_the_images_repeated() -> None:
    normal, anomalous = images(6, each=30), images(6, each=9, moved=1)
    weights = RNG.integers(0, 4, (5, 6))
    found = cell_auroc(normal, anomalous, weights=weights)
    assert found.value == pytest.approx(roc_auc_score(*truth_of(normal, anomalous)))
    for drawn, counts in zip(found.drawn, weights, strict=True):
        repeated = [[part for part, k in zip(parts, counts, strict=True) for _ in range(k)]
                    for parts in (normal, anomalous)]  # fmt: skip
        assert drawn == pytest.approx(roc_auc_score(*truth_of(*repeated)))


def test_more_distinct_scores_than_edges_change_resamples_hardly() -> None:
    normal = [RNG.normal(0, 1, 2 * MAX_EDGES) for _ in range(4)]
    anomalous = [RNG.normal(1, 1, 50) for _ in range(4)]
    found = cell_auroc(normal, anomalous, weights=np.ones((1, 4)))
    assert found.drawn[0] == pytest.approx(found.value, abs=1e-3)


def test_images_whose_cells_are_alike_make_a_wide_interval() -> None:
    weights = RNG.multinomial(8, np.full(8, 1 / 8), 300)
    places = RNG.normal(0, 1, 8)
    alike = [np.full(50, place) for place in places]
    mixed = list(RNG.permutation(np.concatenate(alike)).reshape(8, 50))
    defects = [np.full(5, 0.5)] * 8
    wide, narrow = (cell_auroc(each, defects, weights=weights) for each in (alike, mixed))
    assert wide.value == narrow.value
    assert np.std(wide.drawn) > 3 * np.std(narrow.drawn)


def test_what_is_not_known_is_nan() -> None:
    none = [np.empty(0)] * 3
    assert np.isnan(cell_auroc(images(3, each=4), none, weights=np.ones((2, 3))).value)
    once = [np.array([9.0]), np.empty(0), np.empty(0)]
    found = cell_auroc(images(3, each=4), once, weights=np.array([[1, 1, 1], [0, 2, 1]]))
    assert (found.value, np.isnan(found.drawn).tolist()) == (1, [False, True])
