"""How well probabilities hold: reliability diagram, expected calibration error, Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Bin:
    """The images whose probability of being anomalous lies in one bin."""

    count: int
    predicted: float  # their mean probability
    observed: float  # the share of them that is anomalous


def bins_of(probabilities: np.ndarray, *, bins: int) -> np.ndarray:
    """(n,) in [0, 1] to the bin of each, (n,) int from 0; of equal width, the last one includes 1."""
    places: np.ndarray = np.minimum((probabilities * bins).astype(int), bins - 1)
    return places


def reliability(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> list[Bin]:
    """The bins that are not empty, by rising probability: what a reliability diagram shows.

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) bool, True for anomalous.
        bins: of equal width; the last one includes 1.
    """
    place = bins_of(probabilities, bins=bins)
    parts = [place == number for number in np.unique(place)]
    return [
        Bin(int(part.sum()), float(probabilities[part].mean()), float(labels[part].mean())) for part in parts
    ]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015; of the positive class): the mean distance
    between predicted and observed, weighted by the bins' counts. NaN without images.
    """
    if not len(labels):
        return float("nan")
    found = reliability(probabilities, labels, bins=bins)
    return sum(each.count * abs(each.predicted - each.observed) for each in found) / len(labels)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance between probability and truth (Brier, 1950); NaN without images."""
    return float(np.mean((probabilities - labels) ** 2)) if len(labels) else float("nan")
