"""Counts one image in a histogram of its own, from which it is added to the sums and sketched.

It has its own layout, so that its bins depend on its scores only and not on the images before. Everything is
an integer. The overlap of a region with a bin is kept in units of 1 / `REGION_UNITS`: with k of its pixels
above the lower edge of a bin, the share min(k / saturation, 1) of the region is found, rounded to a unit.
Rounding the cumulative share instead of each pixel's keeps the error at half a unit per region, at every
threshold and after any merge of bins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adframe.contracts import Region
from adframe.metrics.bin_layout import BINS_PER_BLOCK, BLOCK_BITS, NO_SLOT, BlockLayout
from adframe.metrics.float_bins import codes_of
from adframe.ops.regions import bounding_box

# Units per region; 8 million regions fit in an int64.
REGION_UNITS = 1 << 40
NORMAL, ANOMALOUS, FOUND = range(3)  # the first axis of counts
# Pixels per chunk: the buffers stay in the cache, and memory does not grow with the image.
_CHUNK = 1 << 18
# A sample of every 61st pixel touches nearly all blocks. It is a prime, so that the sample does not repeat
# the same columns of the image.
_STRIDE = 61


class ImageBins:
    """Counts one image at a time, and reuses its memory for the next.

    Args:
        budget: number of blocks, equal to that of the histograms to which the image is added.

    Example:
        >>> bins = ImageBins(budget=4)
        >>> scores = np.float32([[0.5, 0.25], [0.5, 1.0]])
        >>> bins.fill(scores, inside=np.zeros((2, 2), bool), regions=[])
        >>> bins.ranked()[1].tolist()  # normal pixels by falling score
        [[1, 2, 1]]
    """

    def __init__(self, *, budget: int) -> None:
        self.layout = BlockLayout(budget=budget)
        self._counts = np.zeros((3, budget + 1, BINS_PER_BLOCK), np.int64)
        # A good image has normal pixels only.
        self._kinds = 1
        self._codes = np.empty(_CHUNK, np.int32)

    @property
    def counts(self) -> np.ndarray:
        """Returns (1 or 3, slots in use, BINS_PER_BLOCK) int64: NORMAL; with regions all three."""
        return self._counts[: self._kinds, : self.layout.rows]

    def fill(self, scores: np.ndarray, *, inside: np.ndarray, regions: list[Region]) -> None:
        """Forgets the previous image and counts this one.

        Args:
            scores: (H, W) float32, finite and contiguous.
            inside: (H, W) bool, True for pixels in any region.
            regions: annotated regions of the image; [] for a good image.
        """
        self.counts[:] = 0
        self._kinds = 3 if regions else 1
        self._begin_layout(codes_of(scores.reshape(-1)[::_STRIDE]))
        self._count_scores(scores.reshape(-1), {NORMAL: 1})
        if regions:
            self._count_scores(scores[inside], {NORMAL: -1, ANOMALOUS: 1})
        for region in regions:
            self._count_overlap(scores[bounding_box(region, scores.shape)][region.mask], region.saturation)

    def coarsen(self) -> None:
        """Merges every two neighbouring bins."""
        self.layout.merge(self._counts[: self._kinds])

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the bins that are not empty, by falling score.

        Returns:
            (n,) int32, the smallest code of each bin, and (1 or 3, n) int64 counts.
        """
        order = np.argsort(self.layout.blocks)
        counts = self._counts[: self._kinds, order + 1].reshape(self._kinds, -1)
        any_kind = counts[NORMAL] if self._kinds == 1 else counts[NORMAL] + counts[ANOMALOUS]
        filled = np.flatnonzero(any_kind)[::-1]
        blocks = self.layout.blocks[order].take(filled >> BLOCK_BITS)
        bins = (blocks << BLOCK_BITS) | (filled & (BINS_PER_BLOCK - 1)).astype(np.int32)
        return bins << self.layout.shift, counts.take(filled, axis=1)

    def _begin_layout(self, codes: np.ndarray) -> None:
        """Gives slots to the blocks of sampled codes: no more than all scores of the image need."""
        self.layout.clear()
        blocks = self.layout.blocks_of(codes)
        shift = self.layout.shifts_needed(blocks)
        self.layout.clear(shift=shift)
        self.layout.add(blocks >> shift)

    def _make_room(self, codes: np.ndarray) -> None:
        blocks = self.layout.blocks_of(codes)
        shifts = self.layout.shifts_needed(blocks)
        for _ in range(shifts):
            self.coarsen()
        self.layout.add(blocks >> shifts)

    def _count_scores(self, scores: np.ndarray, signs: dict[int, int]) -> None:
        """Adds the histogram of (n,) scores to the kinds of counts with sign 1, and subtracts it from those
        with -1.
        """
        unknown = [
            self._count_codes(codes_of(chunk, out=self._codes[: len(chunk)]), signs)
            for chunk in _in_chunks(scores)
        ]
        for chunk in _in_chunks(np.concatenate(unknown)) if unknown else ():
            self._make_room(chunk)
            self._count_codes(chunk, signs)

    def _count_codes(self, codes: np.ndarray, signs: dict[int, int]) -> np.ndarray:
        """Counts codes, and returns those whose block has no slot yet, which were not counted."""
        places, histogram = self.layout.histogram(codes)
        unknown = codes[places < BINS_PER_BLOCK] if histogram[NO_SLOT].any() else codes[:0]
        for kind, sign in signs.items():
            own = self._counts[kind, 1 : len(histogram)]
            (np.add if sign > 0 else np.subtract)(own, histogram[1:], out=own)
        return unknown

    def _count_overlap(self, scores: np.ndarray, saturation: float) -> None:
        """Adds the overlap of one region to each bin; its (n,) scores have been counted already."""
        codes = np.sort(codes_of(scores))[::-1]
        bins = codes >> self.layout.shift
        last = np.append(np.flatnonzero(bins[1:] != bins[:-1]), len(bins) - 1)  # of each bin
        running = np.rint(np.minimum((last + 1) / saturation, 1.0) * REGION_UNITS).astype(np.int64)
        found = self._counts[FOUND].reshape(-1)
        found[self.layout.positions(codes[last])] += np.diff(running, prepend=0)


def _in_chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
