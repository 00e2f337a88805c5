"""Computes the AUROC over the cells of many images, with its bootstrap draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Number of distinct scores that a resample distinguishes.
MAX_EDGES = 1024


@dataclass(frozen=True, slots=True)
class CellAuroc:
    """The AUROC of cells with its bootstrap values; NaN where a class is missing.

    Attributes:
        value: AUROC in [0, 1] over all images.
        drawn: (resamples,) float64, the AUROC of each resample.
    """

    value: float
    drawn: np.ndarray


def cell_auroc(
    normal: Sequence[np.ndarray],
    anomalous: Sequence[np.ndarray],
    *,
    weights: np.ndarray,
) -> CellAuroc:
    """Computes the probability that an anomalous cell of any image scores above a normal one; ties count
    half.

    The value is exact. Its draws resample whole images, because the cells of one image are not independent.
    They distinguish `MAX_EDGES` quantiles of the scores where there are more distinct ones.

    Args:
        normal: n arrays (k,), the scores of the normal cells of each image, k >= 0.
        anomalous: n arrays (k,), the scores of the anomalous cells of each image.
        weights: (resamples, n) how often each image counts in each resample (`bootstrap.multiplicities`).

    Returns:
        The value and its draws.
    """
    below, above = (np.concatenate([*parts, np.empty(0)]) for parts in (normal, anomalous))
    if not len(below) or not len(above):
        return CellAuroc(math.nan, np.full(len(weights), math.nan))
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")
    value = float(wins.mean() / 2 / len(below))
    edges = _bin_edges(np.concatenate([below, above]))
    tallies = [_counts_per_image(parts, edges) for parts in (normal, anomalous)]  # (n, bins) each
    drawn = _auroc_of_counts(*(weights.astype(np.float64) @ tally for tally in tallies))
    return CellAuroc(value, drawn)


def _bin_edges(scores: np.ndarray) -> np.ndarray:
    """Returns ascending lower edges of bins: every distinct score, or quantiles of them."""
    distinct = np.unique(scores)
    if len(distinct) <= MAX_EDGES:
        return distinct
    return np.unique(np.quantile(scores, np.arange(MAX_EDGES) / MAX_EDGES, method="lower"))


def _counts_per_image(parts: Sequence[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Returns (n, bins) float64: how many scores of each image lie in each bin."""
    return np.stack(
        [np.bincount(np.searchsorted(edges, part, "right") - 1, minlength=len(edges)) for part in parts]
    ).astype(np.float64)


def _auroc_of_counts(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """Returns (resamples,) AUROC of (resamples, bins) counts; NaN where a resample lacks a class."""
    lower = np.cumsum(normal, axis=1) - normal / 2
    pairs = normal.sum(axis=1) * anomalous.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((anomalous * lower).sum(axis=1) / pairs)
