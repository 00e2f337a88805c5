"""The pixel measures of many resamples at once, from what lies above falling scores."""

from __future__ import annotations

import math

import numpy as np


class ResampledCurves:
    """Running sums of r resamples at m falling edges; the last edge has everything above it.

    Args:
        normal: (r, m) float64 normal pixels above each edge.
        anomalous: (r, m) anomalous pixels above it.
        found: (r, m) what is found of the regions, in any unit.
        steps: (m,) float64 >= 1, in how many steps the anomalous pixels between an edge and the one above
            come in; pixels are spread evenly over them.
        tied: (m,) float64, the share of the normal pixels there that come with such a step.
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
        """AUROC, AP and best F1: (r,) each, NaN where one class is missing."""
        both = np.where((self._negatives > 0) & (self._positives > 0), 1.0, math.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "pixel/auroc": self._auroc() * both,
                "pixel/ap": self._average_precision() * both,
                "pixel/f1_max": self._f1_max() * both,
            }

    def overlap(self, whole: np.ndarray, *, limit: float) -> np.ndarray:
        """(r,) as `curves.area_below` of the overlap curve; NaN without regions or normal pixels.

        Args:
            whole: (r,) what is found where all regions are.
            limit: of the false-positive rate.
        """
        there = np.where((self._negatives > 0) & (whole > 0), 1.0, math.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            end, before = self._normal / self._negatives[:, None], _before(self._normal)
            start = before / self._negatives[:, None]
            inside = np.clip(limit - start, 0.0, end - start)
            share = np.where(end > start, inside / (end - start), 1.0)
            low = _before(self._found)
            area = np.sum(inside * (low + (self._found - low) * share / 2), axis=1) / whole / limit
            overlap: np.ndarray = np.minimum(area, 1.0) * there
        return overlap

    def at_threshold(self, hits: np.ndarray, alarms: np.ndarray) -> dict[str, np.ndarray]:
        """SegF1 and IoU of (r,) anomalous and normal pixels above a threshold; NaN without anomalous ones."""
        truth = np.where(self._positives > 0, self._positives, math.nan)
        return {"pixel/segf1": 2 * hits / (hits + alarms + truth), "pixel/iou": hits / (alarms + truth)}

    def _auroc(self) -> np.ndarray:
        middle = (self._anomalous + _before(self._anomalous)) / 2
        area: np.ndarray = np.sum(_steps(self._normal) * middle, axis=1) / self._negatives / self._positives
        return area

    def _average_precision(self) -> np.ndarray:
        """The mean precision at the ends of the steps: of one alone exactly, of more by Simpson's rule."""
        more = np.where(self._count > 1, 0.5, 0.0)
        start, end = self._after(1 - more), self._after(self._count + more)
        mean = (start + 4 * self._after((self._count + 1) / 2) + end) / 6
        area: np.ndarray = np.sum(_steps(self._anomalous) * mean, axis=1) / self._positives
        return area

    def _after(self, step: np.ndarray) -> np.ndarray:
        """(r, m) precision after so many of the steps to each edge; half ones, too."""
        with_step, between = step / self._count, (step - 0.5) / self._count
        found = _before(self._anomalous) + _steps(self._anomalous) * with_step
        share = self._tied * with_step + (1 - self._tied) * between
        false = _before(self._normal) + _steps(self._normal) * share
        precision: np.ndarray = found / np.maximum(found + false, np.finfo(float).tiny)
        return precision

    def _f1_max(self) -> np.ndarray:
        f1 = 2 * self._anomalous / (self._anomalous + self._normal + self._positives[:, None])
        best: np.ndarray = np.max(f1, axis=1, initial=0.0)
        return best


def _before(running: np.ndarray) -> np.ndarray:
    """What lies above the edge before each."""
    before: np.ndarray = np.concatenate([np.zeros((len(running), 1)), running], axis=1)[:, :-1]
    return before


def _steps(running: np.ndarray) -> np.ndarray:
    steps: np.ndarray = running - _before(running)
    return steps
