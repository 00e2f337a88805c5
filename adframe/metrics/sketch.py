"""Keeps 6 KB of each image, so that its weight in the pixel metrics can change later without its pixels.

A sketch cuts the bins of an image, from the highest score to the lowest, into at most `SEGMENTS` segments and
has the exact counts of each. Cuts lie where the curves need them: ever closer towards the highest normal
scores (low false-positive rates), and at equal shares of the normal pixels, of the anomalous pixels, and of
the overlap with regions. A score that many pixels share gets a segment of its own; within other segments
pixels count as spread evenly over the codes from end to end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adframe.metrics.bin_layout import sorted_unique
from adframe.metrics.image_bins import ANOMALOUS, FOUND, NORMAL, ImageBins

SEGMENTS = 256  # largest number per image
GroupKey = tuple[str, str, str]  # defect type, subset, condition


@dataclass(frozen=True, slots=True)
class Sketch:
    """One image: n segments by falling score, and its exact sums.

    Attributes:
        path: path of the image.
        key: its defect type, subset and condition.
        group: images of one part share a group; "" for an image on its own.
        facts: (6,) int64, as in `histogram.GroupSums`.
        ends: (2, n) int32, the smallest codes of the highest and the lowest bin of each segment.
        pixels: (2, n) int32, NORMAL and ANOMALOUS.
        found: (n,) int64, in 1 / REGION_UNITS.
    """

    path: str
    key: GroupKey
    group: str
    facts: np.ndarray
    ends: np.ndarray
    pixels: np.ndarray
    found: np.ndarray

    @property
    def sort_key(self) -> tuple[object, ...]:
        """Returns a sort key that does not depend on the order in which images were added."""
        known = (self.path, self.key, self.group, self.facts.tolist())
        return *known, self.ends.tobytes(), self.pixels.tobytes()

    def above(self, edges: np.ndarray) -> np.ndarray:
        """Estimates the counts of pixels with a code of an edge or a larger one.

        Args:
            edges: (m,) int64 codes.

        Returns:
            (3, m) float64: NORMAL, ANOMALOUS, FOUND.
        """
        # Edges lie between bins, so the first code of a bin stands for the whole bin.
        high = self.ends[0].astype(np.int64) + 1
        places = np.stack([self.ends[1].astype(np.int64), high])[:, ::-1].T.reshape(-1)  # low, high, low, ...
        kinds = (*self.pixels, self.found)
        return np.stack([np.interp(edges, places, _counts_at_ends(counts)) for counts in kinds])


def sketch_of(bins: ImageBins, *, path: str, key: GroupKey, group: str, facts: np.ndarray) -> Sketch:
    """Sketches the image that `bins` holds.

    Args:
        bins: the counted image.
        path: as in `Sketch`.
        key: as in `Sketch`.
        group: as in `Sketch`.
        facts: as in `Sketch`.

    Returns:
        Its sketch.
    """
    codes, counts = bins.ranked()
    last = segment_ends(counts, budget=SEGMENTS)
    first = np.append(0, last[:-1] + 1)
    sums = np.add.reduceat(counts, first, axis=1)
    pixels, found = np.zeros((2, len(last)), np.int32), np.zeros(len(last), np.int64)
    pixels[NORMAL] = sums[NORMAL]
    if len(counts) > 1:
        pixels[ANOMALOUS], found = sums[ANOMALOUS], sums[FOUND]
    ends = np.stack([codes[first], codes[last]])
    return Sketch(path, key, group, facts, ends, pixels, found)


def segment_ends(counts: np.ndarray, *, budget: int) -> np.ndarray:
    """Cuts n bins into at most `budget` segments.

    Args:
        counts: (kinds, n) int64 by falling score: NORMAL, or NORMAL, ANOMALOUS and FOUND.
        budget: largest number of segments.

    Returns:
        (m,) int, ascending: the last bin of each segment.
    """
    bins = counts.shape[1]
    if bins <= budget:
        return np.arange(bins)
    running = np.cumsum(counts, axis=1)
    totals = running[:, -1].tolist()
    cuts = [each for each in _CUTS if each[0] < len(totals) and totals[each[0]]]
    room = (budget - 1) / sum(share for _, _, share in cuts)
    places = [
        _cut_positions(running[kind], targets(totals[kind], int(share * room)))
        for kind, targets, share in cuts
    ]
    return sorted_unique(np.concatenate([*places, [bins - 1]]))


def _cut_positions(running: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns where (n,) ascending sums reach each of (m,) ascending targets, for every other target one bin
    earlier.

    Bins that reach a target would otherwise all lie at the lower end of a segment, and be spread upwards. A
    bin that reaches several targets gets a segment of its own.
    """
    places = np.searchsorted(running, targets) - np.arange(len(targets)) % 2
    reached: np.ndarray = np.maximum(places, 0)
    return reached


def _even_targets(total: int, count: int) -> np.ndarray:
    return total * (np.arange(1, count + 1) / count)


def _tail_targets(total: int, count: int) -> np.ndarray:
    # Rounding must not reach beyond the total.
    return np.geomspace(1, total, count) * (1 - 1e-12)


# The kind of counts to cut, the targets, and the share of the cuts. In good images, which have only normal
# pixels, those get all cuts.
_CUTS = (
    (NORMAL, _tail_targets, 0.36),
    (NORMAL, _even_targets, 0.24),
    (ANOMALOUS, _even_targets, 0.16),
    (FOUND, _even_targets, 0.24),
)


def _counts_at_ends(counts: np.ndarray) -> np.ndarray:
    """Returns the counts above the lower and the upper end of each segment, from the lowest segment up."""
    above = np.cumsum(counts, dtype=np.int64)
    return np.stack([above, above - counts])[:, ::-1].T.reshape(-1)
