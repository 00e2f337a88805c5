"""Finds exact nearest rows in a bank that passes by in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adframe.ops.neighbours import RoundedBank, RoundedQueries, largest_entries, nearest


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of Q queries.

    Attributes:
        distance: (Q, n), ascending.
        index: (Q, n) int64 in the bank.
    """

    distance: Tensor
    index: Tensor


def merge_nearest(parts: Sequence[Nearest], *, count: int) -> Nearest:
    """Merges what was found in parts of a bank.

    Args:
        parts: results for the same queries; a distance is infinite where a part has too few rows.
        count: number of neighbours per query.

    Returns:
        The nearest of all, of equal distances those that come first in the bank.

    Example:
        >>> near = Nearest(torch.tensor([[1.0]]), torch.tensor([[7]]))
        >>> merge_nearest([near, Nearest(torch.tensor([[1.0]]), torch.tensor([[3]]))], count=1).index.tolist()
        [[3]]
    """
    distance = torch.cat([part.distance for part in parts], dim=1)
    index = torch.cat([part.index for part in parts], dim=1)
    order = index.argsort(dim=1, stable=True)
    distance, index = distance.gather(1, order), index.gather(1, order)
    order = distance.argsort(dim=1, stable=True)[:, :count]
    return Nearest(distance.gather(1, order), index.gather(1, order))


class BlockSearch:
    """Keeps the nearest rows of queries so far, while blocks of a bank are added.

    Each block is searched as `nearest` searches a whole bank, and rows of different blocks are compared by
    their float32 distances, so that the result is that of one search. Where the processor multiplies
    bfloat16, the product of rounded rows tells which queries can have a nearer row in a block: few, once
    some blocks were searched. The others are done with it.

    Args:
        queries: (Q, D).
        count: number of neighbours per query.
        limit_mb: largest memory in MiB for a distance matrix.

    Example:
        >>> search = BlockSearch(torch.zeros(1, 2), count=1)
        >>> for start, block in ((0, torch.ones(4, 2)), (4, torch.eye(2))):
        ...     search.add(block, None, start=start)
        >>> search.distance.tolist(), search.index.tolist()
        ([[1.0]], [[4]])
    """

    def __init__(self, queries: Tensor, *, count: int, limit_mb: int = 256) -> None:
        self.queries, self.count, self._limit_mb = queries, count, limit_mb
        self.distance = queries.new_full((len(queries), count), torch.inf)  # (Q, count), ascending
        self.index = torch.zeros(len(queries), count, dtype=torch.int64, device=queries.device)
        self._rounded: RoundedQueries | None = None

    def add(self, block: Tensor, prepared: RoundedBank | None, *, start: int) -> None:
        """Searches a block.

        Args:
            block: (n, D) rows.
            prepared: result of `round_bank`, which several searches can share; None searches in float32.
            start: index of its first row in the bank; blocks come in ascending order.
        """
        near = self._can_be_nearer(prepared)
        if not len(near):
            return
        distance, index = nearest(
            self.queries[near],
            block,
            count=min(self.count, len(block)),
            prepared=prepared,
            limit_mb=self._limit_mb,
        )
        both = torch.cat([self.distance[near], distance], dim=1)
        # Stable, so that of equal distances the row comes first that comes first in the bank.
        order = both.argsort(dim=1, stable=True)[:, : self.count]
        self.distance[near] = both.gather(1, order)
        self.index[near] = torch.cat([self.index[near], index + start], dim=1).gather(1, order)

    def _can_be_nearer(self, prepared: RoundedBank | None) -> Tensor:
        """Returns the positions of queries that can have a nearer row in a block."""
        every = torch.arange(len(self.queries), device=self.queries.device)
        reach = self.distance[:, -1]
        if prepared is None or not reach.isfinite().any():
            return every
        if self._rounded is None:
            self._rounded = RoundedQueries.of(self.queries)
        product = self._rounded.matrix @ prepared.matrix.T  # (Q, n)
        below = largest_entries(product, 1) < self._rounded.bound(reach, prepared)
        return every[~below]  # NaN is not below, and is left to `nearest`
