"""The interval of a share of images, which counts parts where several images show one part."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adframe.metrics.resampled import PredictionRow, resample_weights
from adframe.stats.intervals import Measured, Units, interval_of
from adframe.stats.proportions import share_interval


def image_share_interval(
    rows: Sequence[PredictionRow], *, counted: Sequence[bool] | np.ndarray, among: Sequence[bool] | np.ndarray
) -> tuple[float, float]:
    """Computes the 95 % interval of the share of images with a property among chosen images.

    The share of found images among anomalous ones has the interval of `image/recall`, and that of false
    alarms among normal ones the interval of `image/fpr`: from the same resamples of parts.

    Args:
        rows: (n,) prediction rows of labelled images, of one or several categories.
        counted: (n,) whether an image has the property.
        among: (n,) whether an image belongs to the whole.

    Returns:
        Lower and upper end in [0, 1]; NaN where no image is chosen.

    Example:
        >>> rows = [{"group": "", "path": str(i), "category": "screw"} for i in range(4)]
        >>> low, high = image_share_interval(rows, counted=[1, 1, 0, 0], among=[1, 1, 1, 0])
        >>> low < 2 / 3 < high
        True
    """
    chosen = np.asarray(among, dtype=bool)
    having = np.asarray(counted, dtype=bool) & chosen
    part, whole = int(having.sum()), int(chosen.sum())
    images = [row for row, is_chosen in zip(rows, chosen, strict=True) if is_chosen]
    parts = len({(row["category"], row["group"] or row["path"]) for row in images})
    if parts == len(images):
        return share_interval(part, whole)
    drawn_part, drawn_whole = np.zeros(()), np.zeros(())
    for category in dict.fromkeys(row["category"] for row in rows):
        own = np.array([row["category"] == category for row in rows])
        weights = resample_weights([row for row in rows if row["category"] == category]).astype(np.float64)
        drawn_part = drawn_part + weights @ having[own]
        drawn_whole = drawn_whole + weights @ chosen[own]
    with np.errstate(invalid="ignore"):
        draws = drawn_part / drawn_whole
    share = part / whole if whole else math.nan
    return interval_of(Measured("image/recall", share, draws, Units(parts, parts, grouped=True)))
