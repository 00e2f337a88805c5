"""Greedy k-centre selection: the patches that cover all others best (Sener and Savarese, ICLR 2018).

Each pick is the row farthest from all rows picked so far. Done naively that reads all rows once
a pick. Here picks come in rounds, and are the same: `upper[i]` is the squared distance of row i to
the centres it has been held against so far, so it can only be too large. Take the `ROUND` rows
with the largest upper bounds and bring them up to date; among those that are still above every
other row's bound the next picks must lie, and their mutual distances are one small matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from adframe.ops.spool import BLOCK, Spool

ROUND = 2048  # rows that compete in a round: their Gram matrix is 16 MB

Progress = Callable[[int, int], None]


def greedy_k_centre(rows: Spool, *, count: int, seed: int, progress: Progress | None = None) -> Tensor:
    """Picks `count` rows, each the farthest from those before it; the first is drawn by `seed`.

    Distances are Euclidean in float32. Picks are those of the plain algorithm up to exact ties and
    rounding. Memory is `ROUND` rows, the picked rows and 12 bytes a row, whatever the width.

    Args:
        rows: (N, D), centred well enough that squares do not cancel.
        count: how many to pick, at most N.
        seed: draws the first pick.
        progress: told (done, total) after every round.

    Returns:
        (<= count,) int64 indices in the order picked. Fewer than `count` where every other row
        equals a picked one: a duplicate adds nothing to a memory bank.
    """
    if not 0 < count <= len(rows):
        raise ValueError(f"cannot pick {count} of {len(rows)} rows")
    search = _Search(rows, count=count)
    search.add_first(int(np.random.default_rng(seed).integers(len(rows))))
    while search.picked < count and search.round():
        if progress is not None:
            progress(search.picked, count)
    return search.index[: search.picked]


class _Search:
    """State of one selection: bounds a row, and the centres so far."""

    def __init__(self, rows: Spool, *, count: int) -> None:
        self.rows = rows
        self.upper = torch.full((len(rows),), torch.inf)  # squared distance to the centres seen
        self.seen = torch.zeros(len(rows), dtype=torch.int64)  # how many centres that were
        self.index = torch.empty(count, dtype=torch.int64)
        self.centres = torch.empty(count, rows.width)
        self.picked = 0

    def add_first(self, row: int) -> None:
        self._add(torch.tensor([row]), self.rows.read(row, row + 1))
        for start, block in self.rows.blocks():
            self._update(torch.arange(start, start + len(block)), block)

    def round(self) -> bool:
        """Picks at least one row; False where all rows coincide with centres."""
        size = min(ROUND, len(self.upper))
        floor = torch.topk(self.upper, size, sorted=True).values[-1]
        stale = torch.nonzero(self.upper >= floor).flatten()
        stale = stale[self.seen[stale] < self.picked]
        stale = stale[torch.argsort(self.seen[stale])]
        for start in range(0, len(stale), BLOCK):
            part = stale[start : start + BLOCK]
            self._update(part, self.rows.gather(part))
        top = torch.topk(self.upper, min(size + 1, len(self.upper)), sorted=True)
        if top.values[0] <= 0:
            return False
        # All rows above the highest bound outside the contest are up to date, or below `floor`.
        outside = max(float(floor), float(top.values[size]) if len(top.values) > size else 0.0)
        contest = top.indices[:size]
        contest = contest[self.upper[contest] >= outside] if outside > 0 else contest
        if len(contest):
            self._contest(contest, outside=outside)
        return True

    def _contest(self, contest: Tensor, *, outside: float) -> None:
        block = self.rows.gather(contest)  # (m, D)
        mutual = squared_distances(block, block).numpy()  # (m, m)
        bound = self.upper[contest].numpy()
        chosen: list[int] = []
        while self.picked + len(chosen) < len(self.index):
            best = int(bound.argmax())
            if bound[best] < outside or bound[best] <= 0:
                break
            chosen.append(best)
            np.minimum(bound, mutual[best], out=bound)
            bound[best] = 0.0
        picks = torch.tensor(chosen, dtype=torch.int64)
        self._add(contest[picks], block[picks])
        self.upper[contest] = torch.from_numpy(bound)
        self.seen[contest] = self.picked

    def _add(self, index: Tensor, block: Tensor) -> None:
        stop = self.picked + len(index)
        self.index[self.picked : stop] = index
        self.centres[self.picked : stop] = block
        self.picked = stop

    def _update(self, index: Tensor, block: Tensor) -> None:
        """Holds rows against every centre they have not met; `index` ascends in `seen`."""
        start = int(self.seen[index].min())
        for centres in torch.split(self.centres[start : self.picked], ROUND):
            nearest = squared_distances(block, centres).min(dim=1).values
            self.upper[index] = torch.minimum(self.upper[index], nearest)
        self.seen[index] = self.picked


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """(n, D) and (m, D) to (n, m) squared Euclidean distances by one matrix product, never negative."""
    norms = left.square().sum(1, keepdim=True) + right.square().sum(1)  # (n, m)
    return torch.addmm(norms, left, right.T, alpha=-2).clamp_(min=0)
