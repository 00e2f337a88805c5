"""Selects rows by greedy k-centre: those that cover all others best (Sener and Savarese, ICLR 2018).

Each pick is the row farthest from all rows picked so far. The plain algorithm reads all rows once per pick.
Here picks are made in rounds, with the same result: `bound[i]` is at least the squared distance of row i to
the centres, and equals it once the row has been updated. A round takes the `ROUND` rows with the largest
bounds and updates them. The next picks must lie among those that are still above every other row's bound, and
their mutual distances are one small matrix. Rounds work on the hot rows, those with the largest bounds, which
are held in memory. When another row could be the farthest, the hot rows are chosen again, after bounds were
lowered by a product of rounded rows.

Only the end depends on the number of wanted rows: rounds are always finished, and a longer selection begins
with a shorter one. So the state after a round can be stored and continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.ops.coreset_cache import PICKS, Traversal
from adframe.ops.pruned_distances import (
    CLOSE_SHARE,
    EQUAL_SHARE,
    RoundedRows,
    lower_distances,
    squared_distances,
    upper_bounds,
)

# Rows that compete in a round: their Gram matrix takes 4 MB.
ROUND = 1024
# Memory of hot rows, rounded copies included: large enough to rarely choose them again.
HOT_BYTES = 64 << 20
# Largest number of rows, or centres, per product.
PRODUCT_ROWS = 2048
# Smallest number of centres per product.
MIN_CENTRES = 64
# Bytes of rows read at once: they fit in the cache.
READ_BYTES = 4 << 20
# Comparing a row with this many new centres takes less time than reading the row.
MAX_CHEAP_CENTRES = 512

CoresetProgress = Callable[[int, int], None]


def greedy_k_centre(
    rows: Spool,
    *,
    count: int,
    seed: int,
    progress: CoresetProgress | None = None,
    store: Store | None = None,
) -> Tensor:
    """Picks rows, each the farthest from those picked before; the first is drawn at random.

    Distances are Euclidean in float32. Picks are those of the plain algorithm up to exact ties and rounding.
    Memory is the picked rows, about 100 MB for the hot ones, and 12 bytes per row.

    Args:
        rows: (N, D), centred well enough that squares do not cancel.
        count: number of rows to pick, at most N.
        seed: draws the first pick.
        progress: called with (done, total) after every round; None reports nothing.
        store: stores the selection: the same rows and seed with a smaller `count` then take its beginning,
            with a larger one continue it. Picks are the same as without a store. None stores nothing.

    Returns:
        (<= count,) int64 indices in the order of picking. Fewer than `count` where every other row equals a
        picked one: a duplicate adds nothing to a memory bank.

    Raises:
        ValueError: if `count` is not in 1..N.
    """
    if not 0 < count <= len(rows):
        raise ValueError(f"cannot pick {count} of {len(rows)} rows")
    constants = (
        seed,
        ROUND,
        HOT_BYTES,
        MAX_CHEAP_CENTRES,
        CLOSE_SHARE,
        EQUAL_SHARE,
        RoundedRows.empty(0, rows.width).rounded,
    )
    kept = None if store is None else Traversal(store, rows=rows, constants=constants)
    state = None if kept is None else kept.read()
    if state is not None and len(state[PICKS]) >= count:
        # The state is memory-mapped from a file.
        return state[PICKS][:count].clone()
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
    """The state of one selection: bounds of rows, the centres so far, and the hot rows."""

    def __init__(self, rows: Spool, *, count: int) -> None:
        self.rows = rows
        # The last round may pick more than wanted.
        most = min(count + ROUND, len(rows))
        self.index = torch.empty(most, dtype=torch.int64)
        self.centres = RoundedRows.empty(most, rows.width)
        self.picked = 0
        # squared; outdated for hot rows until the next `_reload_hot`
        self.all_bounds = torch.empty(len(rows))
        # number of centres that each bound accounts for
        self.all_met = torch.ones(len(rows), dtype=torch.int64)
        # Indices of the hot rows, ascending.
        self.hot = torch.empty(0, dtype=torch.int64)
        self._most_hot = max(ROUND, HOT_BYTES // (4 * rows.width + 2 * self.centres.short.shape[1]))
        # The hot rows themselves, in memory that is allocated once; then their bounds.
        self.block = RoundedRows.empty(min(self._most_hot, len(rows)), rows.width)
        self.bound, self.met = torch.empty(0), torch.empty(0, dtype=torch.int64)
        # Largest bound of rows that are not hot.
        self.cold = 0.0
        # Number of centres that `_tighten` has used.
        self.tight = 1

    def add_first(self, row: int) -> None:
        self._add(torch.tensor([row]), self.rows.read(row, row + 1))
        step = max(1, READ_BYTES // (4 * self.rows.width))
        for start in range(0, len(self.rows), step):
            distances = squared_distances(self.rows.read(start, start + step), self.centres.exact[:1])
            self.all_bounds[start : start + step] = distances[:, 0]
        # A row with NaN, or too long for float32, is never picked.
        self.all_bounds[~self.all_bounds.isfinite()] = 0.0
        self.all_bounds[row] = 0.0
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
        highest = float(self.bound.max())
        if highest < self.cold or highest <= 0:
            return self._reload_hot()
        # Bounds only shrink, so no row outside the contest lies farther than `outside`.
        outside = max(floor, self.cold)
        contest = torch.nonzero((self.bound >= outside) & (self.bound > 0)).flatten()
        if len(contest):
            # More only where several rows tie at the floor.
            top = _top_values(self.bound[contest], ROUND)
            self._pick_from(contest[top.indices], outside=outside)
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


def _value_at_rank(values: Tensor, rank: int) -> float:
    """Returns the value of this rank from above; the smallest where there are fewer values."""
    place = max(0, len(values) - rank)
    return float(np.partition(values.numpy(), place)[place])


def _top_values(values: Tensor, count: int) -> torch.return_types.topk:
    return torch.topk(values, min(count, len(values)), sorted=True)
