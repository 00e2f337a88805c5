"""Bootstrap draws and intervals: how far they could be off, had other parts been photographed.

What is resampled is a group (all pictures of one part), because its pictures are no independent
evidence; and it is resampled among its like (normal, logical, structural, ...), so that no resample
lacks a class and every metric is defined in each (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993: chapter 13 for percentile intervals, chapter 8 for other units than single values).

A resample is how often each image counts. Images are told apart by their paths, so that the same images
and seed give the same resamples, for image metrics, for pixel metrics, and for another run.

What such an interval cannot tell: a metric at its end, such as an AUROC of 1, gets an interval of no
width, and so does a class of a single part. With few parts percentile intervals are somewhat short.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.95  # of confidence, of every interval
RESAMPLES = 1000


def kinds(labels: np.ndarray, *, subsets: np.ndarray, conditions: np.ndarray | None = None) -> np.ndarray:
    """(n,) str: label, subset and condition of each image, the strata in which `multiplicities` draws."""
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
    """How often each image counts in each resample: (resamples, n) uint16.

    Groups are drawn with replacement, as many as there are, from those with the same strata.

    Args:
        strata: (n,) str, the kind of each image; a group of several kinds is drawn among its like.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        values: (n,) arrays that tell images of a stratum apart, whatever order they come in: paths, or
            scores where there are none. The last counts most.
        resamples: how many to draw.
        seed: whole numbers >= 0.
    """
    names = np.array(groups, dtype=str)
    order = np.lexsort((*values, strata, names))
    sorted_names = names[order]
    starts = sorted_names == ""
    starts[1:] |= sorted_names[1:] != sorted_names[:-1]
    starts[:1] = True
    unit = np.cumsum(starts) - 1  # the group of each image, in the order of sorting
    counts = _drawn(_strata(unit, strata[order]), resamples=resamples, rng=np.random.default_rng(seed))
    weights = np.empty((resamples, len(names)), np.uint16)
    weights[:, order] = counts[:, unit]
    return weights


def interval(values: np.ndarray, *, level: float) -> tuple[float, float]:
    """The middle `level` of (resamples,) values, from percentile to percentile; NaN if one of them is."""
    if not len(values) or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _strata(unit: np.ndarray, strata: np.ndarray) -> list[list[int]]:
    """The groups of each stratum, from the stratum of each image."""
    seen: dict[int, dict[str, None]] = defaultdict(dict)
    for number, kind in zip(unit.tolist(), strata.tolist(), strict=True):
        seen[number][kind] = None
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, found in seen.items():
        alike[tuple(found)].append(number)  # within a group images are sorted by stratum
    return [alike[key] for key in sorted(alike)]


def _drawn(strata: list[list[int]], *, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(resamples, groups) how often each group is drawn."""
    counts = np.zeros((resamples, sum(map(len, strata))), np.uint16)
    rows = np.arange(resamples)[:, None]
    for members in strata:
        size = len(members)
        picks = rng.integers(size, size=(resamples, size)) + rows * size
        counts[:, members] = np.bincount(picks.reshape(-1), minlength=resamples * size).reshape(-1, size)
    return counts


def intervals_of(drawn: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """95 % intervals [low, high] of the metrics that have a value in every draw."""
    found = {name: interval(values, level=LEVEL) for name, values in drawn.items()}
    return {name: [low, high] for name, (low, high) in found.items() if math.isfinite(low)}


def mean_of(categories: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean over categories in each draw, of the metrics that all of them have."""
    names = [name for name in categories[0] if all(name in each for each in categories)]
    return {name: np.mean([each[name] for each in categories], axis=0) for name in names}
