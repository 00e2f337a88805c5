"""Measures how well the probabilities of a run are calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder
from adframe.stats.calibration_error import Bin, brier, calibration_error, reliability_bins

EVERYTHING = "all images"
_RELIABILITY_BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """The probabilities of a category, compared with its labels.

    Attributes:
        name: of the category, or `all images`.
        images: number of images with a probability and a label.
        error: expected calibration error, in [0, 1].
        brier: Brier score, in [0, 1].
        bins: of the reliability diagram, those that hold images.

    Example:
        >>> Calibration("bottle", images=83, error=0.02, brier=0.03, bins=()).brier
        0.03
    """

    name: str
    images: int
    error: float
    brier: float
    bins: tuple[Bin, ...]


def calibrations(run: RunFolder) -> list[Calibration]:
    """Measures the calibration of each category that has probabilities and labels.

    Args:
        run: the run.

    Returns:
        One record per category; with several, one of all images comes first.
    """
    parts = [(name, [row for row in run.rows if row["category"] == name]) for name in run.categories]
    found = [each for name, rows in parts if (each := _calibration(name, rows)) is not None]
    whole = _calibration(EVERYTHING, run.rows) if len(found) > 1 else None
    return [whole, *found] if whole is not None else found


def _calibration(name: str, rows: Sequence[Row]) -> Calibration | None:
    known = [row for row in rows if row["label"] is not None and row["probability"] is not None]
    if not known:
        return None
    probabilities = np.array([row["probability"] for row in known], dtype=np.float64)
    labels = np.array([row["label"] == 1 for row in known])
    return Calibration(
        name=name,
        images=len(known),
        error=calibration_error(probabilities, labels, bins=_RELIABILITY_BINS),
        brier=brier(probabilities, labels),
        bins=tuple(reliability_bins(probabilities, labels, bins=_RELIABILITY_BINS)),
    )
