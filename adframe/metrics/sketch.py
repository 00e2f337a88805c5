"""What is kept of one image so that its weight can change later, without its pixels: 6 KB.

A sketch cuts an image's bins, from the highest score to the lowest, into at most `SEGMENTS` segments
and has the exact counts of each. Cuts lie where the curves need them: closer and closer towards the
highest normal scores (low false-positive rates), and at equal shares of the normal pixels, of the
anomalous ones, and of what is found of the regions. A score that many pixels share gets a segment of
its own; within other segments pixels count as spread evenly over the codes from end to end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adframe.metrics.bin_layout import sorted_unique
from adframe.metrics.image_bins import ANOMALOUS, FOUND, NORMAL, ImageBins

SEGMENTS = 256  # at most, an image
GroupKey = tuple[str, str, str]  # defect type, subset, condition


@dataclass(frozen=True, slots=True)
class Sketch:
    """One image: n segments by falling score, and what is known of it exactly."""

    path: str
    key: GroupKey
    group: str  # pictures of one part share one; "" is an image on its own
    facts: np.ndarray  # (6,) int64, as in `histogram.GroupSums`
    ends: np.ndarray  # (2, n) int32, the smallest codes of a segment's highest and lowest bin
    pixels: np.ndarray  # (2, n) int32, NORMAL and ANOMALOUS
    found: np.ndarray  # (n,) int64, in 1 / REGION_UNITS

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts sketches the same, whatever order the images came in."""
        known = (self.path, self.key, self.group, self.facts.tolist())
        return *known, self.ends.tobytes(), self.pixels.tobytes()

    def above(self, edges: np.ndarray) -> np.ndarray:
        """(3, m) float64: NORMAL, ANOMALOUS, FOUND with a code of (m,) int64 `edges` or a larger one."""
        high = (
            self.ends[0].astype(np.int64) + 1
        )  # edges lie between bins, so a bin is as good as its first code
        places = np.stack([self.ends[1].astype(np.int64), high])[:, ::-1].T.reshape(-1)  # low, high, low, ...
        return np.stack([np.interp(edges, places, _counts_at_ends(counts)) for counts in (*self.pixels, self.found)])


def sketch_of(bins: ImageBins, *, path: str, key: GroupKey, group: str, facts: np.ndarray) -> Sketch:
    """The sketch of the image that `bins` holds."""
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
    """The last bins of at most `budget` segments of n bins: (m,) int, rising, with the last of all.

    Args:
        counts: (kinds, n) int64 by falling score: NORMAL, or NORMAL, ANOMALOUS and FOUND.
        budget: how many segments there may be.
    """
    bins = counts.shape[1]
    if bins <= budget:
        return np.arange(bins)
    running = np.cumsum(counts, axis=1)
    totals = running[:, -1].tolist()
    wanted = [each for each in _CUTS if each[0] < len(totals) and totals[each[0]]]
    room = (budget - 1) / sum(share for _, _, share in wanted)
    places = [
        _cut_positions(running[kind], targets(totals[kind], int(share * room))) for kind, targets, share in wanted
    ]
    return sorted_unique(np.concatenate([*places, [bins - 1]]))


def _cut_positions(running: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Where (n,) rising sums reach each of (m,) rising targets, and in turn the last place before.

    Bins that reach a target would otherwise all lie at the lower end of a segment, and be spread
    upwards. A bin that reaches several targets gets a segment of its own.
    """
    places = np.searchsorted(running, targets) - np.arange(len(targets)) % 2
    reached: np.ndarray = np.maximum(places, 0)
    return reached


def _even_targets(total: int, count: int) -> np.ndarray:
    return total * (np.arange(1, count + 1) / count)


def _tail_targets(total: int, count: int) -> np.ndarray:
    return np.geomspace(1, total, count) * (1 - 1e-12)  # rounding must not reach over the total


# What is cut, how, and its share of the cuts; the pixels of good images have them all.
_CUTS = ((NORMAL, _tail_targets, 0.36), (NORMAL, _even_targets, 0.24), (ANOMALOUS, _even_targets, 0.16), (FOUND, _even_targets, 0.24))


def _counts_at_ends(counts: np.ndarray) -> np.ndarray:
    """How many are above the lower and the upper end of each segment, from the lowest segment up."""
    above = np.cumsum(counts, dtype=np.int64)
    return np.stack([above, above - counts])[:, ::-1].T.reshape(-1)
