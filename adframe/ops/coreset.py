"""Greedy k-centre selection: the patches that cover all others best (Sener and Savarese, ICLR 2018).

Each pick is the row farthest from all rows picked so far. Done naively that reads all rows once
a pick. Here picks come in rounds, and are the same: `bound[i]` is the squared distance of row i to
the centres it has been held against so far, so it can only be too large. Take the `ROUND` rows
with the largest bounds and bring them up to date; among those that are still above every other
row's bound the next picks must lie, and their mutual distances are one small matrix. Rounds work
on the hot rows, those with the largest bounds, which are held in memory; when a row outside could
be the farthest, the hot rows are chosen anew.

Nothing but the end depends on how many rows are wanted: rounds are always finished, and a longer
selection begins with a shorter one. So what is known after a round can be kept and gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from adframe.ops.spool import Spool
from adframe.ops.store import Store
from adframe.ops.traversal import INDEX, Traversal

ROUND = 2048  # rows that compete in a round: their Gram matrix is 16 MB
CLOSE = 1e-4  # of the norms: a squared distance below it has lost too many digits in float32
EQUAL = 1e-13  # of the norms: what float64 cannot tell from no distance
HOT_BYTES = 64 << 20  # of rows held in memory: enough that choosing them anew is rare

Progress = Callable[[int, int], None]


def greedy_k_centre(
    rows: Spool, *, count: int, seed: int, progress: Progress | None = None, store: Store | None = None
) -> Tensor:
    """Picks `count` rows, each the farthest from those before it; the first is drawn by `seed`.

    Distances are Euclidean in float32. Picks are those of the plain algorithm up to exact ties and
    rounding. Memory is the picked rows, about 100 MB for the hot ones, and 12 bytes a row.

    Args:
        rows: (N, D), centred well enough that squares do not cancel.
        count: how many to pick, at most N.
        seed: draws the first pick.
        progress: told (done, total) after every round.
        store: keeps the selection: the same rows and seed with a smaller `count` then take its
            beginning, with a larger one go on where it ended. Picks are the same as without.

    Returns:
        (<= count,) int64 indices in the order picked. Fewer than `count` where every other row
        equals a picked one: a duplicate adds nothing to a memory bank.
    """
    if not 0 < count <= len(rows):
        raise ValueError(f"cannot pick {count} of {len(rows)} rows")
    constants = (seed, ROUND, HOT_BYTES, CLOSE, EQUAL)
    kept = None if store is None else Traversal(store, rows=rows, constants=constants)
    state = None if kept is None else kept.read()
    if state is not None and len(state[INDEX]) >= count:
        return state[INDEX][:count].clone()  # what was read is a file
    search = _Search(rows, count=count)
    if state is None:
        search.add_first(int(np.random.default_rng(seed).integers(len(rows))))
    else:
        search.restore(state)
    while search.picked < count and search.round():
        if progress is not None:
            progress(min(search.picked, count), count)
    if kept is not None:
        kept.write(search.state())
    return search.index[: min(search.picked, count)]


class _Search:
    """State of one selection: bounds a row, the centres so far, and the hot rows."""

    def __init__(self, rows: Spool, *, count: int) -> None:
        self.rows = rows
        most = min(count + ROUND, len(rows))  # the last round may pick more than are wanted
        self.index = torch.empty(most, dtype=torch.int64)
        self.centres = torch.empty(most, rows.width)
        self.picked = 0
        self.all_bounds = torch.empty(len(rows))  # squared; of hot rows out of date until the next `_warm`
        self.all_met = torch.ones(len(rows), dtype=torch.int64)  # centres that a bound has been held against
        self.hot = torch.empty(0, dtype=torch.int64)  # indices of the hot rows
        self.block = torch.empty(0, rows.width)  # the hot rows themselves, then their bounds
        self.bound, self.met = torch.empty(0), torch.empty(0, dtype=torch.int64)
        self.cold = 0.0  # no row that is not hot lies farther than this

    def add_first(self, row: int) -> None:
        self._add(torch.tensor([row]), self.rows.read(row, row + 1))
        for start, block in self.rows.blocks():
            distances = squared_distances(block, self.centres[:1])
            self.all_bounds[start : start + len(block)] = distances[:, 0]
        self.all_bounds[row] = 0.0
        self._warm()

    def state(self) -> dict[str, Tensor]:
        """All that the next round depends on, but for the rows."""
        return {
            INDEX: self.index[: self.picked],
            "all_bounds": self.all_bounds,
            "all_met": self.all_met.int(),
            "hot": self.hot.int(),
            "bound": self.bound,
            "met": self.met.int(),
            "cold": torch.tensor(self.cold, dtype=torch.float64),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes in what `state` gave; copies, as what is kept on disk must not change."""
        self._add(state[INDEX], self.rows.gather(state[INDEX]))
        self.all_bounds, self.all_met = state["all_bounds"].clone(), state["all_met"].long()
        self.hot, self.cold = state["hot"].long(), float(state["cold"])
        self.block = self.rows.gather(self.hot)
        self.bound, self.met = state["bound"].clone(), state["met"].long()

    def round(self) -> bool:
        """Picks what can be picked now, or warms; False where all rows coincide with centres."""
        floor = float(_largest(self.bound, ROUND).values[-1])
        stale = torch.nonzero((self.bound >= floor) & (self.met < self.picked)).flatten()
        self._update(stale[torch.argsort(self.met[stale])])
        top = _largest(self.bound, ROUND)
        highest = float(top.values[0])
        if highest < self.cold or highest <= 0:
            return self._warm()
        # Bounds only shrink, so no row outside the contest lies farther than `outside`.
        outside = max(floor, self.cold)
        contest = top.indices[top.values >= outside]
        if len(contest):
            self._contest(contest, outside=outside)
        return True

    def _warm(self) -> bool:
        """Takes the rows with the largest bounds into memory; False where every bound is zero."""
        self.all_bounds[self.hot], self.all_met[self.hot] = self.bound, self.met
        size = max(ROUND, HOT_BYTES // (4 * self.rows.width))
        top = _largest(self.all_bounds, size + 1)
        self.hot = top.indices[:size]
        self.cold = float(top.values[size]) if len(top.values) > size else 0.0
        self.block = self.rows.gather(self.hot)
        self.bound, self.met = self.all_bounds[self.hot], self.all_met[self.hot]
        return bool(top.values[0] > 0)

    def _contest(self, contest: Tensor, *, outside: float) -> None:
        block = self.block[contest]  # (m, D)
        mutual = squared_distances(block, block).numpy()  # (m, m)
        bound = self.bound[contest].numpy()
        chosen: list[int] = []
        while True:
            best = int(bound.argmax())
            if bound[best] < outside or bound[best] <= 0:
                break
            chosen.append(best)
            np.minimum(bound, mutual[best], out=bound)
            bound[best] = 0.0
        picks = torch.tensor(chosen, dtype=torch.int64)
        self._add(self.hot[contest[picks]], block[picks])
        self.bound[contest] = torch.from_numpy(bound)
        self.met[contest] = self.picked

    def _add(self, index: Tensor, block: Tensor) -> None:
        stop = self.picked + len(index)
        self.index[self.picked : stop] = index
        self.centres[self.picked : stop] = block
        self.picked = stop

    def _update(self, stale: Tensor) -> None:
        """Holds hot rows, in ascending order of `met`, against the centres they have not met."""
        for start in range(0, len(stale), ROUND):
            part = stale[start : start + ROUND]
            pending = self.centres[int(self.met[part[0]]) : self.picked]
            for centres in torch.split(pending, ROUND):
                nearest = squared_distances(self.block[part], centres).min(dim=1).values
                self.bound[part] = torch.minimum(self.bound[part], nearest)
            self.met[part] = self.picked


def _largest(values: Tensor, count: int) -> torch.return_types.topk:
    return torch.topk(values, min(count, len(values)), sorted=True)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """(n, D) and (m, D) to (n, m) squared Euclidean distances by matrix products, never negative.

    Rows that lie close together compared with their norms, as in a tight cluster, are held against
    each other again in float64; equal rows are at distance 0 exactly.
    """
    distances = _by_product(left, right)[0].clamp_(min=0)  # (n, m)
    if left is right:
        distances.fill_diagonal_(torch.inf)  # a row's distance to itself needs no second look
    again = torch.nonzero(distances.amin(dim=1) < CLOSE * left.square().sum(1)).flatten()
    if len(again):
        precise = right.double()
        for part in torch.split(again, 1024):  # 1024 x 2048 float64 are 16 MB
            exact, norms = _by_product(left[part].double(), precise)
            distances[part] = exact.masked_fill_(exact <= EQUAL * norms, 0.0).float()
    return distances.fill_diagonal_(0.0) if left is right else distances


def _by_product(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    norms = left.square().sum(1, keepdim=True) + right.square().sum(1)  # (n, m)
    return torch.addmm(norms, left, right.T, alpha=-2), norms
