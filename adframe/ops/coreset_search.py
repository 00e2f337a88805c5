"""The rounds of the greedy selection, over all rows or those of one process (see `ops.coreset`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.processes import Processes
from adframe.ops.coreset_cache import PICKS
from adframe.ops.pruned_distances import RoundedRows, lower_distances, squared_distances, upper_bounds

# Rows that compete in a round: their Gram matrix takes 4 MB.
ROUND = 1024
# Number of hot rows: enough to rarely choose them again. More of them would be brought up to date in vain.
HOT_ROWS = 1 << 15
# Largest memory of hot rows, rounded copies included.
HOT_BYTES = 512 << 20
# Largest number of rows, or centres, per product.
PRODUCT_ROWS = 2048
# Smallest number of centres per product.
MIN_CENTRES = 64
# Bytes of rows read at once: they fit in the cache.
READ_BYTES = 4 << 20
# Comparing a row with this many new centres takes less time than reading the row.
MAX_CHEAP_CENTRES = 512

CoresetProgress = Callable[[int, int], None]


class Search:
    """The state of one selection: bounds of rows, the centres so far, and the hot rows.

    Args:
        rows: the rows of this process.
        count: number of rows to pick, of all rows.
        processes: which divide the rows; each has a `Search` and calls the same methods.
        total: number of all rows; None where this process has all of them.
        start: index of this process's first row among all rows.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.tensor([[0.0], [0.1], [5.0]]))
        >>> search = Search(rows, count=2)
        >>> search.add_first(0, rows.read(0, 1))
        >>> search.run(None).tolist()
        [0, 2]
    """

    def __init__(
        self,
        rows: Spool,
        *,
        count: int,
        processes: Processes | None = None,
        total: int | None = None,
        start: int = 0,
    ) -> None:
        self.rows, self.count, self.start = rows, count, start
        self.processes = processes or Processes()
        # The last round may pick more than wanted.
        most = min(count + ROUND, len(rows) if total is None else total)
        self.index = torch.empty(most, dtype=torch.int64)
        self.centres = RoundedRows.empty(most, rows.width)
        self.picked = 0
        # squared; outdated for hot rows until the next `_reload_hot`
        self.all_bounds = torch.empty(len(rows))
        # number of centres that each bound accounts for
        self.all_met = torch.ones(len(rows), dtype=torch.int64)
        # Indices of the hot rows, ascending.
        self.hot = torch.empty(0, dtype=torch.int64)
        bytes_of_row = 4 * rows.width + 2 * self.centres.short.shape[1]
        self._most_hot = max(ROUND, min(HOT_ROWS, HOT_BYTES // bytes_of_row))
        # The hot rows themselves, in memory that is allocated once; then their bounds.
        self.block = RoundedRows.empty(min(self._most_hot, len(rows)), rows.width)
        self.bound, self.met = torch.empty(0), torch.empty(0, dtype=torch.int64)
        # Largest bound of rows that are not hot.
        self.cold = 0.0
        # Number of centres that `_tighten` has used.
        self.tight = 1

    def run(self, progress: CoresetProgress | None) -> Tensor:
        """Picks rows, after `add_first` or `restore`.

        Args:
            progress: called with (done, total) after every round; None reports nothing.

        Returns:
            (<= count,) int64 indices among all rows, in the order of picking.
        """
        while self.picked < self.count and self.round():
            if progress is not None:
                progress(min(self.picked, self.count), self.count)
        return self.index[: min(self.picked, self.count)]

    def add_first(self, row: int, block: Tensor) -> None:
        """Takes the first centre and measures the distances of all own rows from it.

        Args:
            row: its index among all rows.
            block: (1, D), the row itself.
        """
        self._add(torch.tensor([row]), block)
        step = max(1, READ_BYTES // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            distances = squared_distances(self.rows.read(start, start + step), self.centres.exact[:1])
            self.all_bounds[start : start + step] = distances[:, 0]
        # A row with NaN, or too long for float32, is never picked.
        self.all_bounds[~self.all_bounds.isfinite()] = 0.0
        if 0 <= row - self.start < len(self.rows):
            self.all_bounds[row - self.start] = 0.0
        self._reload_hot()

    def state(self) -> dict[str, Tensor]:
        """Returns everything that the next round depends on, except the rows."""
        return {
            PICKS: self.index[: self.picked],
            "all_bounds": self.all_bounds,
            "all_met": self.all_met.int(),
            "hot": self.hot.int(),
            "bound": self.bound,
            "met": self.met.int(),
            "cold": torch.tensor(self.cold, dtype=torch.float64),
            "tight": torch.tensor(self.tight),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restores the result of `state`, with copies, because the stored file must not change."""
        self._add(state[PICKS], self.rows.gather(state[PICKS]))
        self.all_bounds, self.all_met = state["all_bounds"].clone(), state["all_met"].long()
        self.hot, self.cold = state["hot"].long(), float(state["cold"])
        self.tight = int(state["tight"])
        self._read_hot()
        self.bound, self.met = state["bound"].clone(), state["met"].long()

    def round(self) -> bool:
        """Picks what can be picked now, or reloads the hot rows; False where all rows coincide with
        centres.
        """
        floor = _value_at_rank(self.bound, ROUND)
        stale = torch.nonzero((self.bound >= floor) & (self.bound > 0) & (self.met < self.picked)).flatten()
        self._update(stale[torch.argsort(self.met[stale])])
        highest, floor, cold = self.processes.largest([float(self.bound.max()), floor, self.cold])
        if highest < cold or highest <= 0:
            more = self._reload_hot() if self.cold >= highest else highest > 0
            return any(self.processes.largest([more]))
        # Bounds only shrink, so no row outside the contest lies farther than `outside`.
        outside = max(floor, cold)
        if highest < outside:  # the floor is from before the update
            return True
        contest = torch.nonzero((self.bound >= outside) & (self.bound > 0)).flatten()
        # More only where several rows tie at the floor.
        self._pick_from(contest[_top_values(self.bound[contest], ROUND).indices], outside=outside)
        return True

    def _reload_hot(self) -> bool:
        """Loads the rows with the largest bounds into memory; False where every bound is zero."""
        self.all_bounds[self.hot], self.all_met[self.hot] = self.bound, self.met
        size = self._most_hot
        few = self.picked - self.tight <= MAX_CHEAP_CENTRES
        self._tighten(above=_value_at_rank(self.all_bounds, 4 * size if few else size * 3 // 2))
        top = _top_values(self.all_bounds, size + 1)
        self.hot = top.indices[:size].sort().values
        self.cold = float(top.values[size]) if len(top.values) > size else 0.0
        self._read_hot()
        self.bound, self.met = self.all_bounds[self.hot], self.all_met[self.hot]
        return bool(top.values[0] > 0)

    def _read_hot(self) -> None:
        step = max(1, READ_BYTES // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            low, high = torch.searchsorted(self.hot, torch.tensor([start, start + step])).tolist()
            if low < high:
                self.block.put(low, self.rows.read(start, start + step)[self.hot[low:high] - start])

    def _tighten(self, *, above: float) -> None:
        """Lowers bounds of at least `above` for all rows; they remain bounds, and rows remain outdated.

        So the result does not depend on it. In float32 it would cost more than it saves.
        """
        if not self.centres.rounded or self.tight == self.picked:
            return
        step = max(1, READ_BYTES // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            bound = self.all_bounds[start : start + step]  # a view
            wanted = torch.nonzero((bound >= above) & (bound > 0)).flatten()
            if len(wanted):
                block = RoundedRows.of(self.rows.read(start, start + step)[wanted])
                for centres in self._since(self.tight):
                    bound[wanted] = torch.fmin(bound[wanted], upper_bounds(block, centres))
        self.tight = self.picked

    def _pick_from(self, contest: Tensor, *, outside: float) -> None:
        """Picks among the hot rows at some positions, and those of the other processes."""
        own = Candidates(self.hot[contest] + self.start, self.bound[contest], self.block.exact[contest])
        found = self.processes.gather_in_first(own)
        # One process decides, because others can round in another way. All know the same afterwards.
        picks = self.processes.of_first(pick(found, outside=outside) if found else None)
        assert picks is not None  # the first process has picked
        index, block, bounds = picks
        self._add(index, block)
        bound = bounds[self.processes.rank]
        kept = torch.nonzero(bound >= 0).flatten()
        self.bound[contest[kept]] = bound[kept]
        self.met[contest[kept]] = self.picked

    def _add(self, index: Tensor, block: Tensor) -> None:
        self.index[self.picked : self.picked + len(index)] = index
        self.centres.put(self.picked, block)
        self.picked += len(index)

    def _update(self, stale: Tensor) -> None:
        """Compares hot rows, in ascending order of `met`, with the centres they have not met."""
        for first in range(0, len(stale), PRODUCT_ROWS):
            part = stale[first : first + PRODUCT_ROWS]
            for centres in self._since(int(self.met[part[0]])):
                self.bound[part] = lower_distances(self.bound[part], self.block, part, centres)
            self.met[part] = self.picked

    def _since(self, met: int) -> Iterator[RoundedRows]:
        """Yields the centres from `met` on, with a few others, so that products have few shapes."""
        step = MIN_CENTRES if self.picked - met <= PRODUCT_ROWS // 4 else PRODUCT_ROWS // 4
        for low in range(met, self.picked, PRODUCT_ROWS):
            size = min(PRODUCT_ROWS, -(-(self.picked - low) // step) * step)
            start = max(0, min(low, self.picked - size))
            yield self.centres.slice(start, min(start + size, self.picked))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of one process among which the next picks lie.

    Attributes:
        index: (m,) int64 among all rows.
        bound: (m,) squared distances to the centres so far.
        rows: (m, D).
    """

    index: Tensor
    bound: Tensor
    rows: Tensor


def pick(found: Sequence[Candidates], *, outside: float) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Picks the farthest rows, one after the other, while no other row can lie farther.

    Args:
        found: the candidates of each process; of more than `ROUND` in all, the farthest ones are used.
        outside: no other row has a larger bound.

    Returns:
        (k,) indices of the picked rows and (k, D) the rows themselves; for each process the new bounds of its
        candidates, -1 for those that were not used.

    Example:
        >>> rows = torch.tensor([[4.0], [-3.0], [3.9]])
        >>> own = Candidates(torch.tensor([7, 8, 9]), rows[:, 0].square(), rows)
        >>> index, _, bounds = pick([own], outside=4.0)
        >>> index.tolist(), bounds[0].argmax().item()
        ([7, 8], 2)
    """
    index = torch.cat([each.index for each in found])
    bounds, rows = torch.cat([each.bound for each in found]), torch.cat([each.rows for each in found])
    used = torch.arange(len(bounds))
    if len(bounds) > ROUND:
        top = _top_values(bounds, ROUND + 1)
        used, outside = top.indices[:ROUND], max(outside, float(top.values[ROUND]))
    block = rows[used]  # (m, D)
    mutual = squared_distances(block, block).numpy()  # (m, m)
    bound = bounds[used].numpy()
    chosen: list[int] = []
    while True:
        best = int(bound.argmax())
        if bound[best] < outside or bound[best] <= 0:
            break
        chosen.append(best)
        np.fmin(bound, mutual[best], out=bound)
        bound[best] = 0.0
    picks = torch.tensor(chosen, dtype=torch.int64)
    new = torch.full_like(bounds, -1.0)
    new[used] = torch.from_numpy(bound)
    return index[used[picks]], block[picks], list(torch.split(new, [len(each.bound) for each in found]))


def _value_at_rank(values: Tensor, rank: int) -> float:
    """Returns the value of this rank from above; the smallest where there are fewer values."""
    place = max(0, len(values) - rank)
    return float(np.partition(values.numpy(), place)[place])


def _top_values(values: Tensor, count: int) -> torch.return_types.topk:
    return torch.topk(values, min(count, len(values)), sorted=True)
