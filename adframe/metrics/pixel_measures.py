"""Computes pixel measures of raw scores: AUROC, AP, F1, AU-PRO and AUC-sPRO at any limit, SegF1 and IoU.

Sources: AU-PRO, Bergmann et al., IJCV 2021, section 5 (`mvtec_ad_evaluation`); AUC-sPRO, Bergmann et al.,
IJCV 2022, section 5 (`mvtec_loco_ad_evaluation`); SegF1, MVTec AD 2. Predictions are pixels strictly above a
threshold. False positives are pooled over all pixels outside the regions, those of good images included;
overlaps are averaged over all regions of all images.
"""

from __future__ import annotations

import math

import numpy as np

from adframe.metrics.curves import area_below, area_error, auroc, average_precision, f1_max
from adframe.metrics.histogram import Tally
from adframe.metrics.image_bins import REGION_UNITS


def pixel_auroc(tally: Tally) -> float:
    """Computes the area under the ROC curve over pixels.

    Args:
        tally: pixel counts by falling score.

    Returns:
        A value in [0, 1]; NaN without normal or without anomalous pixels.
    """
    return auroc(tally.normal, tally.anomalous)


def pixel_ap(tally: Tally) -> float:
    """Computes the average precision over pixels.

    Args:
        tally: pixel counts by falling score.

    Returns:
        A value in [0, 1]; NaN without normal or without anomalous pixels.
    """
    return average_precision(tally.normal, tally.anomalous)


def pixel_f1_max(tally: Tally) -> tuple[float, float]:
    """Finds the best F1 over all pixels, and its threshold.

    Args:
        tally: pixel counts by falling score.

    Returns:
        The F1 and the threshold of `score > threshold`; NaN for both without normal or without anomalous
        pixels.
    """
    best, last = f1_max(tally.normal, tally.anomalous)
    if math.isnan(best):
        return math.nan, math.nan
    return best, float(np.nextafter(tally.lowest[last], np.float32(-np.inf)))


def aupro(tally: Tally, *, limit: float) -> float:
    """Computes AU-PRO; AUC-sPRO if the regions saturate before their full area.

    The curve of mean (saturated) overlap over false-positive rate starts at (0, 0) and is interpolated
    linearly at `limit`; its area is divided by `limit`. 1 is perfect, a constant map gets limit / 2.

    Args:
        tally: pixel counts by falling score.
        limit: false-positive rate in (0, 1] up to which the curve is integrated.

    Returns:
        A value in [0, 1]; NaN without regions or without normal pixels.
    """
    if not tally.regions or not tally.normal.sum():
        return math.nan
    return area_below(*_overlap_curve(tally), limit=limit)


def auroc_bound(tally: Tally) -> float:
    """Bounds the error of `pixel_auroc` that is due to binning.

    Args:
        tally: pixel counts by falling score.

    Returns:
        The largest possible absolute error; 0 where each bin holds a single score.
    """
    if tally.exact or math.isnan(pixel_auroc(tally)):
        return 0.0
    return area_error(tally.normal / tally.normal.sum(), tally.anomalous / tally.anomalous.sum(), limit=1.0)


def aupro_bound(tally: Tally, *, limit: float) -> float:
    """Bounds the error of `aupro` that is due to binning.

    Args:
        tally: pixel counts by falling score.
        limit: as in `aupro`.

    Returns:
        The largest possible absolute error; 0 where each bin holds a single score.
    """
    if tally.exact or math.isnan(aupro(tally, limit=limit)):
        return 0.0
    return area_error(*_overlap_curve(tally), limit=limit)


def segmentation(tally: Tally) -> dict[str, float]:
    """Computes SegF1 and IoU, pooled over images, at the thresholds that were set.

    Counts are exact, whatever the bins.

    Args:
        tally: pixel counts, with those above the thresholds.

    Returns:
        Values by metric name, empty where no threshold was set; NaN without anomalous pixels. The names of
        the values at thresholds per zone start with `zones/`.
    """
    truth = int(tally.anomalous.sum())
    table = {} if tally.decided is None else _segf1_and_iou(*tally.decided, truth=truth)
    zoned = {} if tally.zoned is None else _segf1_and_iou(*tally.zoned, truth=truth)
    return table | {f"zones/{key}": value for key, value in zoned.items()}


def _segf1_and_iou(hits: int, alarms: int, *, truth: int) -> dict[str, float]:
    if not truth:
        return {"pixel/segf1": math.nan, "pixel/iou": math.nan}
    return {"pixel/segf1": 2 * hits / (hits + alarms + truth), "pixel/iou": hits / (alarms + truth)}


def _overlap_curve(tally: Tally) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n,) steps in false-positive rate and (n,) steps in mean overlap."""
    return tally.normal / tally.normal.sum(), tally.found / (tally.regions * REGION_UNITS)
