"""Which histogram row holds which scores: bins over float codes, in blocks, as fine as a budget allows.

A bin is `code >> shift`, a block `BINS_PER_BLOCK` neighbouring bins. Only blocks that a score has fallen in
get a slot. When more blocks are touched than the budget has slots, `shift` grows by one and
neighbours merge. The blocks touched at shift s + 1 follow from those at s, so the final shift is
the smallest at which the blocks touched by all scores fit: it depends on no order.
"""

from __future__ import annotations

import numpy as np
import torch

BLOCK_BITS = 8
BINS_PER_BLOCK = 1 << BLOCK_BITS
NO_SLOT = 0  # the slot of every block that has none; its counts say that room must be made
_WIDEST_TABLE = 1 << 20  # entries; above it (scores that are few and far between) blocks are searched


class BlockLayout:
    """Slots 1, 2, ... for the touched blocks, in order of arrival.

    Args:
        budget: how many blocks may have a slot; at least 2, as code >> 24 spans two blocks.
    """

    def __init__(self, *, budget: int) -> None:
        self.budget = budget
        self._spare = np.empty((2, 0), np.int32)  # buffers, so that no map costs fresh pages
        self.clear()

    def clear(self, *, shift: int = 0) -> None:
        """Starts again, with bins of 1 << shift codes and no slot given."""
        self.shift = shift
        self.blocks = np.empty(0, np.int32)  # blocks[i] has slot i + 1
        self._index_blocks()

    @property
    def rows(self) -> int:
        """Rows that a histogram needs: a slot each, and one for `NO_SLOT`."""
        return len(self.blocks) + 1

    def histogram(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The `places` of (n,) int32 codes, and how many there are at each: (rows, BINS_PER_BLOCK) int64."""
        places = self.positions(codes)
        # torch counts int32 as they are; numpy widens them to int64 first
        counts = torch.bincount(torch.from_numpy(places), minlength=self.rows * BINS_PER_BLOCK)
        return places, counts.numpy().reshape(self.rows, BINS_PER_BLOCK)

    def positions(self, codes: np.ndarray) -> np.ndarray:
        """slot * BINS_PER_BLOCK + bin in the block of each of (n,) codes: (n,) int32, valid until the next call."""
        if self._spare.shape[1] < len(codes):
            self._spare = np.empty((2, len(codes)), np.int32)
        bins, places = self._spare[0, : len(codes)], self._spare[1, : len(codes)]
        np.right_shift(codes, self.shift, out=bins)
        blocks = np.right_shift(bins, BLOCK_BITS, out=places)
        bins &= BINS_PER_BLOCK - 1
        np.bitwise_or(self._slots(blocks), bins, out=places)
        return places

    def slots(self, blocks: np.ndarray) -> np.ndarray:
        """The slots of (n,) int32 blocks, `NO_SLOT` for those without."""
        return self._slots(blocks.copy()) >> BLOCK_BITS

    def blocks_of(self, codes: np.ndarray) -> np.ndarray:
        """The distinct blocks that (n,) codes fall in at the present shift."""
        return sorted_unique(codes >> self.shift >> BLOCK_BITS)

    def shifts_needed(self, blocks: np.ndarray) -> int:
        """How often neighbours must merge before these blocks have room beside the present ones."""
        touched, shifts = sorted_unique(np.concatenate([self.blocks, blocks])), 0
        while len(touched) > self.budget:
            touched, shifts = _drop_repeats(touched >> 1), shifts + 1
        return shifts

    def coarsen(self) -> tuple[np.ndarray, np.ndarray]:
        """Merges neighbours; returns for each old slot its new slot, and which half of it (0 or 1)."""
        halves, doubled = self.blocks & 1, self.blocks >> 1
        self.blocks = sorted_unique(doubled)
        parents = np.searchsorted(self.blocks, doubled)
        self.shift += 1
        self._index_blocks()
        return parents + 1, halves

    def merge(self, *counts: np.ndarray) -> None:
        """Merges every two neighbouring bins of (kinds, slots, BINS_PER_BLOCK) counts, in place, and `coarsen`s."""
        used = self.rows
        slots, halves = self.coarsen()
        for each in counts:
            pairs = each[:, 1:used, 0::2] + each[:, 1:used, 1::2]
            each[:, 1:used] = 0
            each.reshape(len(each), -1, 2, BINS_PER_BLOCK // 2)[:, slots, halves] = pairs

    def add(self, blocks: np.ndarray) -> None:
        """Gives slots to those of `blocks` (at the present shift) that have none."""
        fresh = sorted_unique(blocks)
        if len(self.blocks):
            fresh = fresh[self.slots(fresh) == NO_SLOT]
        if len(fresh):
            self.blocks = np.concatenate([self.blocks, fresh])
            self._index_blocks()

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Slots (n,) by falling score, and (n, BINS_PER_BLOCK) int32: the smallest code of each bin, also falling."""
        order = np.argsort(self.blocks)[::-1]
        inside = np.arange(BINS_PER_BLOCK - 1, -1, -1, dtype=np.int32)
        bins = (self.blocks[order, None] << BLOCK_BITS) | inside
        return order + 1, bins << self.shift

    def _index_blocks(self) -> None:
        """Makes the tables that `_slots` reads; entries are slots times BINS_PER_BLOCK."""
        order = np.argsort(self.blocks)
        self._sorted = self.blocks[order]
        self._starts = (order.astype(np.int32) + 1) << BLOCK_BITS
        lowest, highest = (int(self._sorted[0]), int(self._sorted[-1])) if len(order) else (0, 0)
        span = highest - lowest + 1
        self._first = lowest - 1  # one entry of margin on either side: what lies outside is clipped to it
        self._table = np.full(span + 2, NO_SLOT, np.int32) if span <= _WIDEST_TABLE else None
        if self._table is not None:
            self._table[self._sorted - self._first] = self._starts

    def _slots(self, blocks: np.ndarray) -> np.ndarray:
        """slot * BINS_PER_BLOCK of each of (n,) blocks; may overwrite them."""
        if self._table is not None:
            blocks -= np.int32(self._first)
            return self._table.take(blocks, mode="clip")
        near = np.searchsorted(self._sorted, blocks).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[near] == blocks, self._starts[near], np.int32(NO_SLOT))


def sorted_unique(values: np.ndarray) -> np.ndarray:
    """Sorted, without repeats. `np.unique` hashes integers, 20 times slower than sorting int32."""
    return _drop_repeats(np.sort(values))


def _drop_repeats(ordered: np.ndarray) -> np.ndarray:
    fresh = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    return np.compress(fresh, ordered)
