"""Greedy k-centre selection: the patches that cover all others best (Sener and Savarese, ICLR 2018).

Each pick is the row farthest from all rows picked so far. Done naively that reads all rows once
a pick. Here picks come in rounds, and are the same: `bound[i]` is at least the squared distance of
row i to the centres, and the distance itself once the row has been brought up to date. Take the
`ROUND` rows with the largest bounds and bring them up to date; among those that are still above
every other row's bound the next picks must lie, and their mutual distances are one small matrix.
Rounds work on the hot rows, those with the largest bounds, which are held in memory; when a row
outside could be the farthest, the hot rows are chosen again, after bounds were lowered by what a
product of rounded rows says.

Nothing but the end depends on how many rows are wanted: rounds are always finished, and a longer
selection begins with a shorter one. So what is known after a round can be kept and gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.ops.coreset_cache import INDEX, Traversal
from adframe.ops.pruned_distances import CLOSE, EQUAL, Rows, at_most, lowered, squared_distances

ROUND = 1024  # rows that compete in a round: their Gram matrix is 4 MB
HOT_BYTES = 64 << 20  # of rows held in memory, rounded ones included: enough that choosing them again is rare
BATCH = 2048  # rows, or centres, of one product
FEWEST = 64  # centres of one product
READ = 4 << 20  # bytes of rows read at once: cache holds them
FEW = 512  # new centres that a row is compared with in less time than it takes to read the row

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
    constants = (seed, ROUND, HOT_BYTES, FEW, CLOSE, EQUAL, Rows.empty(0, rows.width).rounded)
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
        self.centres = Rows.empty(most, rows.width)
        self.picked = 0
        self.all_bounds = torch.empty(len(rows))  # squared; of hot rows out of date until the next `_warm`
        self.all_met = torch.ones(len(rows), dtype=torch.int64)  # centres that a bound has been compared with
        self.hot = torch.empty(0, dtype=torch.int64)  # indices of the hot rows, ascending
        self._most_hot = max(ROUND, HOT_BYTES // (4 * rows.width + 2 * self.centres.short.shape[1]))
        # The hot rows themselves, in memory taken once; then their bounds.
        self.block = Rows.empty(min(self._most_hot, len(rows)), rows.width)
        self.bound, self.met = torch.empty(0), torch.empty(0, dtype=torch.int64)
        self.cold = 0.0  # no row that is not hot lies farther than this
        self.tight = 1  # centres that `_tighten` has held the rows against

    def add_first(self, row: int) -> None:
        self._add(torch.tensor([row]), self.rows.read(row, row + 1))
        step = max(1, READ // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            distances = squared_distances(self.rows.read(start, start + step), self.centres.exact[:1])
            self.all_bounds[start : start + step] = distances[:, 0]
        # A row that is not a number, or too long for float32, is never picked.
        self.all_bounds[~self.all_bounds.isfinite()] = 0.0
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
            "tight": torch.tensor(self.tight),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes in what `state` gave; copies, as what is kept on disk must not change."""
        self._add(state[INDEX], self.rows.gather(state[INDEX]))
        self.all_bounds, self.all_met = state["all_bounds"].clone(), state["all_met"].long()
        self.hot, self.cold = state["hot"].long(), float(state["cold"])
        self.tight = int(state["tight"])
        self._read_hot()
        self.bound, self.met = state["bound"].clone(), state["met"].long()

    def round(self) -> bool:
        """Picks what can be picked now, or warms; False where all rows coincide with centres."""
        floor = _at_rank(self.bound, ROUND)
        stale = torch.nonzero((self.bound >= floor) & (self.bound > 0) & (self.met < self.picked)).flatten()
        self._update(stale[torch.argsort(self.met[stale])])
        highest = float(self.bound.max())
        if highest < self.cold or highest <= 0:
            return self._warm()
        # Bounds only shrink, so no row outside the contest lies farther than `outside`.
        outside = max(floor, self.cold)
        contest = torch.nonzero((self.bound >= outside) & (self.bound > 0)).flatten()
        if len(contest):
            top = _largest(self.bound[contest], ROUND)  # more only where several are at the floor
            self._contest(contest[top.indices], outside=outside)
        return True

    def _warm(self) -> bool:
        """Takes the rows with the largest bounds into memory; False where every bound is zero."""
        self.all_bounds[self.hot], self.all_met[self.hot] = self.bound, self.met
        size = self._most_hot
        few = self.picked - self.tight <= FEW
        self._tighten(above=_at_rank(self.all_bounds, 4 * size if few else size * 3 // 2))
        top = _largest(self.all_bounds, size + 1)
        self.hot = top.indices[:size].sort().values
        self.cold = float(top.values[size]) if len(top.values) > size else 0.0
        self._read_hot()
        self.bound, self.met = self.all_bounds[self.hot], self.all_met[self.hot]
        return bool(top.values[0] > 0)

    def _read_hot(self) -> None:
        step = max(1, READ // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            low, high = torch.searchsorted(self.hot, torch.tensor([start, start + step])).tolist()
            if low < high:
                self.block.put(low, self.rows.read(start, start + step)[self.hot[low:high] - start])

    def _tighten(self, *, above: float) -> None:
        """Lowers bounds from `above` up, wherever the rows lie; they stay bounds, and rows out of date.

        So no bound depends on it in the end. In float32 it would cost more than it saves.
        """
        if not self.centres.rounded or self.tight == self.picked:
            return
        step = max(1, READ // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            bound = self.all_bounds[start : start + step]  # a view
            wanted = torch.nonzero((bound >= above) & (bound > 0)).flatten()
            if len(wanted):
                block = Rows.of(self.rows.read(start, start + step)[wanted])
                for centres in self._since(self.tight):
                    bound[wanted] = torch.fmin(bound[wanted], at_most(block, centres))
        self.tight = self.picked

    def _contest(self, contest: Tensor, *, outside: float) -> None:
        block = self.block.exact[contest]  # (m, D)
        mutual = squared_distances(block, block).numpy()  # (m, m)
        bound = self.bound[contest].numpy()
        chosen: list[int] = []
        while True:
            best = int(bound.argmax())
            if bound[best] < outside or bound[best] <= 0:
                break
            chosen.append(best)
            np.fmin(bound, mutual[best], out=bound)
            bound[best] = 0.0
        picks = torch.tensor(chosen, dtype=torch.int64)
        self._add(self.hot[contest[picks]], block[picks])
        self.bound[contest] = torch.from_numpy(bound)
        self.met[contest] = self.picked

    def _add(self, index: Tensor, block: Tensor) -> None:
        self.index[self.picked : self.picked + len(index)] = index
        self.centres.put(self.picked, block)
        self.picked += len(index)

    def _update(self, stale: Tensor) -> None:
        """Holds hot rows, in ascending order of `met`, against the centres they have not met."""
        for first in range(0, len(stale), BATCH):
            part = stale[first : first + BATCH]
            for centres in self._since(int(self.met[part[0]])):
                self.bound[part] = lowered(self.bound[part], self.block, part, centres)
            self.met[part] = self.picked

    def _since(self, met: int) -> Iterator[Rows]:
        """The centres from `met` on, and a few others: so that products come in few shapes."""
        step = FEWEST if self.picked - met <= BATCH // 4 else BATCH // 4
        for low in range(met, self.picked, BATCH):
            size = min(BATCH, -(-(self.picked - low) // step) * step)
            start = max(0, min(low, self.picked - size))
            yield self.centres.slice(start, min(start + size, self.picked))


def _at_rank(values: Tensor, rank: int) -> float:
    """The value of that rank from above; the smallest of fewer."""
    place = max(0, len(values) - rank)
    return float(np.partition(values.numpy(), place)[place])


def _largest(values: Tensor, count: int) -> torch.return_types.topk:
    return torch.topk(values, min(count, len(values)), sorted=True)
