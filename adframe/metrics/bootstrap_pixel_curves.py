"""Computes the pixel measures of many resamples at once, from pixel counts above falling scores."""

from __future__ import annotations

import math

import numpy as np


class ResampledCurves:
    """Holds the cumulative pixel counts of r resamples at m falling edges; the last edge has every pixel
    above it.

    Args:
        normal: (r, m) float64 normal pixels above each edge.
        anomalous: (r, m) float64 anomalous pixels above each edge.
        found: (r, m) float64 found overlap of the regions above each edge, in any unit.
        steps: (m,) float64 >= 1, number of steps in which the anomalous pixels between an edge and the one
            above are added; the pixels are spread evenly over the steps.
        tied: (m,) float64 in [0, 1], share of the normal pixels between the two edges that tie with such a
            step.

    Example:
        >>> normal, anomalous = np.array([[0.0, 4.0]]), np.array([[2.0, 2.0]])  # a perfect ranking
        >>> curves = ResampledCurves(normal, anomalous, anomalous, steps=np.ones(2), tied=np.zeros(2))
        >>> {name: float(values[0]) for name, values in curves.ranking().items()}
        {'pixel/auroc': 1.0, 'pixel/ap': 1.0, 'pixel/f1_max': 1.0}
    """

    def __init__(
        self,
        normal: np.ndarray,
        anomalous: np.ndarray,
        found: np.ndarray,
        *,
        steps: np.ndarray,
        tied: np.ndarray,
    ) -> None:
        self._normal, self._anomalous, self._found = normal, anomalous, found
        self._count, self._tied = steps, tied
        empty = np.zeros(len(normal))
        self._negatives = normal[:, -1] if normal.shape[1] else empty
        self._positives = anomalous[:, -1] if normal.shape[1] else empty

    def ranking(self) -> dict[str, np.ndarray]:
        """Computes AUROC, AP and the best F1 of each resample.

        Returns:
            (r,) values by metric name; NaN where one class is missing.
        """
        both = np.where((self._negatives > 0) & (self._positives > 0), 1.0, math.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "pixel/auroc": self._auroc() * both,
                "pixel/ap": self._average_precision() * both,
                "pixel/f1_max": self._f1_max() * both,
            }

    def overlap(self, whole: np.ndarray, *, limit: float) -> np.ndarray:
        """Computes AU-PRO of each resample, as `curves.area_below` of the overlap curve.

        Args:
            whole: (r,) overlap if all regions are fully found, in the unit of `found`.
            limit: false-positive rate in (0, 1] up to which the curve is integrated.

        Returns:
            (r,) values in [0, 1]; NaN without regions or without normal pixels.
        """
        defined = np.where((self._negatives > 0) & (whole > 0), 1.0, math.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            end, before = self._normal / self._negatives[:, None], _above_previous_edge(self._normal)
            start = before / self._negatives[:, None]
            inside = np.clip(limit - start, 0.0, end - start)
            share = np.where(end > start, inside / (end - start), 1.0)
            low = _above_previous_edge(self._found)
            area = np.sum(inside * (low + (self._found - low) * share / 2), axis=1) / whole / limit
            overlap: np.ndarray = np.minimum(area, 1.0) * defined
        return overlap

    def at_threshold(self, hits: np.ndarray, alarms: np.ndarray) -> dict[str, np.ndarray]:
        """Computes SegF1 and IoU of each resample.

        Args:
            hits: (r,) anomalous pixels above the threshold.
            alarms: (r,) normal pixels above the threshold.

        Returns:
            (r,) values by metric name; NaN without anomalous pixels.
        """
        truth = np.where(self._positives > 0, self._positives, math.nan)
        return {"pixel/segf1": 2 * hits / (hits + alarms + truth), "pixel/iou": hits / (alarms + truth)}

    def _auroc(self) -> np.ndarray:
        middle = (self._anomalous + _above_previous_edge(self._anomalous)) / 2
        area: np.ndarray = (
            np.sum(_between_edges(self._normal) * middle, axis=1) / self._negatives / self._positives
        )
        return area

    def _average_precision(self) -> np.ndarray:
        """Averages the precision over the steps of a segment: exactly for one step, by Simpson's rule for
        more.
        """
        more = np.where(self._count > 1, 0.5, 0.0)
        start, end = self._precision_after(1 - more), self._precision_after(self._count + more)
        mean = (start + 4 * self._precision_after((self._count + 1) / 2) + end) / 6
        area: np.ndarray = np.sum(_between_edges(self._anomalous) * mean, axis=1) / self._positives
        return area

    def _precision_after(self, step: np.ndarray) -> np.ndarray:
        """Returns the (r, m) precision after `step` of the steps to each edge; `step` may be half-integer."""
        with_step, between = step / self._count, (step - 0.5) / self._count
        found = _above_previous_edge(self._anomalous) + _between_edges(self._anomalous) * with_step
        share = self._tied * with_step + (1 - self._tied) * between
        false = _above_previous_edge(self._normal) + _between_edges(self._normal) * share
        precision: np.ndarray = found / np.maximum(found + false, np.finfo(float).tiny)
        return precision

    def _f1_max(self) -> np.ndarray:
        f1 = 2 * self._anomalous / (self._anomalous + self._normal + self._positives[:, None])
        best: np.ndarray = np.max(f1, axis=1, initial=0.0)
        return best


def _above_previous_edge(running: np.ndarray) -> np.ndarray:
    """Shifts (r, m) cumulative sums by one edge, starting from 0."""
    before: np.ndarray = np.concatenate([np.zeros((len(running), 1)), running], axis=1)[:, :-1]
    return before


def _between_edges(running: np.ndarray) -> np.ndarray:
    steps: np.ndarray = running - _above_previous_edge(running)
    return steps
