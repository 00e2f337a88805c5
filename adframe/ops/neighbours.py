"""Exact nearest neighbours by matrix products, in chunks whose size is a setting."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest(
    queries: Tensor, bank: Tensor, *, count: int = 1, norms: Tensor | None = None, limit_mb: int = 256
) -> tuple[Tensor, Tensor]:
    """The `count` nearest bank rows of every query, nearest first.

    The search ranks by one matrix product a chunk; the distances of those found are then computed
    from the differences themselves, so they carry no cancellation error and do not depend on how
    queries were batched.

    Args:
        queries: (Q, D).
        bank: (M, D).
        count: neighbours a query, at most M.
        norms: (M,) squared norms of the bank, where the caller has them.
        limit_mb: most memory the (chunk, M) distance matrix may take.

    Returns:
        distances (Q, count) Euclidean, and indices (Q, count) int64 into the bank.
    """
    if not 0 < count <= len(bank):
        raise ValueError(f"{count} neighbours asked for, the bank has {len(bank)} rows")
    norms = bank.square().sum(1) if norms is None else norms
    chunk = max(1, (limit_mb << 20) // (4 * len(bank)))
    parts = [_search(part, bank, norms, count) for part in torch.split(queries, chunk)]
    index = torch.cat(parts)  # (Q, count)
    distance = torch.stack([(queries - bank[column]).norm(dim=1) for column in index.T], dim=1)
    if count == 1:
        return distance, index
    order = distance.argsort(dim=1, stable=True)  # rounding in the search may have swapped near ties
    return distance.gather(1, order), index.gather(1, order)


def _search(queries: Tensor, bank: Tensor, norms: Tensor, count: int) -> Tensor:
    # |q|^2 is the same for a whole row, so ranking by |b|^2 - 2 q.b ranks by distance.
    distances = torch.addmm(norms.unsqueeze(0), queries, bank.T, alpha=-2)  # (chunk, M)
    if count == 1:
        return distances.argmin(dim=1, keepdim=True)
    return distances.topk(count, dim=1, largest=False).indices
