"""Extends a coreset by rows that came later."""

from __future__ import annotations

import torch
from torch import Tensor

from adframe.ops.neighbours import nearest


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
    norms = rows.square().sum(1)
    bounds = nearest(rows, centres, norms=centres.square().sum(1), limit_mb=limit_mb)[0][:, 0].square()
    picked: list[int] = []
    while len(picked) < count:
        best = int(bounds.argmax())
        if bounds[best] <= 0:
            break
        picked.append(best)
        distances = torch.addmv(norms + norms[best], rows, rows[best], alpha=-2).clamp_(min=0)
        torch.minimum(bounds, distances, out=bounds)
        bounds[best] = 0.0
    return torch.tensor(picked, dtype=torch.int64)
