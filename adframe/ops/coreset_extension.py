"""Extends a coreset by rows that came later."""

from __future__ import annotations

import torch
from torch import Tensor

from adframe.ops.neighbours import nearest
from adframe.ops.pruned_distances import squared_distances

# Rows among which picks are made before all others are compared with the picks.
POOL_ROWS = 4096


def extend_k_centre(rows: Tensor, centres: Tensor, *, count: int, limit_mb: int) -> Tensor:
    """Picks rows, each the farthest from the given centres and from the rows picked before.

    This is how a greedy k-centre selection goes on with other rows. Ties go to the first row.

    Args:
        rows: (N, D).
        centres: (M, D), M above 0.
        count: number of rows to pick, at most N.
        limit_mb: largest memory in MiB for a distance matrix.

    Returns:
        (<= count,) int64 indices in the order of picking; fewer where all other rows equal a centre or a
        picked row.

    Example:
        >>> rows = torch.tensor([[0.1], [5.0], [4.0], [9.0]])
        >>> extend_k_centre(rows, torch.tensor([[0.0]]), count=2, limit_mb=1).tolist()
        [3, 1]
    """
    bounds = nearest(rows, centres, norms=centres.square().sum(1), limit_mb=limit_mb)[0][:, 0].square()
    picked: list[int] = []
    while len(picked) < count:
        # Bounds only shrink, so rows outside of the pool lie no farther than `cold`, and the farthest row is
        # in the pool until its rows have come that near.
        top = torch.topk(bounds, min(POOL_ROWS + 1, len(rows)))
        pool, own = top.indices[:POOL_ROWS], top.values[:POOL_ROWS].clone()
        cold = float(top.values[-1]) if len(top.values) > POOL_ROWS else 0.0
        first = len(picked)
        block = rows[pool]
        norms = block.square().sum(1)
        while len(picked) < count:
            best = int(own.argmax())
            if own[best] < cold or own[best] <= 0:
                break
            picked.append(int(pool[best]))
            distances = torch.addmv(norms + norms[best], block, block[best], alpha=-2).clamp_(min=0)
            torch.minimum(own, distances, out=own)
            own[best] = 0.0
        if len(picked) == first:
            break
        new = torch.tensor(picked[first:], device=rows.device)
        for start in range(0, len(rows), POOL_ROWS):
            part = slice(start, start + POOL_ROWS)
            bounds[part] = torch.minimum(bounds[part], squared_distances(rows[part], rows[new]).amin(1))
        bounds[new] = 0.0
    return torch.tensor(picked, dtype=torch.int64)
