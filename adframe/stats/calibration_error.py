"""Measures the accuracy of probabilities: reliability diagram, expected calibration error, Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Bin:
    """The images whose probability of being anomalous lies in one bin.

    Attributes:
        count: number of images.
        predicted: their mean probability.
        observed: share of them that is anomalous.
    """

    count: int
    predicted: float
    observed: float


def bins_of(probabilities: np.ndarray, *, bins: int) -> np.ndarray:
    """Returns the bin of each probability; bins have equal width, and the last one includes 1.

    Args:
        probabilities: (n,) in [0, 1].
        bins: number of bins.

    Returns:
        (n,) int from 0.
    """
    places: np.ndarray = np.minimum((probabilities * bins).astype(int), bins - 1)
    return places


def reliability_bins(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> list[Bin]:
    """Returns the bins of a reliability diagram that are not empty, by ascending probability.

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) bool, True for anomalous images.
        bins: number of bins of equal width; the last one includes 1.

    Returns:
        One record per bin.
    """
    place = bins_of(probabilities, bins=bins)
    parts = [place == number for number in np.unique(place)]
    return [
        Bin(int(part.sum()), float(probabilities[part].mean()), float(labels[part].mean())) for part in parts
    ]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> float:
    """Computes the expected calibration error of the positive class (Naeini et al., AAAI 2015).

    It is the mean distance between predicted and observed shares, weighted by the counts of the bins.

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) bool, True for anomalous images.
        bins: number of bins of equal width.

    Returns:
        A value in [0, 1]; NaN without images.
    """
    if not len(labels):
        return float("nan")
    found = reliability_bins(probabilities, labels, bins=bins)
    return sum(each.count * abs(each.predicted - each.observed) for each in found) / len(labels)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Computes the mean squared distance between probability and label (Brier, 1950).

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) bool, True for anomalous images.

    Returns:
        A value in [0, 1]; NaN without images.
    """
    return float(np.mean((probabilities - labels) ** 2)) if len(labels) else float("nan")
