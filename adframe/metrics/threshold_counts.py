"""Pixels above thresholds, counted exactly, whatever the bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.float_bins import float32_below
from adframe.ops.zones import zones_of


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One threshold for all pixels, and one a zone of the original frame; None where it is not set."""

    whole: np.float32 | None
    zones: np.ndarray | None  # (gh, gw) float32

    def counts(self, scores: np.ndarray, inside: np.ndarray) -> tuple[int, int, int, int]:
        """Anomalous and normal pixels strictly above `whole`, then those above their zone's threshold.

        Args:
            scores: (H, W) float32.
            inside: (H, W) bool, the pixels in any region.
        """
        whole = (0, 0) if self.whole is None else _hits_and_alarms(scores > self.whole, inside)
        zoned = (0, 0) if self.zones is None else _hits_and_alarms(_above_zones(scores, self.zones), inside)
        return *whole, *zoned


def pixel_thresholds(whole: float | None, zones: np.ndarray | None) -> Thresholds:
    """Thresholds that mean the same for float32 scores as these do.

    Raises:
        AdframeError: `zones` is not (gh, gw), or one of them is NaN.
    """
    if zones is not None and (zones.ndim != 2 or np.isnan(zones).any()):
        raise AdframeError(f"zone thresholds must be (rows, columns) of numbers, not {zones.tolist()}")
    return Thresholds(
        whole=None if whole is None else float32_below(whole),
        zones=None if zones is None else _rounded(zones),
    )


def _rounded(zones: np.ndarray) -> np.ndarray:
    return np.array([[float32_below(float(zone)) for zone in row] for row in zones], np.float32)


def _above_zones(scores: np.ndarray, zones: np.ndarray) -> np.ndarray:
    above = np.zeros(scores.shape, bool)
    height, width = scores.shape
    rows, columns = zones.shape
    for place, pixels in zones_of((height, width), grid=(rows, columns)):
        np.greater(scores[pixels], zones[place], out=above[pixels])
    return above


def _hits_and_alarms(above: np.ndarray, inside: np.ndarray) -> tuple[int, int]:
    hits = int(np.count_nonzero(above & inside))
    return hits, int(np.count_nonzero(above)) - hits
