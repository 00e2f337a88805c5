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
from collections.abc import Sequence

import numpy as np

from adframe.contracts import AdframeError
from adframe.metrics.image import HALVES, Labelled, labelled
from adframe.metrics.weighted import weighted_metrics


def image_resampled(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    groups: Sequence[str],
    threshold: float | None,
    conditions: Sequence[str] | None = None,
    reported: Sequence[bool] | None = None,
    paths: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int,
) -> dict[str, np.ndarray]:
    """All that `image_metrics` gives, on images drawn anew: (resamples,) values each.

    The order of the images changes nothing. The threshold is held fixed, whatever it rests on.

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        threshold: decides `score > threshold`; without it there are no decision metrics.
        conditions: (n,) how each was photographed; "" where that is not known.
        reported: (n,) whether the thresholded map of each has a positive pixel.
        paths: (n,) of the images, that the same ones are drawn whatever their scores are; without
            them images are told apart by their scores.
        resamples: how many to draw.
        seed: of the draws.

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
    """
    known = labelled(scores, labels, subsets=subsets, conditions=conditions, reported=reported)
    if len(groups) != len(labels) or (paths is not None and len(paths) != len(labels)):
        raise AdframeError(
            f"{len(labels)} labels, {len(groups)} groups and {len(paths or groups)} paths: "
            "give one of each for every image"
        )
    names = () if paths is None else (np.array([paths[place] for place in known.places], dtype=str),)
    weights = multiplicities(
        kinds(known.truth, subsets=known.subsets, conditions=known.conditions),
        groups=[groups[place] for place in known.places],
        values=(known.scores, *names),
        resamples=resamples,
        seed=(seed,),
    )
    return _measures(known, weights, threshold=threshold)


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


def _measures(known: Labelled, weights: np.ndarray, *, threshold: float | None) -> dict[str, np.ndarray]:
    """As `image_metrics`, (resamples,) values each."""
    table: dict[str, np.ndarray] = {}
    for line in known.lines():
        rows = known.rows(line)
        table |= line.named(
            weighted_metrics(
                known.scores[rows],
                labels=known.truth[rows],
                weights=weights[:, rows],
                threshold=threshold,
                reported=None if known.reported is None else known.reported[rows],
            )
        )
    if all(half in table for half in HALVES):
        table["image/auroc_subset_mean"] = np.mean([table[half] for half in HALVES], axis=0)
    return table


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
