"""The histogram of one image, in bins of its own: what is added to the others', and sketched.

It has a layout to itself, so that its bins depend on its scores alone and not on what came before.
Everything is an integer. A region's share in a bin is kept in units of 1 / `REGION_UNITS`: with k of its
pixels above a bin's lower edge, it is found to min(k / saturation, 1), rounded to a unit. Rounding the
running share, not each pixel's, keeps the error at half a unit a region, at every threshold and
after any merge.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adframe.contracts import Region
from adframe.metrics.bin_layout import BINS_PER_BLOCK, BLOCK_BITS, NO_SLOT, BlockLayout
from adframe.metrics.float_bins import codes_of
from adframe.ops.regions import bounding_box

REGION_UNITS = 1 << 40  # one region; 8 million regions fit in an int64
NORMAL, ANOMALOUS, FOUND = range(3)  # the first axis of counts
_CHUNK = 1 << 18  # pixels at a time: buffers stay in the cache, memory does not grow with the image
_STRIDE = 61  # every so many pixels tell nearly all blocks; a prime, so that no column is met again and again


class ImageBins:
    """Counts of one image at a time, over and over in the same memory.

    Args:
        budget: of blocks, as many as the histograms have that the image is added to.
    """

    def __init__(self, *, budget: int) -> None:
        self.layout = BlockLayout(budget=budget)
        self._counts = np.zeros((3, budget + 1, BINS_PER_BLOCK), np.int64)
        self._kinds = 1  # a good image has normal pixels only
        self._codes = np.empty(_CHUNK, np.int32)

    @property
    def counts(self) -> np.ndarray:
        """(1 or 3, slots in use, BINS_PER_BLOCK) int64: NORMAL; where there are regions ANOMALOUS and FOUND, too."""
        return self._counts[: self._kinds, : self.layout.rows]

    def fill(self, scores: np.ndarray, *, inside: np.ndarray, regions: list[Region]) -> None:
        """Forgets the last image and counts this one.

        Args:
            scores: (H, W) float32, finite and contiguous.
            inside: (H, W) bool, the pixels in any region.
            regions: of the image.
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
        """The filled bins by falling score: (n,) int32, the smallest code of each, and (1 or 3, n) counts."""
        order = np.argsort(self.layout.blocks)
        counts = self._counts[: self._kinds, order + 1].reshape(self._kinds, -1)
        any_kind = counts[NORMAL] if self._kinds == 1 else counts[NORMAL] + counts[ANOMALOUS]
        filled = np.flatnonzero(any_kind)[::-1]
        blocks = self.layout.blocks[order].take(filled >> BLOCK_BITS)
        bins = (blocks << BLOCK_BITS) | (filled & (BINS_PER_BLOCK - 1)).astype(np.int32)
        return bins << self.layout.shift, counts.take(filled, axis=1)

    def _begin_layout(self, codes: np.ndarray) -> None:
        """Gives slots to the blocks of a sample: no more than all the image's scores would need."""
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
        """Adds the histogram of (n,) scores to some of the counts, or takes it away."""
        unknown = [
            self._count_codes(codes_of(chunk, out=self._codes[: len(chunk)]), signs)
            for chunk in _in_chunks(scores)
        ]
        for chunk in _in_chunks(np.concatenate(unknown)) if unknown else ():
            self._make_room(chunk)
            self._count_codes(chunk, signs)

    def _count_codes(self, codes: np.ndarray, signs: dict[int, int]) -> np.ndarray:
        """Returns the codes whose block has no slot yet, which have not been counted."""
        places, histogram = self.layout.histogram(codes)
        unknown = codes[places < BINS_PER_BLOCK] if histogram[NO_SLOT].any() else codes[:0]
        for kind, sign in signs.items():
            own = self._counts[kind, 1 : len(histogram)]
            (np.add if sign > 0 else np.subtract)(own, histogram[1:], out=own)
        return unknown

    def _count_overlap(self, scores: np.ndarray, saturation: float) -> None:
        """Adds what each bin finds of one region, whose (n,) scores have been counted already."""
        codes = np.sort(codes_of(scores))[::-1]
        bins = codes >> self.layout.shift
        last = np.append(np.flatnonzero(bins[1:] != bins[:-1]), len(bins) - 1)  # of each bin
        running = np.rint(np.minimum((last + 1) / saturation, 1.0) * REGION_UNITS).astype(np.int64)
        found = self._counts[FOUND].reshape(-1)
        found[self.layout.positions(codes[last])] += np.diff(running, prepend=0)


def _in_chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
