"""Selects rows by greedy k-centre: those that cover all others best (Sener and Savarese, ICLR 2018).

Each pick is the row farthest from all rows picked so far. The plain algorithm reads all rows once per pick.
Here picks are made in rounds, with the same result: `bound[i]` is at least the squared distance of row i to
the centres, and equals it once the row has been updated. A round takes the `ROUND` rows with the largest
bounds and updates them. The next picks must lie among those that are still above every other row's bound, and
their mutual distances are one small matrix. Rounds work on the hot rows, those with the largest bounds, which
are held in memory. When another row could be the farthest, the hot rows are chosen again, after bounds were
lowered by a product of rounded rows.

Several processes can divide the rows (`ops.divided_coreset`): each keeps the bounds of its own ones, the
first one picks among the candidates of all, and every process gets the picked rows.

Only the end depends on the number of wanted rows: rounds are always finished, and a longer selection begins
with a shorter one. So the state after a round can be stored and continued.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.ops import coreset_search as rounds
from adframe.ops.coreset_cache import PICKS, Traversal
from adframe.ops.coreset_search import CoresetProgress, Search
from adframe.ops.divided_coreset import divided_k_centre, helpers_for
from adframe.ops.pruned_distances import CLOSE_SHARE, EQUAL_SHARE, RoundedRows


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
            with a larger one continue it. Picks are the same as without a store. None stores nothing, and
            neither is a selection stored that several processes have divided.

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
        rounds.ROUND,
        rounds.HOT_ROWS,
        rounds.HOT_BYTES,
        rounds.MAX_CHEAP_CENTRES,
        CLOSE_SHARE,
        EQUAL_SHARE,
        RoundedRows.empty(0, rows.width).rounded,
    )
    kept = None if store is None else Traversal(store, rows=rows, constants=constants)
    state = None if kept is None else kept.read()
    if state is not None and len(state[PICKS]) >= count:
        # The state is memory-mapped from a file.
        return state[PICKS][:count].clone()
    first = int(np.random.default_rng(seed).integers(len(rows)))
    if state is None and (processes := helpers_for(rows, count)).count > 1:
        return divided_k_centre(rows, count=count, first=first, processes=processes, progress=progress)
    search = Search(rows, count=count)
    if state is None:
        search.add_first(first, rows.read(first, first + 1))
    else:
        search.restore(state)
    picks = search.run(progress)
    if kept is not None:
        kept.write(search.state())
    return picks
