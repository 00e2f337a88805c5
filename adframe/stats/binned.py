"""Computes recall and AUROC of anomalous images in bins, such as bins of defect size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.estimates import Difference
from adframe.stats.proportions import fisher, newcombe, wilson
from adframe.stats.significance import difference_of
from adframe.stats.weighted_metrics import weighted_metrics

# Each of two bins must have this many images to be compared.
MIN_BIN_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Binned:
    """The anomalous images of one bin, compared with all normal ones.

    Attributes:
        images: number of anomalous images in the bin.
        found: number of these that are called anomalous.
        recall: recall with Wilson's interval: value, low, high.
        auroc: AUROC with its bootstrap interval: value, low, high.
        drawn: (resamples,) values of `recall` and `auroc`.
    """

    images: int
    found: int
    recall: tuple[float, float, float]
    auroc: tuple[float, float, float]
    drawn: dict[str, np.ndarray]


def terciles(values: np.ndarray) -> list[float]:
    """Returns the inner limits that cut values into thirds; fewer limits where many values are equal.

    Limits are values that occur. They belong to the bin below them, so that equal values share a bin.

    Args:
        values: (n,) numbers.

    Returns:
        Up to two ascending limits.
    """
    if not len(values):
        return []
    limits = np.unique(np.quantile(values, (1 / 3, 2 / 3), method="inverted_cdf"))
    return [float(limit) for limit in limits if limit < values.max()]


def by_bin(
    scores: np.ndarray,
    *,
    labels: np.ndarray,
    decisions: np.ndarray,
    bins: np.ndarray,
    groups: Sequence[str],
    paths: Sequence[str],
    resamples: int,
    level: float,
    seed: Sequence[int],
) -> list[Binned]:
    """Computes recall and AUROC of each bin that has an image, from the lowest bin.

    Args:
        scores: (n,) raw scores.
        labels: (n,) bool, True for anomalous images.
        decisions: (n,) bool, True for images that are called anomalous.
        bins: (n,) int from 0; ignored for normal images; anomalous images below 0 are left out.
        groups: (n,) images of one part share a group; "" for an image on its own.
        paths: (n,) paths that identify the images, so that another run has the same resamples.
        resamples: number of resamples.
        level: level of the intervals, in (0, 1).
        seed: whole numbers >= 0.

    Returns:
        One record per bin.
    """
    used = ~labels | (bins >= 0)
    kept = [np.asarray(each)[used] for each in (scores, labels, decisions, np.where(labels, bins, -1))]
    used_scores, truth, decided, place = kept
    weights = multiplicities(
        strata_of(truth, subsets=place.astype(str)),
        groups=[group for group, keep in zip(groups, used, strict=True) if keep],
        values=(np.array(paths, dtype=str)[used],),
        resamples=resamples,
        seed=seed,
    )
    found = []
    for number in np.unique(place[truth]):
        rows = ~truth | (place == number)
        part = (used_scores[rows], truth[rows], decided[rows], weights[:, rows])
        found.append(_bin_record(*part, level=level))
    return found


def bin_differences(first: Binned, last: Binned, *, level: float) -> tuple[Difference, Difference]:
    """Computes the last bin minus the first, in recall and in AUROC.

    Recall gets Newcombe's interval, and the larger p of Fisher's exact test and of the bootstrap: the first
    is valid for few images, the second where several images show one part.

    Args:
        first: the first bin.
        last: the last bin.
        level: level of the intervals, in (0, 1).

    Returns:
        The difference in recall and the difference in AUROC; NaN where a bin has fewer than `MIN_BIN_IMAGES`
        images.
    """
    if min(first.images, last.images) < MIN_BIN_IMAGES:
        nothing = Difference(math.nan, math.nan, math.nan, math.nan)
        return nothing, nothing
    shares = (first.found, first.images), (last.found, last.images)
    recall, auroc = (
        difference_of(last.drawn[key] - first.drawn[key], value=b[0] - a[0], level=level)
        for key, a, b in (("recall", first.recall, last.recall), ("auroc", first.auroc, last.auroc))
    )
    ends = newcombe(*shares, level=level)
    return Difference(recall.value, *ends, p=max(recall.p, fisher(*shares))), auroc


def _bin_record(
    scores: np.ndarray, labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray, *, level: float
) -> Binned:
    count, hits = int(labels.sum()), int((labels & decisions).sum())
    once = np.ones((1, len(scores)), np.uint16)
    observed, drawn = (
        weighted_metrics(scores, labels=labels, weights=each)["image/auroc"] for each in (once, weights)
    )
    anomalous = weights[:, labels].astype(np.int64)
    recalls = anomalous @ decisions[labels] / np.maximum(anomalous.sum(axis=1), 1)
    return Binned(
        images=count,
        found=hits,
        recall=(hits / count, *wilson(hits, count, level=level)),
        auroc=(float(observed[0]), *percentile_interval(drawn, level=level)),
        drawn={"recall": recalls, "auroc": drawn},
    )
