"""What validation teaches about scores: thresholds, a readable scale, probabilities; in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import nn

from adframe.calibration.probability import Probability, fit_probability
from adframe.calibration.rules import Rule, Sample
from adframe.calibration.scales import Scale, fit_scale
from adframe.contracts import Decision
from adframe.errors import AdframeError
from adframe.ops.zones import peaks_of, zones_of

Zone = tuple[int, int]
ZoneTable = tuple[tuple[float, ...], ...]  # a number a zone


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was fitted, and on what."""

    threshold: float  # of raw image scores
    statistic: str  # `quantile 0.995`
    split: str  # the split the scores came from
    n: int  # normal images they came from
    anomalous: int  # anomalous images that a rule looked at as well
    map_median: (
        float  # of all heatmap pixels of the normal images: the bottom of every picture's colour scale
    )
    map_max: float
    map_mean: float
    map_std: float
    pixel_threshold: float
    pixel_statistic: str
    pixels: int  # normal pixels that the pixel threshold rests on
    scale: Scale
    probability: Probability
    zone_thresholds: ZoneTable  # of an image's highest score in each zone; () without zones
    zone_pixel_thresholds: ZoneTable

    @property
    def fpr_floor(self) -> float:
        """No threshold fitted on n normal images can promise a false positive rate below 1 / (n + 1)."""
        return 1 / (self.n + 1)


class Calibrator(nn.Module):
    """Fits thresholds for images and pixels, and what makes scores readable, on validation images.

    With `zones` an image is cut into a grid and each zone gets thresholds of its own, beside those of
    the whole image: a pixel is compared with its zone's, by the pixel rule on that zone's pixels. An
    image is anomalous by its zones where the highest score of any zone exceeds that zone's threshold,
    mean + t std of that zone's highest scores over normal images. One t for all, chosen by the image
    rule on the largest standardised excess of each image over all the others, so that many zones
    raise no more false alarms than one threshold would.

    Args:
        image: the rule for raw image scores.
        pixel: the rule for heatmap pixels in the original frame.
        zones: side of the grid; 1 means no zones.
        normalisation: `none`, `z_score` or `ecdf` (see `Scale`).
        probability: `none`, `isotonic` or `platt` (see `fit_probability`).
    """

    def __init__(
        self,
        *,
        image: Rule,
        pixel: Rule,
        zones: int = 1,
        normalisation: str = "z_score",
        probability: str = "none",
    ) -> None:
        super().__init__()
        if not 1 <= zones <= 16:
            raise AdframeError(f"calibration.zones={zones} must be from 1 (none) to 16")
        fit_scale(normalisation, np.zeros(1))  # refuses what is no kind before any work
        fit_probability(probability, np.zeros(1), np.ones(1))
        self.image, self.pixel, self.zones = image, pixel, zones
        self.normalisation, self.probability = normalisation, probability
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What was fitted; an error where nothing was."""
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
        """Fits on the labelled images among those given.

        Args:
            scores: (n,) raw image scores.
            labels: (n,) 0 for normal images, 1 for anomalous ones; others are left out.
            split: name of the split they come from.
            pixels: heatmap pixels by zone, in the original frame.
            whole: all of them together.
            peaks: (n, zones, zones) the highest heatmap pixel of each image in each zone.

        Raises:
            AdframeError: no normal image, a score that is not finite, or too few images for a rule.
        """
        values = np.asarray(scores, dtype=np.float64)
        normal, anomalous = (values[np.asarray(labels) == label] for label in (0, 1))
        _check_scores(normal, anomalous)
        mean, deviation = whole.mean_and_std()
        tried = max(self.image.uses_anomalous, self.pixel.uses_anomalous, self.probability != "none")
        self._fitted = Fitted(
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
        """Holds a raw image score and its heatmap, (H, W) in the original frame, against the thresholds."""
        fitted, local = self.fitted, None
        if fitted.zone_thresholds:
            table = np.array(fitted.zone_thresholds)
            local = bool((peaks_of(heatmap, grid=table.shape) > table).any())
        return Decision(
            score=score,
            threshold=fitted.threshold,
            normalised=fitted.scale.of(score),
            probability=fitted.probability.of(score),
            reported=float(heatmap.max()) > fitted.pixel_threshold,
            by_zones=local,
        )

    def mask(self, scores: np.ndarray) -> np.ndarray:
        """The anomalous pixels of (H, W) raw scores in the original frame, as bool; by zones where set."""
        fitted = self.fitted
        found = np.empty(scores.shape, dtype=bool)
        table = np.array(fitted.zone_pixel_thresholds or ((fitted.pixel_threshold,),))
        for place, pixels in zones_of((scores.shape[0], scores.shape[1]), grid=table.shape):
            found[pixels] = scores[pixels] > table[place]  # compared in float64
        return found

    def facts(self) -> dict[str, float]:
        """The numbers a report states."""
        fitted = self.fitted
        return {
            "calibration/threshold": fitted.threshold,
            "calibration/n": fitted.n,
            "calibration/fpr_floor": fitted.fpr_floor,
            "calibration/pixel_threshold": fitted.pixel_threshold,
            "calibration/pixels": fitted.pixels,
        }

    def get_extra_state(self) -> dict[str, Any]:
        """Goes into the checkpoint with the state dict: plain values only."""
        return {} if self._fitted is None else asdict(self._fitted)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Comes back from a checkpoint."""
        self._fitted = None
        if state:
            made = {"scale": Scale(**state["scale"]), "probability": Probability(**state["probability"])}
            self._fitted = Fitted(**(state | made))

    def _zone_thresholds(self, peaks: np.ndarray, labels: np.ndarray) -> ZoneTable:
        if self.zones == 1:
            return ()
        normal, anomalous = (peaks[np.asarray(labels) == label].astype(np.float64) for label in (0, 1))
        mean, deviation = _mean_and_std(normal)
        held_out = np.array([_excess(own, _others(normal, place)) for place, own in enumerate(normal)])
        known = np.array([_excess(own, normal) for own in anomalous])
        return _as_tuples(mean + self.image.choose(Sample.of(held_out, known)) * deviation)

    def _zone_pixel_thresholds(self, pixels: Mapping[Zone, Sample], *, whole: Sample) -> ZoneTable:
        if self.zones == 1:
            return ()
        table = np.full((self.zones, self.zones), self.pixel.choose(whole))
        for place, sample in pixels.items():
            if sample.anomalous.any() or not self.pixel.uses_anomalous:  # else the whole image's threshold
                table[place] = self.pixel.choose(sample)
        return _as_tuples(table)


def _check_scores(normal: np.ndarray, anomalous: np.ndarray) -> None:
    if not len(normal):
        raise AdframeError("no normal validation image to fit a threshold on; raise holdout=")
    if not np.isfinite(np.append(normal, anomalous)).all():
        raise AdframeError("validation scores hold NaN or infinity; the method or its weights are broken")


def _mean_and_std(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (never 0) of (n, zones, zones) peaks in each zone."""
    deviation = peaks.std(0)
    return peaks.mean(0), np.where(deviation > 0, deviation, 1.0)


def _excess(own: np.ndarray, peaks: np.ndarray) -> float:
    """By how many deviations an image's (zones, zones) peaks exceed those of others, at most."""
    mean, deviation = _mean_and_std(peaks)
    return float(((own - mean) / deviation).max())


def _others(peaks: np.ndarray, place: int) -> np.ndarray:
    """All images but one: an image that took part in a mean and a deviation never lies far from it."""
    return np.delete(peaks, place, axis=0) if len(peaks) > 1 else peaks


def _as_tuples(table: np.ndarray) -> ZoneTable:
    return tuple(tuple(row) for row in table.tolist())
