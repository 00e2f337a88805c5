"""Fits thresholds, a readable scale and probabilities on validation scores, and stores them in the
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from adframe.calibration.fitted import FittedCalibration, ZoneTable
from adframe.calibration.probability import fit_probability
from adframe.calibration.rules import Rule, Sample
from adframe.calibration.scales import fit_scale
from adframe.contracts import Decision
from adframe.errors import AdframeError
from adframe.ops.mask_postprocessing import MaskPostprocessing

Zone = tuple[int, int]


class Calibrator(nn.Module):
    """Fits thresholds for images and pixels, a readable scale and probabilities on validation images.

    With `zones` an image is cut into a grid, and each zone gets thresholds in addition to those of the whole
    image. A pixel is compared with the threshold of its zone, fitted by the pixel rule on the pixels of that
    zone. An image is anomalous by its zones where the highest score of any zone exceeds that zone's
    threshold: mean + t std of the highest scores of that zone over normal images. One t is used for all
    zones. The image rule chooses it from the largest standardised excess of each image over all other images,
    so that many zones raise no more false alarms than one threshold would.

    Args:
        image: rule for raw image scores.
        pixel: rule for heatmap pixels in the original frame.
        zones: number of zones per side of the grid, 1 to 16; 1 means no zones.
        normalisation: `none`, `z_score` or `ecdf` (see `ScoreScale`).
        probability: `none`, `isotonic` or `platt` (see `fit_probability`).
        postprocess: morphology of the masks at the pixel threshold; None for none.

    Raises:
        AdframeError: if an argument has a value that is not possible.

    Example:
        >>> from adframe.calibration.rules import Quantile
        >>> calibrator = Calibrator(image=Quantile(q=0.5), pixel=Quantile(q=0.5))
        >>> scores, peaks = np.array([1.0, 2.0, 3.0]), np.zeros((3, 1, 1))
        >>> whole = Sample.of(scores, np.array([]))
        >>> calibrator.fit(scores, np.zeros(3), split="val", pixels={}, whole=whole, peaks=peaks)
        >>> calibrator.decide(2.5, heatmap=np.full((4, 4), 2.5)).anomalous
        True
    """

    def __init__(
        self,
        *,
        image: Rule,
        pixel: Rule,
        zones: int = 1,
        normalisation: str = "z_score",
        probability: str = "none",
        postprocess: MaskPostprocessing | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= zones <= 16:
            raise AdframeError(f"calibration.zones={zones} must be from 1 (none) to 16")
        # Refuses unknown kinds before any work is done.
        fit_scale(normalisation, np.zeros(1))
        fit_probability(probability, np.zeros(1), np.ones(1))
        self.image, self.pixel, self.zones = image, pixel, zones
        self.normalisation, self.probability = normalisation, probability
        self.postprocess = postprocess
        self._fitted: FittedCalibration | None = None

    @property
    def fitted(self) -> FittedCalibration:
        """Returns the fitted thresholds and maps; raises a RuntimeError before `fit`."""
        if self._fitted is None:
            raise RuntimeError("no threshold has been fitted: run validation first or load a checkpoint")
        return self._fitted

    def fit(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        *,
        split: str,
        pixels: Mapping[Zone, Sample],
        whole: Sample,
        peaks: np.ndarray,
    ) -> None:
        """Fits on the labelled images among the given ones.

        Args:
            scores: (n,) raw image scores.
            labels: (n,) 0 for normal images, 1 for anomalous ones; others are left out.
            split: name of the split they come from.
            pixels: heatmap pixels per zone, in the original frame.
            whole: heatmap pixels of all zones together.
            peaks: (n, zones, zones) the highest heatmap pixel of each image in each zone.

        Raises:
            AdframeError: if there is no normal image, a score is not finite, or a rule has too few images.
        """
        values = np.asarray(scores, dtype=np.float64)
        normal, anomalous = (values[np.asarray(labels) == label] for label in (0, 1))
        _check_scores(normal, anomalous)
        mean, deviation = whole.mean_and_std()
        tried = max(self.image.uses_anomalous, self.pixel.uses_anomalous, self.probability != "none")
        self._fitted = FittedCalibration(
            threshold=self.image.choose(Sample.of(normal, anomalous)),
            statistic=self.image.statistic(),
            split=split,
            n=len(normal),
            anomalous=len(anomalous) if tried else 0,
            map_median=whole.order_statistic((int(whole.normal.sum()) + 1) // 2),
            map_max=float(whole.values[whole.normal > 0][-1]),
            map_mean=mean,
            map_std=deviation,
            pixel_threshold=self.pixel.choose(whole),
            pixel_statistic=self.pixel.statistic(),
            pixels=int(whole.normal.sum()),
            scale=fit_scale(self.normalisation, normal),
            probability=fit_probability(self.probability, normal, anomalous),
            zone_thresholds=self._zone_thresholds(peaks, labels),
            zone_pixel_thresholds=self._zone_pixel_thresholds(pixels, whole=whole),
        )

    def decide(self, score: float, *, heatmap: np.ndarray) -> Decision:
        """Compares a raw image score and its heatmap with the thresholds.

        Args:
            score: raw image score.
            heatmap: (H, W) raw scores in the original frame.

        Returns:
            The decision, with the score on the readable scale and as a probability.
        """
        return self.fitted.decide(score, heatmap=heatmap)

    def mask(self, scores: np.ndarray) -> np.ndarray:
        """Makes the mask of a heatmap: its thresholds, by zones where they are set, and post-processing.

        Args:
            scores: (H, W) raw scores in the original frame.

        Returns:
            (H, W) bool, True for anomalous pixels.
        """
        return self.fitted.mask(scores, postprocess=self.postprocess)

    def facts(self) -> dict[str, float]:
        """Returns the numbers that a report states, by metric name.

        A rule for images that promises a false-positive rate adds this rate and the rate that it guarantees
        with the number of images that there are.
        """
        fitted = self.fitted
        facts = {
            "calibration/threshold": fitted.threshold,
            "calibration/n": fitted.n,
            "calibration/fpr_floor": fitted.fpr_floor,
            "calibration/pixel_threshold": fitted.pixel_threshold,
            "calibration/pixels": fitted.pixels,
        }
        promised = getattr(self.image, "promised_rate", None)
        if promised is not None and hasattr(self.image, "expected_rate"):
            facts["calibration/promised_fpr"] = promised
            facts["calibration/expected_fpr"] = self.image.expected_rate(fitted.n)
        return facts

    def get_extra_state(self) -> dict[str, Any]:
        """Returns plain values, which the state dict of a checkpoint contains."""
        return {} if self._fitted is None else asdict(self._fitted)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores the fitted values from a checkpoint.

        Args:
            state: result of `get_extra_state`.
        """
        self._fitted = None
        if state:
            self._fitted = FittedCalibration.from_plain(state)

    def _zone_thresholds(self, peaks: np.ndarray, labels: np.ndarray) -> ZoneTable:
        if self.zones == 1:
            return ()
        normal, anomalous = (peaks[np.asarray(labels) == label].astype(np.float64) for label in (0, 1))
        mean, deviation = _mean_and_std(normal)
        # An image that took part in a mean and a deviation never lies far from it, so it is left out. This is
        # done one image at a time: all samples without one image would take quadratic memory.
        held_out = np.array(
            [
                _excess(own, np.delete(normal, place, axis=0) if len(normal) > 1 else normal)
                for place, own in enumerate(normal)
            ]
        )
        known = np.array([_excess(own, normal) for own in anomalous])
        return _as_tuples(mean + self.image.choose(Sample.of(held_out, known)) * deviation)

    def _zone_pixel_thresholds(self, pixels: Mapping[Zone, Sample], *, whole: Sample) -> ZoneTable:
        if self.zones == 1:
            return ()
        table = np.full((self.zones, self.zones), self.pixel.choose(whole))
        for place, sample in pixels.items():
            # A zone without anomalous pixels keeps the whole threshold if the rule requires them.
            if sample.anomalous.any() or not self.pixel.uses_anomalous:
                table[place] = self.pixel.choose(sample)
        return _as_tuples(table)


def _check_scores(normal: np.ndarray, anomalous: np.ndarray) -> None:
    if not len(normal):
        raise AdframeError("no normal validation image to fit a threshold on; raise holdout=")
    if not np.isfinite(np.append(normal, anomalous)).all():
        raise AdframeError("validation scores hold NaN or infinity; the method or its weights are broken")


def _mean_and_std(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation (never 0) of (n, zones, zones) peaks in each zone."""
    deviation = peaks.std(0)
    return peaks.mean(0), np.where(deviation > 0, deviation, 1.0)


def _excess(own: np.ndarray, peaks: np.ndarray) -> float:
    """Returns by how many deviations an image's (zones, zones) peaks exceed those of others, in the worst
    zone.
    """
    mean, deviation = _mean_and_std(peaks)
    return float(((own - mean) / deviation).max())


def _as_tuples(table: np.ndarray) -> ZoneTable:
    return tuple(tuple(row) for row in table.tolist())
