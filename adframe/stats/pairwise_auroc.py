"""How several runs stand on the same images: image AUROC, intervals, and the difference to the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import interval, kinds, multiplicities
from adframe.stats.estimates import Difference
from adframe.stats.significance import delong, difference_of
from adframe.stats.weighted_metrics import weighted_metrics

_METRIC = "image/auroc"


@dataclass(frozen=True, slots=True)
class Standing:
    """One run in one category, or in the mean over categories."""

    value: float  # image AUROC
    low: float
    high: float
    difference: Difference | None  # to the first run, which has none
    p: float  # DeLong's, of that difference; NaN for the first run and for the mean
    drawn: np.ndarray  # (resamples,) image AUROC of each resample


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
    """All runs in one category, on the same resamples.

    Args:
        scores: (n,) raw scores of each run, for the same images in the same order.
        labels: (n,) bool, True for anomalous.
        subsets: (n,) the subset of each image; resampling keeps how many of each there are.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        resamples: how many to draw.
        level: of the intervals, in (0, 1).
        seed: whole numbers >= 0; they must differ between categories, whose draws are to be independent.

    Raises:
        AdframeError: a score is NaN or infinite.
    """
    weights = multiplicities(
        kinds(labels, subsets=subsets), groups=groups, values=scores, resamples=resamples, seed=seed
    )
    once = np.ones((1, len(labels)), np.uint16)
    seen, drawn = (
        [weighted_metrics(run, labels=labels, weights=counts)[_METRIC] for run in scores]
        for counts in (once, weights)
    )
    p_values = [math.nan] + [delong(scores[0], run, labels=labels)[1] for run in scores[1:]]
    return _standings([float(value[0]) for value in seen], drawn, p_values=p_values, level=level)


def mean_standings(categories: Sequence[Sequence[Standing]], *, level: float) -> list[Standing]:
    """All runs in the mean over categories, each category's images resampled on their own."""
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
        found.append(Standing(value, *interval(own, level=level), more, p, own))
    return found
