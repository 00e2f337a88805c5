"""Draws bootstrap resamples.

The unit of resampling is a group (all pictures of one part), because the pictures of a part are not
independent. Groups are resampled within strata (normal, logical, structural, ...), so that no resample lacks
a class and every metric is defined on each (Efron & Tibshirani, An Introduction to the Bootstrap, 1993:
chapter 8 for other units than single values).

A resample is how often each image counts. Images are identified by their paths, so that the same images and
seed give the same resamples for image metrics, for pixel metrics, and for another run.

The draws give variances and skewness, from which `intervals` computes intervals. Percentiles of the draws
themselves are too close together with few parts, and have no width where a metric is 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
# Every run resamples with this seed, whatever its own seed is, so that runs on the same images are paired.
RESAMPLING_SEED = 0


def strata_of(labels: np.ndarray, *, subsets: np.ndarray, conditions: np.ndarray | None = None) -> np.ndarray:
    """Names the stratum of each image, within which `multiplicities` draws.

    Args:
        labels: (n,) bool or int, 1 for anomalous images.
        subsets: (n,) the subset of each image.
        conditions: (n,) the light condition of each image; None if no condition is known.

    Returns:
        (n,) str: label, subset and condition.
    """
    lights = np.full(len(labels), "") if conditions is None else conditions
    rows = zip(labels, subsets, lights, strict=True)
    return np.array([f"{int(label)} {name} {light}".rstrip() for label, name, light in rows], dtype=str)


def multiplicities(
    strata: np.ndarray,
    *,
    groups: Sequence[str],
    values: Sequence[np.ndarray],
    resamples: int,
    seed: Sequence[int],
) -> np.ndarray:
    """Draws how often each image counts in each resample.

    Groups are drawn with replacement, as many as there are, from groups with the same strata.

    Args:
        strata: (n,) str, the stratum of each image; a group that has images of several strata is drawn among
            groups with the same strata.
        groups: (n,) images of one part share a group; "" for an image on its own.
        values: arrays (n,) that identify the images of a stratum independently of their order: paths, or
            scores where there are none. The last array is the first sort key.
        resamples: number of resamples.
        seed: whole numbers >= 0.

    Returns:
        (resamples, n) uint16.
    """
    names = np.array(groups, dtype=str)
    order = np.lexsort((*values, strata, names))
    sorted_names = names[order]
    starts = sorted_names == ""
    starts[1:] |= sorted_names[1:] != sorted_names[:-1]
    starts[:1] = True
    # The group of each image, in sorted order.
    unit = np.cumsum(starts) - 1
    counts = _draw_groups(
        _groups_by_stratum(unit, strata[order]), resamples=resamples, rng=np.random.default_rng(seed)
    )
    weights = np.empty((resamples, len(names)), np.uint16)
    weights[:, order] = counts[:, unit]
    return weights


def percentile_interval(values: np.ndarray, *, level: float) -> tuple[float, float]:
    """Returns the central percentile interval of resampled values.

    Args:
        values: (resamples,) values.
        level: share of the values inside the interval, in (0, 1).

    Returns:
        Lower and upper end; NaN where any value is NaN or infinite.
    """
    if not len(values) or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _groups_by_stratum(unit: np.ndarray, strata: np.ndarray) -> list[list[int]]:
    """Lists the groups of each stratum, from the stratum of each image."""
    seen: dict[int, dict[str, None]] = defaultdict(dict)
    for number, kind in zip(unit.tolist(), strata.tolist(), strict=True):
        seen[number][kind] = None
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, found in seen.items():
        # Within a group images are sorted by stratum.
        alike[tuple(found)].append(number)
    return [alike[key] for key in sorted(alike)]


def _draw_groups(strata: list[list[int]], *, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns (resamples, groups) uint16: how often each group is drawn."""
    counts = np.zeros((resamples, sum(map(len, strata))), np.uint16)
    rows = np.arange(resamples)[:, None]
    for members in strata:
        size = len(members)
        picks = rng.integers(size, size=(resamples, size)) + rows * size
        counts[:, members] = np.bincount(picks.reshape(-1), minlength=resamples * size).reshape(-1, size)
    return counts
