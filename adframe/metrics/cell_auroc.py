"""AUROC of the cells of many images, and how far it could be off on other images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import interval

MAX_EDGES = 1024  # distinct scores at most that a resample tells apart


@dataclass(frozen=True, slots=True)
class CellAuroc:
    """A value, what it is in each resample, and the ends of the middle of these: NaN where not known."""

    value: float
    drawn: np.ndarray  # (resamples,) float64
    low: float
    high: float


def cell_auroc(
    normal: Sequence[np.ndarray],
    anomalous: Sequence[np.ndarray],
    *,
    weights: np.ndarray,
    level: float = 0.95,
) -> CellAuroc:
    """The probability that an anomalous cell of any image scores above a normal one; ties count half.

    The value is exact. Its interval draws whole images, because cells of one are no independent
    evidence, and rests on `MAX_EDGES` quantiles of the scores where there are more distinct ones.

    Args:
        normal: a (k,) array for each of n images: the scores of its normal cells, k >= 0.
        anomalous: the same of its anomalous cells.
        weights: (resamples, n) how often each image counts in each resample (`bootstrap.multiplicities`).
        level: share of the resamples inside the interval.
    """
    below, above = (np.concatenate([*parts, np.empty(0)]) for parts in (normal, anomalous))
    if not len(below) or not len(above):
        return CellAuroc(math.nan, np.full(len(weights), math.nan), math.nan, math.nan)
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")
    value = float(wins.mean() / 2 / len(below))
    edges = _bin_edges(np.concatenate([below, above]))
    tallies = [_counts_per_image(parts, edges) for parts in (normal, anomalous)]  # (n, bins) each
    drawn = _areas(*(weights.astype(np.float64) @ tally for tally in tallies))
    return CellAuroc(value, drawn, *interval(drawn, level=level))


def _bin_edges(scores: np.ndarray) -> np.ndarray:
    """Rising lower edges of bins: each distinct score, or quantiles of them."""
    distinct = np.unique(scores)
    if len(distinct) <= MAX_EDGES:
        return distinct
    return np.unique(np.quantile(scores, np.arange(MAX_EDGES) / MAX_EDGES, method="lower"))


def _counts_per_image(parts: Sequence[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """(n, bins): how many scores of each image lie in each bin."""
    return np.stack(
        [np.bincount(np.searchsorted(edges, part, "right") - 1, minlength=len(edges)) for part in parts]
    ).astype(np.float64)


def _areas(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """(resamples,) AUROC from (resamples, bins) tallies; NaN where a resample lacks a class."""
    lower = np.cumsum(normal, axis=1) - normal / 2
    pairs = normal.sum(axis=1) * anomalous.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((anomalous * lower).sum(axis=1) / pairs)
