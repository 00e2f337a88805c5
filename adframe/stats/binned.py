"""Computes recall and AUROC of anomalous images in bins, such as bins of defect size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import multiplicities, strata_of
from adframe.stats.intervals import DifferenceOf, Measured, Units
from adframe.stats.weighted_metrics import weighted_metrics

# Each of two bins must have this many images to be compared.
MIN_BIN_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Binned:
    """The anomalous images of one bin, compared with all normal ones.

    Attributes:
        images: number of anomalous images in the bin.
        found: number of these that are called anomalous.
        recall: their recall with its bootstrap draws.
        auroc: their AUROC with its bootstrap draws.
    """

    images: int
    found: int
    recall: Measured
    auroc: Measured


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
    # An image without a part is a part of its own.
    parts = np.array([group or f"image {path}" for group, path in zip(groups, paths, strict=True)])[used]
    found = []
    for number in np.unique(place[truth]):
        rows = ~truth | (place == number)
        part = (used_scores[rows], truth[rows], decided[rows], weights[:, rows])
        found.append(_bin_record(*part, units=_units(parts[rows], truth[rows])))
    return found


def bin_differences(first: Binned, last: Binned) -> tuple[DifferenceOf, DifferenceOf] | None:
    """Computes the last bin minus the first, in recall and in AUROC.

    Args:
        first: the first bin.
        last: the last bin.

    Returns:
        The difference in recall and the difference in AUROC; None where a bin has fewer than
        `MIN_BIN_IMAGES` images.
    """
    if min(first.images, last.images) < MIN_BIN_IMAGES:
        return None
    # Recalls are of other images; AUROCs are of the same normal images.
    return (
        DifferenceOf(first.recall, last.recall, paired=False),
        DifferenceOf(first.auroc, last.auroc, paired=True),
    )


def _bin_record(
    scores: np.ndarray,
    labels: np.ndarray,
    decisions: np.ndarray,
    weights: np.ndarray,
    *,
    units: Units,
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
        recall=Measured("image/recall", hits / count, recalls, units),
        auroc=Measured("image/auroc", float(observed[0]), drawn, units),
    )


def _units(parts: np.ndarray, labels: np.ndarray) -> Units:
    counts = len(np.unique(parts[~labels])), len(np.unique(parts[labels]))
    return Units(*counts, grouped=sum(counts) < len(parts))
