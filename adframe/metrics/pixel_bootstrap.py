"""Bootstrap draws of the pixel metrics: images count more or less often, their pixels are not read again.

Each selection of the table (all images, a subset, a condition) has edges of its own, codes at which its
curves are followed: `CURVE_EDGES` at most, cut as a sketch is, by the selection's exact sums. With what each image
has above each edge, a resample's curve is the weighted sum of the images', and all resamples' curves
are one matrix product.

Draws are those of the image metrics (`bootstrap.multiplicities`): same images, paths and seed, same
weights. SegF1 and IoU are exact. The others rest on sketches: where neither an image nor the selection has
more distinct bins than cuts they equal those of `PixelMetrics.compute` but for rounding; else they are
close, and `tests/metrics/test_pixel_bootstrap.py` says how close.
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
from adframe.stats.bootstrap import kinds, multiplicities

CURVE_EDGES = 2048  # at most, a selection
_CHUNK_VALUES = 1 << 18  # values of a curve that are worked on at once: 2 MB an array


@dataclass(frozen=True, slots=True)
class _Edges:
    codes: np.ndarray  # (m,) int64, falling
    steps: (
        np.ndarray
    )  # (m,) float64, bins with anomalous pixels between an edge and the one above, at least 1
    tied: np.ndarray  # (m,) float64, the share of the normal pixels there that lie in such bins


class Resamples:
    """How often each image counts in each resample.

    Args:
        sketches: of all images, in any order.
        resamples: how many to draw.
        seed: of the draws.
    """

    def __init__(self, sketches: Sequence[Sketch], *, resamples: int, seed: int) -> None:
        self.sketches = sorted(sketches, key=lambda sketch: sketch.order)
        subsets, conditions = (np.array([each.key[i] for each in self.sketches], dtype=str) for i in (1, 2))
        self.weights = multiplicities(  # (resamples, images)
            kinds(subsets != GOOD, subsets=subsets, conditions=conditions),
            groups=[each.group for each in self.sketches],
            values=(np.array([each.path for each in self.sketches], dtype=str),),
            resamples=resamples,
            seed=(seed,),
        )

    def measures(
        self, selection: ImageSelection, *, tally: Tally, limits: Sequence[float], overlap: str
    ) -> dict[str, np.ndarray]:
        """All pixel metrics of one selection: (resamples,) float64 by name; NaN where there is nothing to measure.

        Args:
            selection: which images count.
            tally: their exact sums.
            limits: of AU-PRO.
            overlap: its name.
        """
        places = [i for i, each in enumerate(self.sketches) if _holds(selection, each)]
        edges = _curve_edges(tally)
        above = _counts_above([self.sketches[i] for i in places], edges.codes)
        facts = np.array([self.sketches[i].facts for i in places], np.int64).reshape(-1, 6)
        pieces = []
        for weights in _weight_chunks(self.weights, places, width=len(edges.codes)):
            curves = ResampledCurves(*(weights @ kind for kind in above), steps=edges.steps, tied=edges.tied)
            sums = (weights @ facts).T
            table = curves.ranking() | {
                f"{overlap}_{limit:g}": curves.overlap(sums[0] * REGION_UNITS, limit=limit) for limit in limits
            }
            table |= {} if tally.decided is None else curves.at_threshold(sums[2], sums[3])
            zones = {} if tally.zoned is None else curves.at_threshold(sums[4], sums[5])
            pieces.append(table | {f"zones/{key}": values for key, values in zones.items()})
        return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}


def _holds(selection: ImageSelection, sketch: Sketch) -> bool:
    return selection.includes(subset=sketch.key[1], condition=sketch.key[2])


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
    """(m,) float64 sums of (n,) counts, each from a place of `first` up to the next."""
    sums: np.ndarray = np.add.reduceat(counts, first, dtype=np.float64) if len(first) else np.zeros(0)
    return sums


def _counts_above(sketches: Sequence[Sketch], edges: np.ndarray) -> np.ndarray:
    """(3, n, m) float64: what each of n images has above each of (m,) edges."""
    above = np.zeros((3, len(sketches), len(edges)))
    for i, sketch in enumerate(sketches):
        above[:, i] = sketch.above(edges)
    return above[[NORMAL, ANOMALOUS, FOUND]]


def _weight_chunks(weights: np.ndarray, places: Sequence[int], *, width: int) -> Iterator[np.ndarray]:
    """Some resamples at a time, as float64, for the images that count."""
    step = max(_CHUNK_VALUES // max(width, 1), 1)
    for start in range(0, max(len(weights), 1), step):
        yield weights[start : start + step, places].astype(np.float64)
