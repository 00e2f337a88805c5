"""Anomalous images in bins, by the size of their defects say: what is found of each, and how it ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.stats.bootstrap import interval, kinds, multiplicities
from adframe.stats.estimates import Difference
from adframe.stats.proportions import fisher, newcombe, wilson
from adframe.stats.significance import difference_of
from adframe.stats.weighted_metrics import weighted_metrics

FEWEST = 5  # images that each of two bins must have to be compared


@dataclass(frozen=True, slots=True)
class Binned:
    """The anomalous images of one bin, against all normal ones."""

    images: int
    found: int
    recall: tuple[float, float, float]  # with Wilson's interval
    auroc: tuple[float, float, float]  # with its bootstrap interval
    drawn: dict[str, np.ndarray]  # (resamples,) of both, by name


def terciles(values: np.ndarray) -> list[float]:
    """The inner limits that cut (n,) values into thirds; fewer where many are equal.

    Limits are values that occur, and belong to the bin below them, so that equal values share a bin.
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
    """Each bin that holds an image, from the lowest.

    Args:
        scores: (n,) raw.
        labels: (n,) bool, True for anomalous.
        decisions: (n,) bool, True for those called anomalous.
        bins: (n,) int from 0; of normal images it is not read, anomalous ones below 0 are left out.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        paths: (n,) that tell images apart, so that another run's scores meet the same resamples.
        resamples: how many to draw.
        level: of the intervals, in (0, 1).
        seed: whole numbers >= 0.
    """
    used = ~labels | (bins >= 0)
    kept = [np.asarray(each)[used] for each in (scores, labels, decisions, np.where(labels, bins, -1))]
    own, truth, said, place = kept
    weights = multiplicities(
        kinds(truth, subsets=place.astype(str)),
        groups=[group for group, keep in zip(groups, used, strict=True) if keep],
        values=(np.array(paths, dtype=str)[used],),
        resamples=resamples,
        seed=seed,
    )
    found = []
    for number in np.unique(place[truth]):
        rows = ~truth | (place == number)
        part = (own[rows], truth[rows], said[rows], weights[:, rows])
        found.append(_binned(*part, level=level))
    return found


def bin_differences(first: Binned, last: Binned, *, level: float) -> tuple[Difference, Difference]:
    """What the last bin has more than the first: in recall, and in AUROC.

    Recall gets Newcombe's interval, and the larger p of Fisher's exact test and of the bootstrap: the one
    holds for few images, the other where several show one part. NaN below `FEWEST` images.
    """
    if min(first.images, last.images) < FEWEST:
        nothing = Difference(math.nan, math.nan, math.nan, math.nan)
        return nothing, nothing
    shares = (first.found, first.images), (last.found, last.images)
    recall, auroc = (
        difference_of(last.drawn[key] - first.drawn[key], value=b[0] - a[0], level=level)
        for key, a, b in (("recall", first.recall, last.recall), ("auroc", first.auroc, last.auroc))
    )
    ends = newcombe(*shares, level=level)
    return Difference(recall.value, *ends, p=max(recall.p, fisher(*shares))), auroc


def _binned(
    scores: np.ndarray, labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray, *, level: float
) -> Binned:
    count, hits = int(labels.sum()), int((labels & decisions).sum())
    once = np.ones((1, len(scores)), np.uint16)
    seen, drawn = (
        weighted_metrics(scores, labels=labels, weights=each)["image/auroc"] for each in (once, weights)
    )
    anomalous = weights[:, labels].astype(np.int64)
    recalls = anomalous @ decisions[labels] / np.maximum(anomalous.sum(axis=1), 1)
    return Binned(
        images=count,
        found=hits,
        recall=(hits / count, *wilson(hits, count, level=level)),
        auroc=(float(seen[0]), *interval(drawn, level=level)),
        drawn={"recall": recalls, "auroc": drawn},
    )
