"""The fitted thresholds of a model and what they decide; neither torch nor a library that fits is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adframe.calibration.probability import Probability
from adframe.calibration.scales import ScoreScale
from adframe.contracts import Decision
from adframe.ops.mask_postprocessing import MaskPostprocessing
from adframe.ops.zones import peaks_of, spread_zones

ZoneTable = tuple[tuple[float, ...], ...]  # one number per zone


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """The fitted thresholds and maps, and the data they were fitted on.

    Attributes:
        threshold: threshold of raw image scores.
        statistic: rule of the threshold, such as `quantile 0.995`.
        split: name of the split that the scores came from.
        n: number of normal images they came from.
        anomalous: number of anomalous images that a rule used as well.
        map_median: median of all heatmap pixels of the normal images, the bottom of every heatmap's colour
            scale.
        map_max: largest of these pixels.
        map_mean: mean of these pixels.
        map_std: standard deviation of these pixels.
        pixel_threshold: threshold of heatmap pixels in the original frame.
        pixel_statistic: rule of the pixel threshold.
        pixels: number of normal pixels that the pixel threshold was fitted on.
        scale: readable scale of image scores.
        probability: probabilities of image scores.
        zone_thresholds: thresholds of an image's highest pixel in each zone; () without zones.
        zone_pixel_thresholds: pixel thresholds of each zone; () without zones.
    """

    threshold: float
    statistic: str
    split: str
    n: int
    anomalous: int
    map_median: float
    map_max: float
    map_mean: float
    map_std: float
    pixel_threshold: float
    pixel_statistic: str
    pixels: int
    scale: ScoreScale
    probability: Probability
    zone_thresholds: ZoneTable
    zone_pixel_thresholds: ZoneTable

    @property
    def fpr_floor(self) -> float:
        """Returns the lowest false-positive rate that a threshold fitted on n normal images can guarantee,
        1 / (n + 1).
        """
        return 1 / (self.n + 1)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FittedCalibration:
        """Restores what `dataclasses.asdict` made of fitted thresholds.

        Args:
            plain: the values, from a checkpoint or from JSON.

        Raises:
            KeyError: a scale is missing.
            TypeError: a value is missing, or there are others.
        """
        values = {key: _with_tuples(value) for key, value in plain.items()}
        scale, probability = ScoreScale(**values["scale"]), Probability(**values["probability"])
        return cls(**{**values, "scale": scale, "probability": probability})

    def decide(self, score: float, *, heatmap: np.ndarray) -> Decision:
        """Compares a raw image score and its heatmap with the thresholds.

        Args:
            score: raw image score.
            heatmap: (H, W) raw scores in the original frame.

        Returns:
            The decision, with the score on the readable scale and as a probability.
        """
        local = None
        if self.zone_thresholds:
            table = np.array(self.zone_thresholds)
            local = bool((peaks_of(heatmap, grid=table.shape) > table).any())
        return Decision(
            score=score,
            threshold=self.threshold,
            normalised=self.scale.of(score),
            probability=self.probability.of(score),
            reported=float(heatmap.max()) > self.pixel_threshold,
            by_zones=local,
        )

    def mask(self, scores: np.ndarray, *, postprocess: MaskPostprocessing | None = None) -> np.ndarray:
        """Makes the mask of a heatmap: its thresholds, by zones where they are set, and post-processing.

        Args:
            scores: (H, W) raw scores in the original frame.
            postprocess: morphology of the mask; None for none.

        Returns:
            (H, W) bool, True for anomalous pixels.
        """
        threshold: np.ndarray | float = self.pixel_threshold
        if self.zone_pixel_thresholds:
            threshold = spread_zones(np.array(self.zone_pixel_thresholds), scores.shape)
        # In float64, as it was fitted: numpy would round a Python number to the float32 of the scores.
        return (postprocess or MaskPostprocessing())(scores, np.float64(threshold))


def _with_tuples(value: Any) -> Any:
    """Turns the lists of JSON into the tuples that were written."""
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
