"""Bootstrap intervals of the image metrics: how far they could be off, had other parts been photographed.

What is resampled is a group (all pictures of one part), because its pictures are no independent
evidence; and it is resampled among its like (normal, logical, structural, ...), so that no resample
lacks a class and every metric is defined in each (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993: chapter 13 for percentile intervals, chapter 8 for other units than single values).

A resample is how often each image counts; all metrics are running sums of that along sorted scores.

What such an interval cannot tell: a metric at its end, such as an AUROC of 1, gets an interval of no
width, and so does a class of a single part. With few parts percentile intervals are somewhat short.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.contracts import GOOD, AdframeError
from adframe.metrics.subsets import own_line

_PIECE = 1 << 21  # counts that are worked on at once: 16 MB an array, whatever the number of images
_HALVES = ("logical/image/auroc", "structural/image/auroc")


def image_intervals(
    *,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[int | None],
    subsets: Sequence[str],
    groups: Sequence[str],
    threshold: float | None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals, (low, high), of all that `image_metrics` gives; NaN where it is.

    The order of the images changes nothing. The threshold is held fixed, whatever it rests on.

    Args:
        scores: (n,) raw, larger is more anomalous.
        labels: (n,) 0 normal, 1 anomalous; images with None are left out.
        subsets: (n,) the subset of each image.
        groups: (n,) pictures of one part share one; "" is an image on its own.
        threshold: decides `score > threshold`; without it there are no decision metrics.
        resamples: how many to draw.
        level: how much of the resamples' values lies inside, in (0, 1).
        seed: of the draws.

    Raises:
        AdframeError: a score is NaN or infinite, or the lengths differ.
    """
    if len({len(scores), len(labels), len(subsets), len(groups)}) > 1:
        raise AdframeError(
            f"{len(scores)} scores, {len(labels)} labels, {len(subsets)} subsets and {len(groups)} groups: "
            "give one of each for every image"
        )
    raw = finite(scores)
    known = [place for place, label in enumerate(labels) if label is not None]
    raw, names = raw[known], np.array([subsets[place] for place in known], dtype=str)
    truth = np.array([bool(labels[place]) for place in known], dtype=bool)
    weights = multiplicities(
        kinds(truth, subsets=names),
        groups=[groups[place] for place in known],
        values=(raw,),
        resamples=resamples,
        seed=(seed,),
    )
    values = _measures(raw, truth, names, weights, threshold=threshold)
    return {key: interval(row, level=level) for key, row in values.items()}


def kinds(labels: np.ndarray, *, subsets: np.ndarray) -> np.ndarray:
    """(n,) str: label and subset of each image, the strata in which `multiplicities` draws."""
    return np.array([f"{int(label)} {name}" for label, name in zip(labels, subsets, strict=True)], dtype=str)


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
        values: (n,) arrays (scores) that tell images of a stratum apart, whatever order they come in.
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


def weighted_metrics(
    scores: np.ndarray, *, labels: np.ndarray, weights: np.ndarray, threshold: float | None = None
) -> dict[str, np.ndarray]:
    """The metrics of `ranking_metrics`, and with a threshold `decision_metrics`, of every resample.

    Args:
        scores: (n,) finite raw scores.
        labels: (n,) bool, True for anomalous.
        weights: (resamples, n) how often each image counts.
        threshold: decides `score > threshold`.

    Returns:
        (resamples,) float64 by name; NaN where a class is missing.
    """
    falling, starts = np.argsort(-scores, kind="stable"), np.zeros(0, np.intp)
    if len(scores):
        starts = np.unique(-scores[falling], return_index=True)[1]  # the first image of each distinct score
    pieces = []
    for piece in _pieces(weights):
        normal, anomalous = (_tallies(piece * side, falling, starts) for side in (~labels, labels))
        found = _ranking(normal, anomalous)
        if threshold is not None:
            found |= _decisions(piece, reported=scores > threshold, labels=labels)
        pieces.append(found)
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}


def interval(values: np.ndarray, *, level: float) -> tuple[float, float]:
    """The middle `level` of (resamples,) values, from percentile to percentile; NaN if one of them is."""
    if not len(values) or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def finite(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n,) float64, or an error that says which scores cannot be ranked."""
    raw = np.asarray(scores, dtype=np.float64)
    if wrong := np.flatnonzero(~np.isfinite(raw)).tolist():
        raise AdframeError(f"image scores {wrong[:5]} are NaN or infinite ({len(wrong)} of {len(raw)})")
    return raw


def _measures(
    scores: np.ndarray,
    labels: np.ndarray,
    subsets: np.ndarray,
    weights: np.ndarray,
    *,
    threshold: float | None,
) -> dict[str, np.ndarray]:
    """As `image_metrics`, (resamples,) values each: all images, then each subset against the good ones."""
    table = weighted_metrics(scores, labels=labels, weights=weights, threshold=threshold)
    for subset in own_line(subsets.tolist()):
        part = (subsets == subset) | (subsets == GOOD)
        found = weighted_metrics(
            scores[part], labels=labels[part], weights=weights[:, part], threshold=threshold
        )
        table |= {f"{subset}/{key}": values for key, values in found.items()}
    if all(half in table for half in _HALVES):
        table["image/auroc_subset_mean"] = np.mean([table[half] for half in _HALVES], axis=0)
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


def _pieces(weights: np.ndarray) -> Iterator[np.ndarray]:
    """Some resamples at a time, as int64, in which no sum overflows."""
    step = max(_PIECE // max(weights.shape[1], 1), 1)
    for start in range(0, max(len(weights), 1), step):
        yield weights[start : start + step].astype(np.int64)


def _tallies(counts: np.ndarray, falling: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(resamples, distinct scores) counts from the highest score to the lowest."""
    ranked = counts[:, falling]
    return ranked if len(starts) == len(falling) else np.add.reduceat(ranked, starts, axis=1)


def _ranking(normal: np.ndarray, anomalous: np.ndarray) -> dict[str, np.ndarray]:
    """`curves.py` for (resamples, scores) counts, along the last axis."""
    alarms, found = np.cumsum(normal, axis=1), np.cumsum(anomalous, axis=1)
    names = ("image/auroc", "image/ap", "image/f1_max", "image/fpr95")
    if not normal.any() or not anomalous.any():
        return {name: np.full(len(normal), math.nan) for name in names}
    negatives, positives = alarms[:, -1], found[:, -1]
    area = np.sum(normal * (found - anomalous / 2), axis=1) / negatives / positives
    precision = found / np.maximum(found + alarms, 1)
    best = np.max(2 * found / (found + alarms + positives[:, None]), axis=1)
    enough = np.argmax(found >= 0.95 * positives[:, None], axis=1)[:, None]
    return {
        "image/auroc": area,
        "image/ap": np.sum(anomalous * precision, axis=1) / positives,
        "image/f1_max": best,
        "image/fpr95": np.take_along_axis(alarms, enough, axis=1)[:, 0] / negatives,
    }


def _decisions(weights: np.ndarray, *, reported: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """`decision_metrics` of each resample."""
    hits, alarms = weights @ (reported & labels), weights @ (reported & ~labels)
    anomalous, normal = weights @ labels, weights @ ~labels
    recall, fpr = _ratio(hits, anomalous), _ratio(alarms, normal)
    undefined = np.where(anomalous > 0, 0.0, math.nan)  # without anomalous images there is nothing to report
    return {
        "image/f1": _ratio(2 * hits, hits + alarms + anomalous) + undefined,
        "image/accuracy": _ratio(hits + normal - alarms, anomalous + normal),
        "image/balanced_accuracy": (recall + 1 - fpr) / 2,
        "image/precision": _ratio(hits, np.maximum(hits + alarms, 1)) + undefined,
        "image/recall": recall,
        "image/fpr": fpr,
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0)
    return shares
