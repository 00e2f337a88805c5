"""Assigns scores to histogram rows: bins of float codes, in blocks, as fine as a memory budget allows.

A bin is `code >> shift`, a block is `BINS_PER_BLOCK` neighbouring bins. Only blocks that contain a score get
a slot. When more blocks are touched than the budget has slots, `shift` grows by one and neighbours merge. The
blocks touched at shift s + 1 follow from those at s, so the final shift is the smallest at which the blocks
touched by all scores fit: it does not depend on the order of scores.
"""

from __future__ import annotations

import numpy as np
import torch

BLOCK_BITS = 8
BINS_PER_BLOCK = 1 << BLOCK_BITS
# Stands for every block without a slot; counts in it show that room must be made.
NO_SLOT = 0
# entries of the lookup table; beyond it (few, widely spread scores) blocks are searched
_WIDEST_TABLE = 1 << 20


class BlockLayout:
    """Gives slots 1, 2, ... to the touched blocks, in order of arrival.

    Args:
        budget: number of blocks that may have a slot; at least 2, because code >> 24 spans two blocks.

    Example:
        >>> layout = BlockLayout(budget=2)
        >>> layout.add(layout.blocks_of(np.int32([5, 300])))
        >>> layout.rows, layout.slots(np.int32([0, 1, 2])).tolist()
        (3, [1, 2, 0])
    """

    def __init__(self, *, budget: int) -> None:
        self.budget = budget
        # Reused buffers, so that no image allocates fresh pages.
        self._spare = np.empty((2, 0), np.int32)
        self.clear()

    def clear(self, *, shift: int = 0) -> None:
        """Starts again without any slot.

        Args:
            shift: bins have 1 << shift codes.
        """
        self.shift = shift
        self.blocks = np.empty(0, np.int32)  # blocks[i] has slot i + 1
        self._index_blocks()

    @property
    def rows(self) -> int:
        """Returns the number of rows of a histogram: one per slot, and one for `NO_SLOT`."""
        return len(self.blocks) + 1

    def histogram(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts codes.

        Args:
            codes: (n,) int32.

        Returns:
            Their `positions`, and (rows, BINS_PER_BLOCK) int64 counts.
        """
        places = self.positions(codes)
        # torch counts int32 without a copy; numpy widens them to int64 first.
        counts = torch.bincount(torch.from_numpy(places), minlength=self.rows * BINS_PER_BLOCK)
        return places, counts.numpy().reshape(self.rows, BINS_PER_BLOCK)

    def positions(self, codes: np.ndarray) -> np.ndarray:
        """Returns the position of each code in a flat histogram: slot * BINS_PER_BLOCK + bin inside the
        block.

        Args:
            codes: (n,) int32.

        Returns:
            (n,) int32 in a buffer that is valid until the next call.
        """
        if self._spare.shape[1] < len(codes):
            self._spare = np.empty((2, len(codes)), np.int32)
        bins, places = self._spare[0, : len(codes)], self._spare[1, : len(codes)]
        np.right_shift(codes, self.shift, out=bins)
        blocks = np.right_shift(bins, BLOCK_BITS, out=places)
        bins &= BINS_PER_BLOCK - 1
        np.bitwise_or(self._slot_starts(blocks), bins, out=places)
        return places

    def slots(self, blocks: np.ndarray) -> np.ndarray:
        """Looks up the slots of blocks.

        Args:
            blocks: (n,) int32 block numbers.

        Returns:
            (n,) int32, `NO_SLOT` for blocks without a slot.
        """
        return self._slot_starts(blocks.copy()) >> BLOCK_BITS

    def blocks_of(self, codes: np.ndarray) -> np.ndarray:
        """Returns the distinct blocks of codes at the present shift.

        Args:
            codes: (n,) int32.

        Returns:
            (m,) int32, ascending.
        """
        return sorted_unique(codes >> self.shift >> BLOCK_BITS)

    def shifts_needed(self, blocks: np.ndarray) -> int:
        """Returns how often neighbours must merge before these blocks fit next to the present ones.

        Args:
            blocks: (n,) int32 block numbers at the present shift.
        """
        touched, shifts = sorted_unique(np.concatenate([self.blocks, blocks])), 0
        while len(touched) > self.budget:
            touched, shifts = _drop_repeats(touched >> 1), shifts + 1
        return shifts

    def coarsen(self) -> tuple[np.ndarray, np.ndarray]:
        """Merges neighbouring blocks.

        Returns:
            For each old slot its new slot, and the half of it (0 or 1) that it fills.
        """
        halves, doubled = self.blocks & 1, self.blocks >> 1
        self.blocks = sorted_unique(doubled)
        parents = np.searchsorted(self.blocks, doubled)
        self.shift += 1
        self._index_blocks()
        return parents + 1, halves

    def merge(self, *counts: np.ndarray) -> None:
        """Merges neighbouring bins of counts in place, and coarsens the layout.

        Args:
            counts: arrays (kinds, slots, BINS_PER_BLOCK).
        """
        used = self.rows
        slots, halves = self.coarsen()
        for each in counts:
            pairs = each[:, 1:used, 0::2] + each[:, 1:used, 1::2]
            each[:, 1:used] = 0
            each.reshape(len(each), -1, 2, BINS_PER_BLOCK // 2)[:, slots, halves] = pairs

    def add(self, blocks: np.ndarray) -> None:
        """Gives slots to those blocks that have none.

        Args:
            blocks: (n,) int32 block numbers at the present shift.
        """
        fresh = sorted_unique(blocks)
        if len(self.blocks):
            fresh = fresh[self.slots(fresh) == NO_SLOT]
        if len(fresh):
            self.blocks = np.concatenate([self.blocks, fresh])
            self._index_blocks()

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Lists the slots by falling score.

        Returns:
            (n,) slots and (n, BINS_PER_BLOCK) int32, the smallest code of each bin, also falling.
        """
        order = np.argsort(self.blocks)[::-1]
        inside = np.arange(BINS_PER_BLOCK - 1, -1, -1, dtype=np.int32)
        bins = (self.blocks[order, None] << BLOCK_BITS) | inside
        return order + 1, bins << self.shift

    def _index_blocks(self) -> None:
        """Builds the tables that `_slot_starts` reads; their entries are slots times BINS_PER_BLOCK."""
        order = np.argsort(self.blocks)
        self._sorted = self.blocks[order]
        self._starts = (order.astype(np.int32) + 1) << BLOCK_BITS
        lowest, highest = (int(self._sorted[0]), int(self._sorted[-1])) if len(order) else (0, 0)
        span = highest - lowest + 1
        # One entry of margin on either side, to which blocks outside are clipped.
        self._first = lowest - 1
        self._table = np.full(span + 2, NO_SLOT, np.int32) if span <= _WIDEST_TABLE else None
        if self._table is not None:
            self._table[self._sorted - self._first] = self._starts

    def _slot_starts(self, blocks: np.ndarray) -> np.ndarray:
        """Returns slot * BINS_PER_BLOCK of each of (n,) blocks; may overwrite them."""
        if self._table is not None:
            blocks -= np.int32(self._first)
            return self._table.take(blocks, mode="clip")
        near = np.searchsorted(self._sorted, blocks).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[near] == blocks, self._starts[near], np.int32(NO_SLOT))


def sorted_unique(values: np.ndarray) -> np.ndarray:
    """Sorts values without repeats. `np.unique` hashes integers, which is 20 times slower than sorting int32.

    Args:
        values: (n,) numbers.

    Returns:
        (m,) ascending, without repeats.
    """
    return _drop_repeats(np.sort(values))


def _drop_repeats(ordered: np.ndarray) -> np.ndarray:
    fresh = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    return np.compress(fresh, ordered)
