"""Draws bootstrap resamples of the pixel metrics by weighting images, without reading their pixels again.

Each selection of the table (all images, a subset, a condition) has its own edges: codes at which its curves
are followed. They are at most `CURVE_EDGES`, placed as the cuts of a sketch are, by the exact sums of the
selection. With the counts of each image above each edge, the curve of a resample is a weighted sum over
images, and the curves of all resamples are one matrix product.

The resamples are those of the image metrics (`bootstrap.multiplicities`): same images, paths and seed give
the same weights. SegF1 and IoU are exact. The other metrics depend on sketches: where neither an image nor
the selection has more distinct bins than cuts, they equal those of `PixelMetrics.compute` up to rounding;
otherwise they are close, and `tests/metrics/test_pixel_bootstrap.py` states how close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adframe.contracts import GOOD
from adframe.metrics.bootstrap_pixel_curves import ResampledCurves
from adframe.metrics.float_bins import codes_of
from adframe.metrics.histogram import Tally
from adframe.metrics.image_bins import ANOMALOUS, FOUND, NORMAL, REGION_UNITS
from adframe.metrics.sketch import Sketch, segment_ends
from adframe.metrics.subsets import ImageSelection
from adframe.stats.bootstrap import multiplicities, strata_of

CURVE_EDGES = 2048  # largest number per selection
# Values of a curve per chunk: 2 MB per array.
_CHUNK_VALUES = 1 << 18


@dataclass(frozen=True, slots=True)
class _Edges:
    """Edges of one selection, by falling code.

    Attributes:
        codes: (m,) int64, falling.
        steps: (m,) float64 >= 1, bins with anomalous pixels between an edge and the one above.
        tied: (m,) float64, share of the normal pixels between them that lie in such bins.
    """

    codes: np.ndarray
    steps: np.ndarray
    tied: np.ndarray


class Resamples:
    """Draws how often each image counts in each resample.

    Args:
        sketches: one per image, in any order.
        resamples: number of resamples.
        seed: seed of the draws.

    Example:
        >>> from adframe.metrics.histogram import PixelHistograms
        >>> histograms = PixelHistograms(sketching=True)
        >>> scores = np.float32([[0.1, 0.2]])
        >>> histograms.add(scores, regions=[], group=("good", "good", ""), path="a.png")
        >>> Resamples(histograms.sketches, resamples=5, seed=0).weights.shape
        (5, 1)
    """

    def __init__(self, sketches: Sequence[Sketch], *, resamples: int, seed: int) -> None:
        self.sketches = sorted(sketches, key=lambda sketch: sketch.sort_key)
        subsets, conditions = (np.array([each.key[i] for each in self.sketches], dtype=str) for i in (1, 2))
        self.weights = multiplicities(  # (resamples, images)
            strata_of(subsets != GOOD, subsets=subsets, conditions=conditions),
            groups=[each.group for each in self.sketches],
            values=(np.array([each.path for each in self.sketches], dtype=str),),
            resamples=resamples,
            seed=(seed,),
        )

    def measures(
        self, selection: ImageSelection, *, tally: Tally, limits: Sequence[float], overlap: str
    ) -> dict[str, np.ndarray]:
        """Computes all pixel metrics of one selection on each resample.

        Args:
            selection: the images that count.
            tally: their exact sums.
            limits: false-positive rates up to which AU-PRO is integrated.
            overlap: metric name of AU-PRO without its limit, such as `pixel/aupro`.

        Returns:
            (resamples,) float64 by metric name; NaN where a metric is not defined.
        """
        places = [
            i
            for i, each in enumerate(self.sketches)
            if selection.includes(subset=each.key[1], condition=each.key[2])
        ]
        edges = _curve_edges(tally)
        above = _counts_above([self.sketches[i] for i in places], edges.codes)
        facts = np.array([self.sketches[i].facts for i in places], np.int64).reshape(-1, 6)
        pieces = []
        for weights in _weight_chunks(self.weights, places, width=len(edges.codes)):
            curves = ResampledCurves(*(weights @ kind for kind in above), steps=edges.steps, tied=edges.tied)
            sums = (weights @ facts).T
            table = curves.ranking() | {
                f"{overlap}_{limit:g}": curves.overlap(sums[0] * REGION_UNITS, limit=limit)
                for limit in limits
            }
            table |= {} if tally.decided is None else curves.at_threshold(sums[2], sums[3])
            zones = {} if tally.zoned is None else curves.at_threshold(sums[4], sums[5])
            pieces.append(table | {f"zones/{key}": values for key, values in zones.items()})
        return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}


def _curve_edges(tally: Tally) -> _Edges:
    counts = np.stack([tally.normal, tally.anomalous, tally.found])
    last = segment_ends(counts, budget=CURVE_EDGES)
    first = np.append(0, last[:-1] + 1)[: len(last)]
    anomalous = tally.anomalous > 0
    steps = _segment_sums(anomalous, first)
    tied = _segment_sums(tally.normal * anomalous, first) / np.maximum(_segment_sums(tally.normal, first), 1)
    codes = codes_of(tally.lowest)[last].astype(np.int64)
    return _Edges(codes, np.maximum(steps, 1), tied)


def _segment_sums(counts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns (m,) float64 sums of (n,) counts, each from a position in `first` up to the next."""
    sums: np.ndarray = np.add.reduceat(counts, first, dtype=np.float64) if len(first) else np.zeros(0)
    return sums


def _counts_above(sketches: Sequence[Sketch], edges: np.ndarray) -> np.ndarray:
    """Returns (3, n, m) float64: the counts of each of n images above each of (m,) edges."""
    above = np.zeros((3, len(sketches), len(edges)))
    for i, sketch in enumerate(sketches):
        above[:, i] = sketch.above(edges)
    return above[[NORMAL, ANOMALOUS, FOUND]]


def _weight_chunks(weights: np.ndarray, places: Sequence[int], *, width: int) -> Iterator[np.ndarray]:
    """Yields the float64 weights of some resamples at a time, for the images in `places`."""
    step = max(_CHUNK_VALUES // max(width, 1), 1)
    for start in range(0, max(len(weights), 1), step):
        yield weights[start : start + step, places].astype(np.float64)
