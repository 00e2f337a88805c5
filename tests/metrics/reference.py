"""Pixel metrics by their definitions: a loop over every threshold, masks per image, no cleverness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adframe.contracts import Region


class Image(NamedTuple):
    heatmap: np.ndarray  # (H, W) float32
    regions: list[Region]
    defect: str = "scratch"
    subset: str = "anomaly"
    path: str = "x.png"
    condition: str = ""
    group: str = ""


class Curves(NamedTuple):
    """One entry a threshold, from nothing predicted to everything."""

    false: np.ndarray  # normal pixels above
    true: np.ndarray  # anomalous pixels above
    overlap: np.ndarray  # mean saturated overlap of the regions


def masks_of(image: Image) -> list[np.ndarray]:
    """(H, W) bool for each region."""
    masks = []
    for region in image.regions:
        mask = np.zeros(image.heatmap.shape, bool)
        h, w = region.mask.shape
        mask[region.top : region.top + h, region.left : region.left + w] = region.mask
        masks.append(mask)
    return masks


def curves(images: list[Image]) -> Curves:
    scores = np.unique(np.concatenate([image.heatmap.ravel() for image in images]).astype(np.float64))
    thresholds = [*scores[::-1], -np.inf]  # strictly above the largest score there is nothing
    masks = [masks_of(image) for image in images]
    points = [_point(images, masks, t) for t in thresholds]
    return Curves(*(np.array(column, float) for column in zip(*points, strict=True)))


def _point(images, masks, threshold):
    false, true, overlaps = 0, 0, []
    for image, own in zip(images, masks, strict=True):
        above = image.heatmap.astype(np.float64) > threshold
        truth = np.any([*own, np.zeros_like(above)], axis=0)
        false += np.sum(above & ~truth)
        true += np.sum(above & truth)
        for region, mask in zip(image.regions, own, strict=True):
            overlaps.append(min(np.sum(above & mask) / region.saturation, 1.0))
    return false, true, np.mean(overlaps) if overlaps else np.nan


def auroc(c: Curves) -> float:
    if c.false[-1] == 0 or c.true[-1] == 0:
        return np.nan
    return float(np.trapezoid(c.true / c.true[-1], c.false / c.false[-1]))


def average_precision(c: Curves) -> float:
    if c.false[-1] == 0 or c.true[-1] == 0:
        return np.nan
    total = 0.0
    for i in range(1, len(c.true)):
        total += (c.true[i] - c.true[i - 1]) / c.true[-1] * c.true[i] / (c.true[i] + c.false[i])
    return float(total)


def f1_max(c: Curves) -> float:
    if c.false[-1] == 0 or c.true[-1] == 0:
        return np.nan
    return max(float(2 * t / (t + f + c.true[-1])) for t, f in zip(c.true, c.false, strict=True))


def aupro(c: Curves, limit: float) -> float:
    """Trapezoid by trapezoid; the one that crosses the limit is cut there."""
    if c.false[-1] == 0 or np.isnan(c.overlap).any():
        return np.nan
    x, y, area = c.false / c.false[-1], c.overlap, 0.0
    for i in range(1, len(x)):
        if x[i - 1] >= limit or x[i] == x[i - 1]:
            continue
        right = min(x[i], limit)
        top = y[i - 1] + (y[i] - y[i - 1]) * (right - x[i - 1]) / (x[i] - x[i - 1])
        area += (right - x[i - 1]) * (y[i - 1] + top) / 2
    return area / limit


def all_metrics(images: list[Image], *, limits=(0.3, 0.05), overlap="aupro") -> dict[str, float]:
    c = curves(images)
    return {
        "pixel/auroc": auroc(c),
        "pixel/ap": average_precision(c),
        "pixel/f1_max": f1_max(c),
        **{f"pixel/{overlap}_{limit:g}": aupro(c, limit) for limit in limits},
    }
