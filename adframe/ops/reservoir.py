"""A fair sample of a stream whose length nobody knows, in memory that does not grow with it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Reservoir:
    """Keeps `count` rows of all that were offered, each with the same chance.

    Every row draws a number, and the lowest stay (bottom-k sampling; Cohen and Kaplan, PODC 2007). The
    number depends on the seed, the stream's name and the row's place alone, so neither the order of the
    streams nor how they were batched changes what is kept.

    Args:
        count: rows to keep.
        seed: of the draws.
    """

    def __init__(self, *, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._keys = np.empty(0)
        self._rows: Tensor | None = None  # (n, D) float32
        self._places = np.empty((0, 2), np.int64)  # (stream, row)
        self._limit = 1.0

    def offer(self, rows: Tensor, *, stream: int, chosen: np.ndarray) -> None:
        """Takes the chosen rows of a stream into account.

        Args:
            rows: (N, D), all of the stream.
            stream: its name, a whole number >= 0; no two are alike.
            chosen: (N,) bool.
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
            self._thin()

    def kept(self) -> tuple[Tensor, np.ndarray]:
        """(n, D) float32 rows, n <= count, and their (n, 2) streams and rows, by which they are ordered."""
        self._thin()
        order = np.lexsort((self._places[:, 1], self._places[:, 0]))
        rows = torch.empty(0, 0) if self._rows is None else self._rows[torch.from_numpy(order)]
        return rows, self._places[order]

    def _thin(self) -> None:
        if len(self._keys) <= self.count or self._rows is None:
            return
        low = np.argpartition(self._keys, self.count - 1)[: self.count]
        self._rows = self._rows[torch.from_numpy(low)]
        self._keys, self._places = self._keys[low], self._places[low]
        self._limit = float(self._keys.max())
