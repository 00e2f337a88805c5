"""Draws a uniform sample from a stream of unknown length, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Reservoir:
    """Keeps `count` of all rows that were offered, each with the same probability.

    Every row draws a number, and the rows with the lowest numbers are kept (bottom-k sampling; Cohen and
    Kaplan, PODC 2007). The number depends only on the seed, the stream's number and the row's position, so
    neither the order of the streams nor their batching changes the sample.

    Args:
        count: number of rows to keep.
        seed: seed of the draws.

    Example:
        >>> reservoir = Reservoir(count=2, seed=0)
        >>> for stream in range(5):
        ...     reservoir.offer(torch.rand(4, 3), stream=stream, chosen=np.ones(4, bool))
        >>> rows, places = reservoir.kept()
        >>> rows.shape, places.shape
        (torch.Size([2, 3]), (2, 2))
    """

    def __init__(self, *, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._keys = np.empty(0)
        self._rows: Tensor | None = None  # (n, D) float32
        self._places = np.empty((0, 2), np.int64)  # (stream, row)
        self._limit = 1.0

    def offer(self, rows: Tensor, *, stream: int, chosen: np.ndarray) -> None:
        """Offers rows of a stream to the sample.

        Args:
            rows: (N, D), all rows of the stream.
            stream: number of the stream, >= 0 and unique.
            chosen: (N,) bool, True for rows that may be sampled.
        """
        keys = np.random.default_rng([self.seed, stream]).random(len(rows))
        taken = np.flatnonzero(chosen & (keys < self._limit))
        if not len(taken):
            return
        some = rows[torch.from_numpy(taken).to(rows.device)].float().cpu()
        places = np.stack([np.full(len(taken), stream), taken], axis=1)
        self._rows = some if self._rows is None else torch.cat([self._rows, some])
        self._keys = np.concatenate([self._keys, keys[taken]])
        self._places = np.concatenate([self._places, places])
        if len(self._keys) > 2 * self.count:
            self._drop_excess()

    def kept(self) -> tuple[Tensor, np.ndarray]:
        """Returns the sample: (n, D) float32 rows, n <= count, and their (n, 2) streams and positions, in
        this order.
        """
        self._drop_excess()
        order = np.lexsort((self._places[:, 1], self._places[:, 0]))
        rows = torch.empty(0, 0) if self._rows is None else self._rows[torch.from_numpy(order)]
        return rows, self._places[order]

    def _drop_excess(self) -> None:
        if len(self._keys) <= self.count or self._rows is None:
            return
        low = np.argpartition(self._keys, self.count - 1)[: self.count]
        self._rows = self._rows[torch.from_numpy(low)]
        self._keys, self._places = self._keys[low], self._places[low]
        self._limit = float(self._keys.max())
