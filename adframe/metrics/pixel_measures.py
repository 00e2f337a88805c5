"""Pixel measures of raw scores: AUROC, AP, F1, AU-PRO and AUC-sPRO at any limit, SegF1 and IoU.

Sources: AU-PRO, Bergmann et al., IJCV 2021, section 5 (`mvtec_ad_evaluation`); AUC-sPRO,
Bergmann et al., IJCV 2022, section 5 (`mvtec_loco_ad_evaluation`); SegF1, MVTec AD 2. Predictions
are pixels strictly above a threshold. False positives are pooled over all pixels outside the
regions, those of good images too; overlaps are averaged over all regions of all images.
"""

from __future__ import annotations

import math

import numpy as np

from adframe.metrics.curves import area_below, area_error, auroc, average_precision, f1_max
from adframe.metrics.histogram import Tally
from adframe.metrics.image_bins import REGION_UNITS


def pixel_auroc(tally: Tally) -> float:
    """Area under the ROC curve over pixels; NaN where there are no normal or no anomalous ones."""
    return auroc(tally.normal, tally.anomalous)


def pixel_ap(tally: Tally) -> float:
    """Average precision over pixels; NaN like `pixel_auroc`."""
    return average_precision(tally.normal, tally.anomalous)


def pixel_f1_max(tally: Tally) -> tuple[float, float]:
    """The best pooled pixel F1 and its threshold (predict score > threshold); NaN like `pixel_auroc`."""
    best, last = f1_max(tally.normal, tally.anomalous)
    if math.isnan(best):
        return math.nan, math.nan
    return best, float(np.nextafter(tally.lowest[last], np.float32(-np.inf)))


def aupro(tally: Tally, *, limit: float) -> float:
    """AU-PRO where regions saturate at their area, AUC-sPRO where they saturate before.

    The curve of mean (saturated) overlap against false-positive rate starts at (0, 0), is
    interpolated linearly at `limit`, and its area is divided by `limit`: 1 is perfect, a constant
    map gets limit / 2. NaN where there is no region or no normal pixel.
    """
    if not tally.regions or not tally.normal.sum():
        return math.nan
    return area_below(*_overlap_curve(tally), limit=limit)


def auroc_bound(tally: Tally) -> float:
    """The most that binning can have changed `pixel_auroc`; 0 where bins are single scores."""
    if tally.exact or math.isnan(pixel_auroc(tally)):
        return 0.0
    return area_error(tally.normal / tally.normal.sum(), tally.anomalous / tally.anomalous.sum(), limit=1.0)


def aupro_bound(tally: Tally, *, limit: float) -> float:
    """The most that binning can have changed `aupro`; 0 where bins are single scores."""
    if tally.exact or math.isnan(aupro(tally, limit=limit)):
        return 0.0
    return area_error(*_overlap_curve(tally), limit=limit)


def segmentation(tally: Tally) -> dict[str, float]:
    """SegF1 and IoU, pooled over images, at the thresholds that were set; nothing where none was.

    Counts are exact, whatever the bins. NaN where there are no anomalous pixels. Where every zone of
    the frame has a threshold of its own, their names start with `zones/`.
    """
    truth = int(tally.anomalous.sum())
    table = {} if tally.decided is None else _pooled(*tally.decided, truth=truth)
    zoned = {} if tally.zoned is None else _pooled(*tally.zoned, truth=truth)
    return table | {f"zones/{key}": value for key, value in zoned.items()}


def _pooled(hits: int, alarms: int, *, truth: int) -> dict[str, float]:
    if not truth:
        return {"pixel/segf1": math.nan, "pixel/iou": math.nan}
    return {"pixel/segf1": 2 * hits / (hits + alarms + truth), "pixel/iou": hits / (alarms + truth)}


def _overlap_curve(tally: Tally) -> tuple[np.ndarray, np.ndarray]:
    """(n,) steps in false-positive rate and in mean overlap."""
    return tally.normal / tally.normal.sum(), tally.found / (tally.regions * REGION_UNITS)
