"""Draws pixel counts of anomaly maps of known laws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from adframe.metrics.bootstrap_pixel_curves import ResampledCurves
from adframe.stats.intervals import Units
from benchmarks.simulation.common import Run, correlate, draw_weights

# Falling scores above which pixels are counted, and the place of the threshold of SegF1.
EDGES = np.linspace(9, -4, 80)
_THRESHOLD = int(np.argmin(abs(EDGES - 3)))
_PIXELS = 4096.0
# A region counts as found in AUC-sPRO when this share of its area is found.
_SATURATION = 0.4
LAWS = ("few large", "many small", "some missed", "mixed")
_MISSED_SHARE = 0.12
_OFFSET, _STRENGTH_SPREAD, _NOISE = 0.4, 0.35, 1.2  # of images, of regions, of anomalous pixels
_LIMITS = (0.3, 0.05)
# Images of each class from which true metrics are computed, in chunks.
_TRUTH_IMAGES, _TRUTH_CHUNKS = 4000, 25


@dataclass(frozen=True, slots=True)
class MapSet:
    """The images of a test set before a run computes their maps.

    Attributes:
        offsets: (n,) standard normal offset of each map; the normal images are the first ones.
        image: (regions,) the image of each region.
        area: (regions,) pixels of each region.
        latent: (2, regions) standard normal strength of each region and whether it is missed.
        weights: (1 + resamples, n) how often each image counts.
    """

    offsets: np.ndarray
    image: np.ndarray
    area: np.ndarray
    latent: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, slots=True)
class ScoredMaps:
    """Anomaly maps of a known law.

    Attributes:
        law: a name of `LAWS`.
        strength: median distance of a region's pixels from normal ones, in standard deviations.
        normal: number of normal images.
        anomalous: number of anomalous images.
    """

    law: str
    strength: float
    normal: int
    anomalous: int

    @property
    def title(self) -> str:
        """Names the law, the number of images and the difficulty."""
        return f"{self.law}, {self.normal}+{self.anomalous}, strength {self.strength:g}"

    @property
    def units(self) -> Units:
        """The number of independent units."""
        return Units(self.normal, self.anomalous)

    def images(self, rng: np.random.Generator, *, resamples: int) -> MapSet:
        """Draws the images of a test set and its resamples."""
        count = self.normal + self.anomalous
        labels = np.arange(count) >= self.normal
        weights = draw_weights(labels, np.arange(count), rng, resamples=resamples)
        return _draw_maps(self.law, self.normal, self.anomalous, rng, weights=weights)

    def run(self, images: MapSet, rng: np.random.Generator, *, correlation: float, shift: float) -> Run:
        """Draws the maps of one run."""
        counts = _counts(
            self.law,
            images,
            offsets=correlate(images.offsets, rng, correlation=correlation),
            latent=correlate(images.latent, rng, correlation=correlation),
            strength=self.strength + shift,
        )
        regions = np.bincount(images.image, minlength=len(images.offsets))
        weights = images.weights.astype(float)
        return Run.of(_metrics([weights @ each for each in counts], weights @ regions))

    def truth(self, shift: float = 0.0) -> dict[str, float]:
        """Computes the metrics of a very large test set with the same share of anomalous images."""
        sums, regions = _truth_sums(self.law, self.strength + shift)
        return {name: float(each[0]) for name, each in self._metrics_of_sums(sums, regions).items()}

    def truth_errors(self) -> dict[str, float]:
        """Computes the standard errors of `truth`, from its chunks."""
        sums, regions = _truth_sums(self.law, self.strength, chunks=True)
        metrics = self._metrics_of_sums(sums, regions)
        return {name: float(np.std(each) / np.sqrt(len(each))) for name, each in metrics.items()}

    def _metrics_of_sums(self, sums: np.ndarray, regions: np.ndarray) -> dict[str, np.ndarray]:
        """Mixes the mean counts of normal and of anomalous images."""
        normal, anomalous = sums
        return _metrics(self.normal * normal + self.anomalous * anomalous, self.anomalous * regions)


def _draw_maps(
    law: str, normal: int, anomalous: int, rng: np.random.Generator, *, weights: np.ndarray
) -> MapSet:
    many = rng.integers(5, 20, size=anomalous)
    numbers = {
        "few large": np.ones(anomalous, np.int64),
        "some missed": np.ones(anomalous, np.int64),
        "many small": rng.integers(2, 9, size=anomalous),
        "mixed": np.where(rng.random(anomalous) < 0.7, 1, many),
    }[law]
    image = np.repeat(np.arange(anomalous), numbers)
    large = {"few large": (4.5, 1.2), "mixed": (4.0, 1.5)}.get(law, (4.0, 1.0))
    areas = np.minimum(np.exp(rng.normal(*large, size=len(image))), 2500)
    small = {"many small": (5, 30), "some missed": (50, 300)}.get(law, (4, 20))
    is_small = {"few large": np.zeros(len(image), bool), "mixed": numbers[image] > 1}
    area = np.where(is_small.get(law, np.ones(len(image), bool)), rng.uniform(*small, len(image)), areas)
    latent, offsets = rng.normal(size=(2, len(image))), rng.normal(size=normal + anomalous)
    return MapSet(offsets, normal + image, area, latent, weights)


def _counts(
    law: str, images: MapSet, *, offsets: np.ndarray, latent: np.ndarray, strength: float
) -> np.ndarray:
    """Returns (4, n, edges) normal and anomalous pixels, and plain and saturated overlap, above each edge."""
    counts = np.zeros((4, len(offsets), len(EDGES)))
    strengths = strength * np.exp(_STRENGTH_SPREAD * latent[0])
    if law == "some missed":
        strengths = np.where(special.ndtr(latent[1]) < _MISSED_SHARE, 0.0, strengths)
    centers = _OFFSET * offsets[images.image] + strengths
    above = special.ndtr((centers[:, None] - EDGES) / _NOISE)
    above[:, -1] = 1
    if len(above):
        first = np.unique(images.image, return_index=True)[1]
        places = images.image[first]
        kinds = (images.area[:, None] * above, above, np.minimum(above / _SATURATION, 1))
        for place, each in enumerate(kinds, start=1):
            counts[place, places] = np.add.reduceat(each, first)
    normal = special.ndtr(_OFFSET * offsets[:, None] - EDGES)
    normal[:, -1] = 1
    # A normal pixel is one that no region covers; regions cover at most 4/5 of an image.
    counts[0] = normal * (_PIXELS - np.minimum(counts[1][:, -1:], 0.8 * _PIXELS))
    return counts


def _metrics(sums: list[np.ndarray] | np.ndarray, regions: np.ndarray) -> dict[str, np.ndarray]:
    """Computes pixel metrics of (resamples, edges) sums over images."""
    normal, anomalous, found, saturated = sums
    spread = {"steps": np.ones(len(EDGES)), "tied": np.zeros(len(EDGES))}
    curves = ResampledCurves(normal, anomalous, found, **spread)
    saturating = ResampledCurves(normal, anomalous, saturated, **spread)
    table = curves.ranking()
    for limit in _LIMITS:
        table[f"pixel/aupro_{limit:g}"] = curves.overlap(regions, limit=limit)
    table[f"pixel/auspro_{_LIMITS[-1]:g}"] = saturating.overlap(regions, limit=_LIMITS[-1])
    decisions = curves.at_threshold(anomalous[:, _THRESHOLD], normal[:, _THRESHOLD])
    return table | {"pixel/segf1": decisions["pixel/segf1"]}


@cache
def _truth_sums(law: str, strength: float, *, chunks: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns (2, 4, chunks, edges) mean counts of normal and anomalous images, and (chunks,) regions.

    All chunks are averaged into one unless `chunks` is True.
    """
    rng, count = np.random.default_rng(9), _TRUTH_IMAGES
    sums, regions = [], []
    for _ in range(_TRUTH_CHUNKS):
        images = _draw_maps(law, count, count, rng, weights=np.zeros(0))
        counts = _counts(law, images, offsets=images.offsets, latent=images.latent, strength=strength)
        sums.append([counts[:, :count].mean(axis=1), counts[:, count:].mean(axis=1)])
        regions.append(len(images.image) / count)
    found, number = np.array(sums).transpose(1, 2, 0, 3), np.array(regions)
    if chunks:
        return found, number
    return found.mean(axis=2, keepdims=True), number.mean(keepdims=True)
