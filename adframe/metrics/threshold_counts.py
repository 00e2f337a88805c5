"""Counts the pixels above thresholds exactly, independent of histogram bins."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from adframe.errors import AdframeError
from adframe.metrics.float_bins import float32_below
from adframe.ops.mask_postprocessing import MaskPostprocessing
from adframe.ops.zones import spread_zones


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One threshold for all pixels, and one per zone of the original frame.

    Attributes:
        whole: threshold of all pixels; None where none is set.
        zones: (gh, gw) float32, one threshold per zone; None where none are set.
        masks: how a mask is made of a map and its thresholds; without morphology by default.

    Example:
        >>> thresholds = pixel_thresholds(0.5, None)
        >>> thresholds.counts(np.float32([[0.9, 0.8, 0.1]]), np.array([[True, False, False]]))
        (1, 1, 0, 0)
    """

    whole: np.float32 | None
    zones: np.ndarray | None
    masks: MaskPostprocessing = field(default_factory=MaskPostprocessing)

    def counts(self, scores: np.ndarray, inside: np.ndarray) -> tuple[int, int, int, int]:
        """Counts the pixels of the masks: those strictly above the thresholds, after post-processing.

        Args:
            scores: (H, W) float32 raw scores.
            inside: (H, W) bool, True for pixels in any annotated region.

        Returns:
            Anomalous and normal pixels of the mask by `whole`, then the same for the mask by the thresholds
            of zones; 0 for a threshold that is not set.
        """
        whole = zoned = (0, 0)
        if self.whole is not None:
            whole = _hits_and_alarms(self.masks(scores, self.whole), inside)
        if self.zones is not None:
            zoned = _hits_and_alarms(self.masks(scores, spread_zones(self.zones, scores.shape)), inside)
        return *whole, *zoned


def pixel_thresholds(
    whole: float | None, zones: np.ndarray | None, *, masks: MaskPostprocessing | None = None
) -> Thresholds:
    """Converts thresholds so that they decide about float32 scores as the given ones decide about float64.

    Args:
        whole: threshold of all pixels, or None.
        zones: (gh, gw) thresholds per zone, or None.
        masks: post-processing of masks, or None.

    Returns:
        The thresholds as float32.

    Raises:
        AdframeError: if `zones` is not a (gh, gw) table or holds NaN.
    """
    if zones is not None and (zones.ndim != 2 or np.isnan(zones).any()):
        raise AdframeError(
            f"zone thresholds must be a table of numbers (rows, columns), not {zones.tolist()}"
        )
    table = None
    if zones is not None:
        table = np.array([[float32_below(float(zone)) for zone in row] for row in zones], np.float32)
    single = None if whole is None else float32_below(whole)
    return Thresholds(whole=single, zones=table, masks=masks or MaskPostprocessing())


def _hits_and_alarms(above: np.ndarray, inside: np.ndarray) -> tuple[int, int]:
    hits = int(np.count_nonzero(above & inside))
    return hits, int(np.count_nonzero(above)) - hits
