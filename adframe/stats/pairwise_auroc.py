"""Compares several runs on the same images: image AUROC with intervals, and the difference to the first
run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.estimates import Difference
from adframe.stats.significance import delong, difference_of
from adframe.stats.weighted_metrics import weighted_metrics

_METRIC = "image/auroc"


@dataclass(frozen=True, slots=True)
class Standing:
    """The image AUROC of one run in one category, or in the mean over categories.

    Attributes:
        value: image AUROC in [0, 1].
        low: lower end of its interval.
        high: upper end of its interval.
        difference: difference to the first run; None for the first run.
        p: DeLong's p value of that difference; NaN for the first run and for the mean.
        drawn: (resamples,) image AUROC of each resample.
    """

    value: float
    low: float
    high: float
    difference: Difference | None
    p: float
    drawn: np.ndarray


def standings(
    scores: Sequence[np.ndarray],
    *,
    labels: np.ndarray,
    subsets: np.ndarray,
    groups: Sequence[str],
    resamples: int,
    level: float,
    seed: Sequence[int],
) -> list[Standing]:
    """Compares all runs in one category, on the same resamples.

    Args:
        scores: (n,) raw scores of each run, for the same images in the same order.
        labels: (n,) bool, True for anomalous images.
        subsets: (n,) the subset of each image; resamples keep the number of images per subset.
        groups: (n,) images of one part share a group; "" for an image on its own.
        resamples: number of resamples.
        level: level of the intervals, in (0, 1).
        seed: whole numbers >= 0; they must differ between categories, whose draws must be independent.

    Returns:
        One standing per run.

    Raises:
        AdframeError: if a score is NaN or infinite.
    """
    weights = multiplicities(
        strata_of(labels, subsets=subsets), groups=groups, values=scores, resamples=resamples, seed=seed
    )
    once = np.ones((1, len(labels)), np.uint16)
    observed, drawn = (
        [weighted_metrics(run, labels=labels, weights=counts)[_METRIC] for run in scores]
        for counts in (once, weights)
    )
    p_values = [math.nan] + [delong(scores[0], run, labels=labels)[1] for run in scores[1:]]
    return _standings([float(value[0]) for value in observed], drawn, p_values=p_values, level=level)


def mean_standings(categories: Sequence[Sequence[Standing]], *, level: float) -> list[Standing]:
    """Compares all runs in the mean over categories; the images of each category are resampled independently.

    Args:
        categories: the standings of all runs in each category.
        level: level of the intervals, in (0, 1).

    Returns:
        One standing per run.
    """
    runs = list(zip(*categories, strict=True))
    values = [float(np.mean([each.value for each in run])) for run in runs]
    drawn = [np.mean([each.drawn for each in run], axis=0) for run in runs]
    return _standings(values, drawn, p_values=[math.nan] * len(runs), level=level)


def _standings(
    values: Sequence[float], drawn: Sequence[np.ndarray], *, p_values: Sequence[float], level: float
) -> list[Standing]:
    found = []
    for place, (value, own, p) in enumerate(zip(values, drawn, p_values, strict=True)):
        more = difference_of(own - drawn[0], value=value - values[0], level=level) if place else None
        found.append(Standing(value, *percentile_interval(own, level=level), more, p, own))
    return found
