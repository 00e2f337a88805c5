"""Finds exact nearest neighbours by matrix products, in chunks of a configured size.

Where the processor multiplies bfloat16 several times faster than float32, the product is computed from
rounded rows. A bound on the effect of rounding on a distance tells which rows may be nearest: one or two for
most queries of a real bank. These are then measured in float32. A query with too many candidates is searched
by the float32 product, so results are the same either way.

The bound, for a query q and a row b with rounded q' and b':

- by the triangle inequality |q' - b'| <= |q - b| + |q - q'| + |b - b'|, and both residuals are known;
- if the `count` rows nearest by the rounded product are at most U away, measured in float32, then every
  neighbour has |q - b| <= U, so that |q' - b'| <= U + |q - q'| + |b - b'|;
- with six more columns, which hold |q'|^2 / 2 and |b'|^2 / 2 in three bfloat16 each, an entry of the product
  is -|q' - b'|^2 / 2. Its n = D + 6 terms are exact in float32 and summed in float32: in any order, the sum
  has an error of at most n 2^-24 times the sum of their absolute values, (|q'| + |b'|)^2 / 2. The code allows
  twice that;
- the entry is rounded to bfloat16. Rounding is monotone, so the entry is not below the rounded bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

# Columns for the halves of two squared norms.
NORM_COLUMNS = 6
# Matrices whose width is a multiple of this are multiplied up to half again as fast.
WIDTH_STEP = 32
# Twice the rounding error of a float32 operation.
FLOAT32_UNIT = 2.0**-23
# Largest error of a term that is too small for float32.
UNDERFLOW = 2.0**-126
# Banks with fewer rows, columns or numbers gain nothing from bfloat16.
MIN_SIDE, MIN_ENTRIES = 128, 1 << 18
# Rows rounded at once, because float64 takes twice their memory.
ROUNDING_BLOCK = 4096
EXTRA_CANDIDATES = (
    # Rows a query looked at beyond those asked for; where these are not enough, float32 searches.
    31
)
# Entries of the product whose largest one stands for all, and groups of a query that are looked into.
GROUP, MAX_GROUPS = 16, 8
# Bytes of differences computed at once.
DIFFERENCE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class RoundedBank:
    """A bank prepared for the search in bfloat16; `round_bank` computes it once for many searches.

    Attributes:
        matrix: (M, D + 6) bfloat16, and zeros up to a multiple of `WIDTH_STEP` columns.
        residual: the largest |b - b'|, the change of a row by rounding.
        norm: the largest |b'|, the norm of a rounded row.
    """

    matrix: Tensor
    residual: float
    norm: float


@dataclass(frozen=True, slots=True)
class RoundedQueries:
    """Queries prepared for the search in bfloat16.

    Attributes:
        matrix: (Q, D + 6) bfloat16 and the same zeros; its product with a `RoundedBank` is -|q' - b'|^2 / 2.
        residual: (Q,) |q - q'|, the change of a row by rounding.
        half: (Q,) float64, |q'|^2 / 2.
    """

    matrix: Tensor
    residual: Tensor
    half: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> RoundedQueries:
        """Rounds queries.

        Args:
            rows: (Q, D) float32.
        """
        short, residual, half = _round_rows(rows)
        return cls(_columns(short, short.new_ones(len(short), 3), in_three(-half)), residual, half)

    def bound(self, reach: Tensor, bank: RoundedBank) -> Tensor:
        """Bounds the product from below for all rows of a bank within a distance.

        Args:
            reach: (Q,) float32 distances.
            bank: the bank.

        Returns:
            (Q,) bfloat16; a row whose product is smaller lies farther away.
        """
        terms = self.matrix.shape[1]
        # For lengths, which are float32 sums themselves.
        slack = 1 + terms * FLOAT32_UNIT
        rounded = (reach + self.residual + bank.residual) * slack
        sizes = (bank.norm + (2 * self.half).sqrt().float()).square() / 2
        bound = -(rounded.square() / 2 * slack + terms * (FLOAT32_UNIT * slack * sizes + UNDERFLOW))
        return bound.to(self.matrix.dtype)


def round_bank(bank: Tensor) -> RoundedBank | None:
    """Prepares a bank for the search in bfloat16, in half its memory.

    Args:
        bank: (M, D) float32.

    Returns:
        The rounded bank; None where the search in bfloat16 is not faster.
    """
    # On CUDA, libraries may also accumulate in bfloat16, which the bound does not allow for.
    fast = bank.device.type == "cpu" and bank.dtype == torch.float32 and multiplies_bfloat16()
    if not fast or min(bank.shape) < MIN_SIDE or bank.numel() < MIN_ENTRIES:
        return None
    parts = [_round_rows(part) for part in torch.split(bank, ROUNDING_BLOCK)]
    short, residual, half = (torch.cat(column) for column in zip(*parts, strict=True))
    matrix = _columns(short, in_three(-half), short.new_ones(len(bank), 3))
    return RoundedBank(matrix, residual=float(residual.max()), norm=float((2 * half.max()).sqrt()))


def nearest(
    queries: Tensor,
    bank: Tensor,
    *,
    count: int = 1,
    norms: Tensor | None = None,
    prepared: RoundedBank | None = None,
    limit_mb: int = 256,
) -> tuple[Tensor, Tensor]:
    """Finds the `count` nearest bank rows of every query, nearest first.

    The search ranks by one matrix product per chunk. The distances of the rows found are then computed from
    the differences themselves, so they have no cancellation error and do not depend on the batching of
    queries.

    Args:
        queries: (Q, D).
        bank: (M, D).
        count: number of neighbours per query, at most M.
        norms: (M,) squared norms of the bank; None computes them.
        prepared: result of `round_bank` for this bank; None searches in float32.
        limit_mb: largest memory in MiB for the (chunk, M) distance matrix.

    Returns:
        Euclidean distances (Q, count), and indices (Q, count) int64 into the bank.

    Raises:
        ValueError: if `count` is not in 1..M.
    """
    if not 0 < count <= len(bank):
        raise ValueError(f"cannot find {count} neighbours in a bank of {len(bank)} rows")
    chunk = max(1, (limit_mb << 20) // (4 * len(bank)))
    if prepared is None or queries.dtype != bank.dtype:
        return _by_float32(queries, bank, norms=norms, count=count, chunk=chunk)
    parts = [
        _nearest_by_bfloat16(part, bank, prepared)
        if count == 1
        else _by_bfloat16(part, bank, prepared, count)
        for part in torch.split(queries, chunk)
    ]
    distance, index = (torch.cat(column) for column in zip(*parts, strict=True))
    crowded = torch.nonzero(index[:, 0] < 0).flatten()
    if len(crowded):
        again = _by_float32(queries[crowded], bank, norms=norms, count=count, chunk=chunk)
        distance[crowded], index[crowded] = again
    return distance, index


def nearest_in_blocks(
    queries: Tensor, bank: Tensor, *, count: int, norms: Tensor, block: int
) -> tuple[Tensor, Tensor]:
    """Finds what `nearest` finds, by operations that can be exported, and with bounded memory.

    Args:
        queries: (Q, D).
        bank: (M, D).
        count: number of neighbours per query, at most M.
        norms: (M,) squared norms of the bank.
        block: rows of the bank that are compared at once; the distance matrix is (Q, block).

    Returns:
        Euclidean distances (Q, count), nearest first, and indices (Q, count) int64 into the bank.
    """
    ranks, index, start = [], [], 0
    for part, own in zip(torch.split(bank, block), torch.split(norms, block), strict=True):
        distances = own.unsqueeze(0) - 2 * (queries @ part.T)
        kept = min(count, len(part))
        low, at = distances.min(1, keepdim=True) if kept == 1 else distances.topk(kept, largest=False)
        ranks.append(low)
        index.append(at + start)
        start += len(part)
    ranked, columns = torch.cat(ranks, 1), torch.cat(index, 1)
    best = ranked.topk(count, largest=False).indices if ranked.shape[1] > count else None
    found = columns if best is None else columns.gather(1, best)
    distance = (queries.unsqueeze(1) - bank[found]).norm(dim=2)
    if count == 1:
        return distance, found
    order = distance.argsort(dim=1)
    return distance.gather(1, order), found.gather(1, order)


def _by_float32(
    queries: Tensor, bank: Tensor, *, norms: Tensor | None, count: int, chunk: int
) -> tuple[Tensor, Tensor]:
    norms = bank.square().sum(1) if norms is None else norms
    index = torch.cat([_search_chunk(part, bank, norms, count) for part in torch.split(queries, chunk)])
    distance = torch.stack([(queries - bank[column]).norm(dim=1) for column in index.T], dim=1)
    if count == 1:
        return distance, index
    # Rounding in the search may have swapped near ties.
    order = distance.argsort(dim=1, stable=True)
    return distance.gather(1, order), index.gather(1, order)


def _search_chunk(queries: Tensor, bank: Tensor, norms: Tensor, count: int) -> Tensor:
    # |q|^2 is the same for a whole row, so ranking by |b|^2 - 2 q.b ranks by distance.
    distances = torch.addmm(norms.unsqueeze(0), queries, bank.T, alpha=-2)  # (chunk, M)
    if count == 1:
        return distances.min(dim=1, keepdim=True).indices  # twice as fast as argmin
    return distances.topk(count, dim=1, largest=False).indices


def largest_entries(product: Tensor, dim: int) -> Tensor:
    """Returns the largest entries of a bfloat16 tensor along a dimension; those from 0 on, and NaN, become 0.

    The bits of negative floats are integers that fall as the float grows; those of others are not negative.
    Torch reduces integers many times as fast.

    Args:
        product: the tensor.
        dim: the dimension, which the result does not have.
    """
    bits = product.view(torch.int16)
    negative = bits.amin(dim).view(torch.bfloat16)
    return torch.where(bits.amax(dim) < 0, negative, negative.new_zeros(()))


def _nearest_by_bfloat16(queries: Tensor, bank: Tensor, prepared: RoundedBank) -> tuple[Tensor, Tensor]:
    """Returns distances and indices (Q, 1) as `_by_bfloat16`, without sorting the product."""
    rounded, total = RoundedQueries.of(queries), len(bank)
    product = rounded.matrix @ prepared.matrix.T  # (Q, M) bfloat16: -|q' - b'|^2 / 2
    width = total // GROUP
    whole = width * GROUP
    # Entry j of a row is in group j % width; the entries that are left are groups of their own.
    grouped = largest_entries(product[:, :whole].view(len(queries), GROUP, width), 1)
    largest = torch.cat([grouped, product[:, whole:]], dim=1)  # (Q, G)
    first = _group_entries(largest.argmax(1), width, whole)  # (Q, GROUP)
    row = first.gather(1, product.gather(1, first).argmax(1, keepdim=True))[:, 0]
    every = torch.arange(len(queries))
    bound = rounded.bound(_pair_distances(queries, every, bank, row), prepared)
    possible = largest >= bound.unsqueeze(1)
    # NaN and infinity leave no group.
    groups = possible.sum(1)
    done = (groups > 0) & (groups <= MAX_GROUPS)
    query, group = torch.nonzero(possible & done.unsqueeze(1)).T
    entries = _group_entries(group, width, whole)  # (n, GROUP)
    near = product[query.unsqueeze(1), entries] >= bound[query].unsqueeze(1)
    near[group >= width, 1:] = False  # one entry, which stands there GROUP times
    pair, place = torch.nonzero(near).T
    query, row = query[pair], entries[pair, place]
    found = _pair_distances(queries, query, bank, row).nan_to_num(nan=torch.inf)
    distance = queries.new_full((len(queries),), torch.inf).scatter_reduce(0, query, found, "amin")
    best = found == distance[query]
    # Of equal distances, the row that comes first in the bank.
    index = torch.full((len(queries),), total).scatter_reduce(0, query[best], row[best], "amin")
    index[~done | ~distance.isfinite()] = -1
    return distance.unsqueeze(1), index.unsqueeze(1)


def _group_entries(group: Tensor, width: int, whole: int) -> Tensor:
    """Returns (n, GROUP) positions in the bank of the entries of groups."""
    own = group.unsqueeze(1)
    return torch.where(own < width, own + width * torch.arange(GROUP), own - width + whole)


def _by_bfloat16(queries: Tensor, bank: Tensor, prepared: RoundedBank, count: int) -> tuple[Tensor, Tensor]:
    """Returns distances and indices (Q, count) as `nearest`; index -1 where the bound cannot decide."""
    rounded, every = RoundedQueries.of(queries), torch.arange(len(queries))
    product = rounded.matrix @ prepared.matrix.T  # (Q, M) bfloat16: -|q' - b'|^2 / 2
    best = product.topk(min(count + EXTRA_CANDIDATES, len(bank)), dim=1)  # (Q, K)
    first = _pair_distances(queries, every.repeat_interleave(count), bank, best.indices[:, :count].flatten())
    bound = rounded.bound(first.view(-1, count).amax(1), prepared)
    possible = best.values >= bound.unsqueeze(1)  # (Q, K)
    # NaN and infinity leave no candidate.
    left = possible.sum(1)
    # The K-th candidate excludes all rows after it.
    done = (left >= count) & (left < possible.shape[1])
    distance = queries.new_full(possible.shape, torch.inf)
    query, place = torch.nonzero(possible & done.unsqueeze(1)).T
    distance[query, place] = _pair_distances(queries, query, bank, best.indices[query, place])
    # Nearest first; of equal distances, the row that comes first in the bank.
    by_row = best.indices.argsort(dim=1)
    distance, index = distance.gather(1, by_row), best.indices.gather(1, by_row)
    order = distance.argsort(dim=1, stable=True)[:, :count]
    return distance.gather(1, order), torch.where(done.unsqueeze(1), index.gather(1, order), -1)


def _columns(*parts: Tensor) -> Tensor:
    """Returns parts next to each other, with zeros up to a width that is multiplied fast."""
    missing = -sum(part.shape[1] for part in parts) % WIDTH_STEP
    return torch.cat([*parts, parts[0].new_zeros(len(parts[0]), missing)], dim=1)


def _round_rows(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (n, D) in bfloat16, the (n,) change by rounding, and (n,) float64 halves of the squared
    norms.
    """
    short = rows.bfloat16()
    kept = short.float()
    # A norm with dtype=float64 gives the same, in three times the time.
    half = kept.double().square_().sum(1) / 2
    return short, torch.linalg.vector_norm(rows - kept, dim=1), half


def in_three(values: Tensor) -> Tensor:
    """Splits numbers into three bfloat16 whose sum has a relative error of 2^-27, less than that of float32.

    Args:
        values: (n,) float64.

    Returns:
        (n, 3) bfloat16.
    """
    parts, rest = [], values
    for _ in range(3):
        parts.append(rest.bfloat16())
        rest = rest - parts[-1].double()
    return torch.stack(parts, dim=1)


def _pair_distances(queries: Tensor, query: Tensor, bank: Tensor, row: Tensor) -> Tensor:
    """Returns (n,) float32 distances of n pairs, given by their indices."""
    part = max(1, DIFFERENCE_BYTES // (4 * bank.shape[1]))
    pairs = zip(torch.split(query, part), torch.split(row, part), strict=True)
    return torch.cat([(queries[left] - bank[right]).norm(dim=1) for left, right in pairs])


@cache
def multiplies_bfloat16() -> bool:
    """Tells whether the processor has bfloat16 instructions; emulation would halve the speed."""
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
