"""Exact nearest neighbours by matrix products, in chunks whose size is a setting.

Where the processor multiplies bfloat16 several times faster than float32, the product is made of
rounded rows, and a bound on what rounding can do to a distance says which rows the nearest can be
among: for most queries of a real bank one or two. Those are then measured in float32. A query that
has too many of them is searched by the float32 product, so results are the same on both ways.

The bound, for a query q and a row b with rounded q' and b':

- by the triangle inequality |q' - b'| <= |q - b| + |q - q'| + |b - b'|, and both residuals are known;
- if the `count` rows nearest by the rounded product are at most U away, measured in float32, then
  every neighbour has |q - b| <= U, so that |q' - b'| <= U + |q - q'| + |b - b'|;
- with six more columns, which hold |q'|^2 / 2 and |b'|^2 / 2 in three bfloat16 each, an entry of the
  product is -|q' - b'|^2 / 2. Its n = D + 6 terms are exact in float32 and summed there: whatever the
  order, the sum is off by at most n 2^-24 times the sum of their sizes, (|q'| + |b'|)^2 / 2. We allow
  for twice that;
- the entry comes out rounded to bfloat16. Rounding keeps order, so it is no smaller than the rounded bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

COLUMNS = 6  # that the halves of two squared norms take
UNIT = 2.0**-23  # twice the rounding error of a float32 operation
FLUSHED = 2.0**-126  # what a term too small for float32 counts for at most
SMALL, ENTRIES = 128, 1 << 20  # rows or columns, and numbers of a bank that gains nothing from it
BLOCK = 4096  # rows rounded at once: float64 takes twice their memory
MORE = 31  # rows a query looked at beyond those asked for; where these are not enough, float32 searches
PART = 16 << 20  # bytes of differences computed at once


@dataclass(frozen=True, slots=True)
class Rounded:
    """A bank prepared for the search in bfloat16; `rounded` makes it, once for many searches."""

    matrix: Tensor  # (M, D + 6) bfloat16
    residual: float  # the largest |b - b'|
    norm: float  # the largest |b'|


def rounded(bank: Tensor) -> Rounded | None:
    """Prepares a (M, D) bank, in half its memory; None where the search in bfloat16 does not pay.

    On CUDA libraries may add up in bfloat16 as well, which the bound does not allow for.
    """
    fast = bank.device.type == "cpu" and bank.dtype == torch.float32 and multiplies_bfloat16()
    if not fast or min(bank.shape) < SMALL or bank.numel() < ENTRIES:
        return None
    parts = [_round(part) for part in torch.split(bank, BLOCK)]
    short, residual, half = (torch.cat(column) for column in zip(*parts, strict=True))
    matrix = torch.cat([short, in_three(-half), short.new_ones(len(bank), 3)], dim=1)
    return Rounded(matrix, residual=float(residual.max()), norm=float((2 * half.max()).sqrt()))


def nearest(
    queries: Tensor,
    bank: Tensor,
    *,
    count: int = 1,
    norms: Tensor | None = None,
    prepared: Rounded | None = None,
    limit_mb: int = 256,
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
        prepared: what `rounded` gave for this bank; None searches in float32.
        limit_mb: most memory the (chunk, M) distance matrix may take.

    Returns:
        distances (Q, count) Euclidean, and indices (Q, count) int64 into the bank.
    """
    if not 0 < count <= len(bank):
        raise ValueError(f"{count} neighbours asked for, the bank has {len(bank)} rows")
    chunk = max(1, (limit_mb << 20) // (4 * len(bank)))
    if prepared is None or queries.dtype != bank.dtype:
        return _by_float32(queries, bank, norms=norms, count=count, chunk=chunk)
    parts = [_by_bfloat16(part, bank, prepared, count) for part in torch.split(queries, chunk)]
    distance, index = (torch.cat(column) for column in zip(*parts, strict=True))
    crowded = torch.nonzero(index[:, 0] < 0).flatten()
    if len(crowded):
        again = _by_float32(queries[crowded], bank, norms=norms, count=count, chunk=chunk)
        distance[crowded], index[crowded] = again
    return distance, index


def _by_float32(
    queries: Tensor, bank: Tensor, *, norms: Tensor | None, count: int, chunk: int
) -> tuple[Tensor, Tensor]:
    norms = bank.square().sum(1) if norms is None else norms
    index = torch.cat([_search(part, bank, norms, count) for part in torch.split(queries, chunk)])
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


def _by_bfloat16(queries: Tensor, bank: Tensor, prepared: Rounded, count: int) -> tuple[Tensor, Tensor]:
    """Distances and indices (Q, count) as `nearest` gives them; an index of -1 where it cannot tell."""
    short, residual, half = _round(queries)
    matrix = torch.cat([short, short.new_ones(len(short), 3), in_three(-half)], dim=1)
    product = matrix @ prepared.matrix.T  # (Q, M) bfloat16: -|q' - b'|^2 / 2
    best = product.topk(min(count + MORE, len(bank)), dim=1)  # (Q, K)
    terms, every = matrix.shape[1], torch.arange(len(queries))
    slack = 1 + terms * UNIT  # for lengths, which are sums in float32 themselves
    first = _distances(queries, every.repeat_interleave(count), bank, best.indices[:, :count].flatten())
    reach = (first.view(-1, count).amax(1) + residual + prepared.residual) * slack  # (Q,)
    sizes = (prepared.norm + (2 * half).sqrt().float()).square() / 2
    bound = -(reach.square() / 2 * slack + terms * (UNIT * slack * sizes + FLUSHED))
    possible = best.values >= bound.to(product.dtype).unsqueeze(1)  # (Q, K)
    left = possible.sum(1)  # NaN and infinity leave no row at all
    done = (left >= count) & (left < possible.shape[1])  # the K-th excludes all that come after it
    distance = queries.new_full(possible.shape, torch.inf)
    query, place = torch.nonzero(possible & done.unsqueeze(1)).T
    distance[query, place] = _distances(queries, query, bank, best.indices[query, place])
    # Nearest first, and of equal ones that which comes first in the bank.
    by_row = best.indices.argsort(dim=1)
    distance, index = distance.gather(1, by_row), best.indices.gather(1, by_row)
    order = distance.argsort(dim=1, stable=True)[:, :count]
    return distance.gather(1, order), torch.where(done.unsqueeze(1), index.gather(1, order), -1)


def _round(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n, D) in bfloat16, (n,) lengths of what that lost, and (n,) halves of its squared norms, float64."""
    short = rows.bfloat16()
    kept = short.float()
    norms = torch.linalg.vector_norm(kept, dim=1, dtype=torch.float64)
    return short, torch.linalg.vector_norm(rows - kept, dim=1), norms.square() / 2


def in_three(values: Tensor) -> Tensor:
    """(n,) float64 to (n, 3) bfloat16 whose sum is off by 2^-27 of it, less than a float32 is."""
    parts, rest = [], values
    for _ in range(3):
        parts.append(rest.bfloat16())
        rest = rest - parts[-1].double()
    return torch.stack(parts, dim=1)


def _distances(queries: Tensor, query: Tensor, bank: Tensor, row: Tensor) -> Tensor:
    """(n,) float32 distances of n pairs, given by their indices."""
    part = max(1, PART // (4 * bank.shape[1]))
    pairs = zip(torch.split(query, part), torch.split(row, part), strict=True)
    return torch.cat([(queries[left] - bank[right]).norm(dim=1) for left, right in pairs])


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them it is emulated, at half the speed."""
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
