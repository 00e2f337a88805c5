"""The official evaluators' algorithms, written again from their description, with their quirks.

They share nothing with adframe but the definitions: MVTec AD's AU-PRO (`mvtec_ad_evaluation`), MVTec
LOCO's AUC-sPRO (`mvtec_loco_ad_evaluation` 2.0), MVTec AD 2's SegF1 and ClassF1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

MAX_FPRS = (0.01, 0.05, 0.1, 0.3, 1.0)
CLOSE = 0.001  # neighbours on the sPRO curve further apart than that get a threshold between them
PER_STEP = (20, 100)  # queries a step of the refinement, at least and at most
STEPS = 10


def ad_aupro(
    maps: Sequence[np.ndarray],
    *,
    masks: Sequence[np.ndarray],
    limit: float = 0.3,
    dtype: type[np.floating] = np.float32,
) -> float:
    """Sorts all pixels. `dtype` is that of the false-positive rates; the script has float32."""
    normal, gains, regions = [], [], 0
    for mask in masks:
        labels, count = ndimage.label(mask > 0, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        normal.append(labels.ravel() == 0)
        gains.append(np.where(normal[-1], 0.0, 1 / sizes[labels.ravel()]))
        regions += count
    scores = np.concatenate([scores.ravel() for scores in maps])
    order = np.argsort(scores)[::-1]
    scores, alarms, found = scores[order], np.concatenate(normal)[order], np.concatenate(gains)[order]
    fpr = np.cumsum(alarms).astype(dtype) / dtype(np.sum(alarms))
    pro = np.cumsum(found) / regions
    last = np.append(scores[1:] != scores[:-1], True)  # of each score
    x = np.concatenate([[0], np.minimum(fpr[last], 1), [1]])
    y = np.concatenate([[0], np.minimum(pro[last], 1), [1]])
    return trapezoid(x, y, limit=limit) / limit


def trapezoid(x: np.ndarray, y: np.ndarray, *, limit: float) -> float:
    """The area up to `limit`, where the curve is interpolated."""
    inside = x <= limit
    end = np.interp(limit, x, y)
    return float(np.trapezoid(np.append(y[inside], end), np.append(x[inside], limit)))


@dataclass(frozen=True)
class LocoImage:
    scores: np.ndarray  # (H, W)
    channels: list[tuple[np.ndarray, float]]  # (H, W) bool, and the pixels that suffice
    subset: str  # good, logical, structural


def loco_saturation(threshold: float, *, relative: bool, area: int) -> float:
    """May be 0 for tiny relative thresholds."""
    return int(threshold * area) if relative else min(threshold, area)


def loco_auspro(
    images: Sequence[LocoImage], *, limits: Sequence[float] = MAX_FPRS, seed: int, distinct: bool = False
) -> dict[str, float]:
    """`logical/0.05` and the like, and the mean of the subsets as `0.05`.

    Args:
        images: of one object.
        limits: of the false-positive rate.
        seed: of the script's random choice, which has none.
        distinct: drops repeated first thresholds, on which the script stops.
    """
    sorts = [_Sorted(image) for image in images]
    thresholds = loco_thresholds(sorts, first=_first(images, seed=seed, distinct=distinct))
    table: dict[str, float] = {}
    subsets = sorted({image.subset for image in images} - {"good"})
    for subset in subsets:
        fpr, spro = _curve([each for each in sorts if each.subset in ("good", subset)], thresholds).T
        assert (fpr[0], fpr[-1]) == (0, 1)
        table |= {f"{subset}/{limit:g}": trapezoid(fpr, spro, limit=limit) / limit for limit in limits}
    means = {f"{limit:g}": np.mean([table[f"{s}/{limit:g}"] for s in subsets]) for limit in limits}
    return table | {name: float(value) for name, value in means.items()}


class _Sorted:
    """One image, so that pixels above a threshold are counted by bisection."""

    def __init__(self, image: LocoImage) -> None:
        anomalous = np.zeros(image.scores.shape, bool)
        for mask, _ in image.channels:
            anomalous |= mask
        self.subset = image.subset
        self.normal = np.sort(image.scores[~anomalous])
        self.channels = [(np.sort(image.scores[mask]), enough) for mask, enough in image.channels]


def _above(ordered: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return len(ordered) - np.searchsorted(ordered.astype(np.float64), thresholds, side="right")


def _curve(sorts: Sequence[_Sorted], thresholds: np.ndarray) -> np.ndarray:
    """(thresholds, 2): pooled false-positive rate, mean sPRO of all channels."""
    alarms = sum(_above(each.normal, thresholds) for each in sorts)
    spros = [
        np.minimum(_above(scores, thresholds) / enough, 1)
        for each in sorts
        for scores, enough in each.channels
    ]
    return np.stack([alarms / sum(len(each.normal) for each in sorts), np.mean(spros, axis=0)], axis=1)


def _first(images: Sequence[LocoImage], *, seed: int, distinct: bool) -> np.ndarray:
    """50 thresholds: above all scores, at equidistant ranks of them, below all."""
    scores = np.concatenate([image.scores.ravel() for image in images]).astype(np.float64)
    ends = scores.max() + 1e-6, scores.min() - 1e-6
    if len(scores) > 10_000_000:
        scores = np.random.default_rng(seed).choice(scores, 10_000_000)
    ordered = np.sort(scores)[::-1]
    ranks = np.linspace(0, len(ordered) - 1, 50).astype(int)[1:-1]
    thresholds = np.array([ends[0], *ordered[ranks], ends[1]])
    return np.unique(thresholds)[::-1] if distinct else thresholds


def loco_thresholds(sorts: Sequence[_Sorted], *, first: np.ndarray) -> np.ndarray:
    """Found on all images; falling."""
    return refined(first, lambda thresholds: _curve(sorts, thresholds))


def refined(queries: np.ndarray, points: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Puts queries between those whose points on a rising curve lie too far apart."""
    assert len(set(queries.tolist())) == len(queries)
    values = points(queries)
    for _ in range(STEPS):
        sides = np.abs(np.diff(values, axis=0))
        gaps = np.hypot(*sides.T)
        wide = (gaps > CLOSE) & (sides.prod(axis=1) / 2 > 0.25 * CLOSE**2)
        wanted = np.flatnonzero(wide)
        if not len(wanted):
            break
        widest = wanted[np.argsort(-gaps[wanted], kind="stable")][: PER_STEP[1]]
        each = max(math.ceil(PER_STEP[0] / len(widest)), 1)
        new = [np.linspace(float(queries[i]), float(queries[i + 1]), each + 2)[1:-1] for i in widest]
        fresh = np.setdiff1d(np.concatenate(new), queries)
        if not len(fresh):
            break
        joined = np.concatenate([queries, fresh])
        order = np.argsort(-joined)
        values, queries = np.concatenate([values, points(fresh)])[order], joined[order]
    return queries


def ad2_threshold(validation: Sequence[np.ndarray]) -> float:
    """Of all pixels of good validation images."""
    scores = np.concatenate([scores.ravel() for scores in validation]).astype(np.float64)
    return float(scores.mean() + 3 * scores.std())


def ad2_f1(
    maps: Sequence[np.ndarray], *, masks: Sequence[np.ndarray], threshold: float
) -> tuple[float, float]:
    """SegF1, pooled over the object's pixels, and ClassF1: of images that have any pixel above."""
    above = [scores.astype(np.float64) > threshold for scores in maps]
    pixels = [np.concatenate([plane.ravel() for plane in planes]) for planes in (above, masks)]
    images = [np.array([plane.any() for plane in planes]) for planes in (above, masks)]
    return _f1(*pixels), _f1(*images)


def _f1(said: np.ndarray, truth: np.ndarray) -> float:
    said, truth = said > 0, truth > 0
    hits, alarms, missed = np.sum(said & truth), np.sum(said & ~truth), np.sum(~said & truth)
    return float(hits / (hits + (alarms + missed) / 2))
