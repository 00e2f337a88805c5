"""Draws image scores of known laws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

from adframe.stats.intervals import Units
from adframe.stats.weighted_metrics import weighted_metrics
from benchmarks.simulation.common import Run, correlate, draw_weights

# Images from which true metrics are computed, of both classes together.
_TRUTH_IMAGES = 600_000
# Scale of anomalous scores; that of normal ones is 1.
_SCALES = {"wide": 2.0, "narrow": 0.5}
LAWS = ("binormal", "wide", "narrow", "heavy tails", "looks normal", "ties", "parts", "alike parts")
# Correlation of the scores of one part, and images per part.
_WITHIN, _PER_PART = {"parts": 0.3, "alike parts": 0.8}, 4
_PERFECT_DISTANCE = 60.0


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The images of a test set before a run scores them.

    Attributes:
        labels: (n,) bool, True for anomalous images.
        parts: (n,) the part of each image.
        common: (2, n) standard normal numbers that all runs share.
        weights: (1 + resamples, n) how often each image counts.
    """

    labels: np.ndarray
    parts: np.ndarray
    common: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """Image scores of a known law.

    Attributes:
        law: a name of `LAWS`.
        auroc: the true AUROC; 1 for perfect separation.
        normal: number of normal parts; a part is one image but for the laws of parts.
        anomalous: number of anomalous parts.
        fpr: true false-positive rate of the threshold.
    """

    law: str
    auroc: float
    normal: int
    anomalous: int
    fpr: float = 0.1

    @property
    def title(self) -> str:
        """Names the law, the number of images and the difficulty."""
        return f"{self.law}, {self.normal}+{self.anomalous}, AUROC {self.auroc:g}, FPR {self.fpr:g}"

    @property
    def units(self) -> Units:
        """The number of independent units."""
        return Units(self.normal, self.anomalous)

    def images(self, rng: np.random.Generator, *, resamples: int) -> ImageSet:
        """Draws the images of a test set and its resamples."""
        labels = np.repeat([False, True], [self.normal, self.anomalous])
        parts = np.arange(len(labels))
        if self.law in _WITHIN:
            labels, parts = np.repeat(labels, _PER_PART), np.repeat(parts, _PER_PART)
        weights = draw_weights(labels, parts, rng, resamples=resamples)
        return ImageSet(labels, parts, self._normal_numbers(parts, rng), weights)

    def run(self, images: ImageSet, rng: np.random.Generator, *, correlation: float, shift: float) -> Run:
        """Draws the scores of one run."""
        own = self._normal_numbers(images.parts, rng)
        latent = np.sqrt(correlation) * images.common + np.sqrt(1 - correlation) * own
        metrics = weighted_metrics(
            _scores(self.law, latent, images.labels, _strength(self.law, self.auroc) + shift),
            labels=images.labels,
            weights=images.weights,
            threshold=self._threshold,
        )
        recall, alarms = metrics["image/recall"][0], metrics["image/fpr"][0]
        return Run.of(metrics, called=float(recall * self.anomalous + alarms * self.normal))

    def truth(self, shift: float = 0.0) -> dict[str, float]:
        """Computes the metrics of a very large test set with the same share of anomalous images."""
        share = self.anomalous / (self.normal + self.anomalous)
        law = "binormal" if self.law in _WITHIN else self.law
        return _truth(law, _strength(self.law, self.auroc) + shift, self._threshold, share)

    @property
    def _threshold(self) -> float:
        if self.law == "heavy tails":
            return float(special.stdtrit(3, 1 - self.fpr))
        return float(special.ndtri(1 - self.fpr))

    def _normal_numbers(self, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws (2, n) standard normal numbers, correlated within parts."""
        shared = rng.normal(size=(2, parts[-1] + 1))[:, parts]
        within = _WITHIN.get(self.law, 0.0)
        return correlate(shared, rng, correlation=within) if within else shared


def _scores(law: str, latent: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    """Turns (2, n) standard normal numbers into (n,) scores of a law."""
    place, missed = latent
    if law == "heavy tails":
        # The tail away from the median keeps its digits, as probabilities near 1 would not.
        place = -np.sign(place) * special.stdtrit(3, special.ndtr(-np.abs(place)))
    if law == "looks normal":
        # `strength` is the share of anomalous images that look normal.
        found = labels & (special.ndtr(missed) >= strength)
        return place + np.where(found, 6.0, 0.0)
    scores = place * np.where(labels, _SCALES.get(law, 1.0), 1.0) + strength * labels
    return np.round(2 * scores) / 2 if law == "ties" else scores


@cache
def _strength(law: str, auroc: float) -> float:
    """Returns the distance of the classes that gives an AUROC."""
    if law == "looks normal":
        return 2 * (1 - auroc)
    if auroc == 1:
        return _PERFECT_DISTANCE
    if law == "heavy tails":
        quantiles = special.stdtrit(3, (np.arange(20_000) + 0.5) / 20_000)
        return float(
            optimize.brentq(lambda strength: np.mean(special.stdtr(3, quantiles + strength)) - auroc, 0, 100)
        )
    return float(np.hypot(1, _SCALES.get(law, 1.0)) * special.ndtri(auroc))


@cache
def _truth(law: str, strength: float, threshold: float, share: float) -> dict[str, float]:
    rng = np.random.default_rng(8)
    labels = np.arange(_TRUTH_IMAGES) < round(share * _TRUTH_IMAGES)
    scores = _scores(law, rng.normal(size=(2, _TRUTH_IMAGES)), labels, strength)
    weights = np.ones((1, _TRUTH_IMAGES), np.uint16)
    metrics = weighted_metrics(scores, labels=labels, weights=weights, threshold=threshold)
    return {name: float(each[0]) for name, each in metrics.items()}
