"""Computes squared distances of many rows to the nearest of new centres, where few centres are nearer than
before.

Where a distance is known already, farther centres need no measurement. Where the processor multiplies
bfloat16 several times faster than float32, the product of rounded rows, with the bound that
`adframe.ops.neighbours` explains, tells which centres can be nearer at all. These are measured in float32
from the differences, so that no result has been rounded. The known distance goes into the columns that hold
squared norms: an entry of the product is then

    (largest distance of rounded rows if the rows are nearer than known)^2 / 2 - |q' - b'|^2 / 2

plus the largest error of summation: twice that of `neighbours`, as norms are summed in float32 here. Only the
sign of an entry is used, which rounding to bfloat16 does not change. Of the candidates, the centre with the
largest entry is measured first, because that excludes others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adframe.ops.neighbours import FLOAT32_UNIT, NORM_COLUMNS, UNDERFLOW, in_three, multiplies_bfloat16

# Shares of the squared norms: below the first a squared distance has lost too many digits in float32, below
# the second float64 cannot distinguish it from zero.
CLOSE_SHARE = 1e-4
EQUAL_SHARE = 1e-13
# With fewer columns bfloat16 gains nothing, because it needs six more.
MIN_COLUMNS = 32
# Sums up to this do not overflow in float32.
MAX_SUM = 2.0**126
# A row with more than 1 in 64 centres as candidates is faster by a float32 product.
CROWD = 64
# Row counts of products are multiples of this, so that there are few shapes.
ROW_STEP = 512
# Bytes of rows rounded, or of differences computed, at once: they fit in the cache.
CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class RoundedRows:
    """(n, D) rows, with a rounded copy, that are compared with others repeatedly.

    Attributes:
        exact: (n, D) float32.
        short: (n, D + 6) bfloat16; (n, 0) where bfloat16 is not faster.
        residual: (n,) float32, the change of each row by rounding.
        half: (n,) float64, half the squared norm of each rounded row.

    Example:
        >>> rows, centres = RoundedRows.of(torch.rand(5, 8)), RoundedRows.empty(2, 8)
        >>> centres.put(0, torch.zeros(2, 8))
        >>> lower_distances(torch.full((5,), 9.0), rows, torch.arange(5), centres).shape
        torch.Size([5])
    """

    exact: Tensor
    short: Tensor
    residual: Tensor
    half: Tensor

    @classmethod
    def empty(cls, count: int, width: int) -> RoundedRows:
        """Allocates memory that `put` fills.

        Args:
            count: number of rows.
            width: number of features D.

        Returns:
            Rows with undefined content.
        """
        columns = width + NORM_COLUMNS if width >= MIN_COLUMNS and multiplies_bfloat16() else 0
        return cls(
            torch.empty(count, width),
            torch.empty(count, columns, dtype=torch.bfloat16),
            torch.empty(count),
            torch.empty(count, dtype=torch.float64),
        )

    @classmethod
    def of(cls, exact: Tensor) -> RoundedRows:
        """Rounds existing rows without copying their float32 values.

        Args:
            exact: (n, D) float32.

        Returns:
            The rows with a rounded copy.
        """
        room = cls.empty(0, exact.shape[1])
        short = room.short.new_empty(len(exact), room.short.shape[1])
        rows = cls(exact, short, exact.new_empty(len(exact)), room.half.new_empty(len(exact)))
        rows._round_range(0, len(exact))
        return rows

    @property
    def rounded(self) -> bool:
        """Tells whether there is a bfloat16 copy."""
        return self.short.shape[1] > 0

    def put(self, start: int, exact: Tensor) -> None:
        """Overwrites rows.

        Args:
            start: index of the first row to overwrite.
            exact: (k, D) float32.
        """
        self.exact[start : start + len(exact)] = exact
        stop, width = start + len(exact), exact.shape[1]
        self._round_range(start, stop)
        if self.rounded:
            self.short[start:stop, width : width + 3] = in_three(-self.half[start:stop])
            self.short[start:stop, width + 3 :] = 1

    def slice(self, start: int, stop: int) -> RoundedRows:
        """Returns a view on some rows, without a copy.

        Args:
            start: index of the first row.
            stop: index after the last row.
        """
        part = slice(start, stop)
        return RoundedRows(self.exact[part], self.short[part], self.residual[part], self.half[part])

    def _round_range(self, start: int, stop: int) -> None:
        width = self.exact.shape[1]
        step = max(1, CHUNK_BYTES // (4 * width))
        for low in range(start, stop if self.rounded else start, step):
            part = slice(low, min(low + step, stop))
            short = self.exact[part].bfloat16()
            kept = short.float()
            self.short[part, :width] = short
            self.half[part] = torch.linalg.vector_norm(kept, dim=1).double().square_() / 2
            self.residual[part] = torch.linalg.vector_norm(kept.sub_(self.exact[part]), dim=1)


def lower_distances(known: Tensor, rows: RoundedRows, index: Tensor, centres: RoundedRows) -> Tensor:
    """Returns squared distances to the nearest of some centres, or the known ones where these are smaller.

    Args:
        known: (n,) float32, finite squared distances found before.
        rows: any number of rows; only those in `index` are used.
        index: (n,) int64 into `rows`.
        centres: (m, D).

    Returns:
        (n,) float32. With and without bfloat16 they agree up to the rounding of a float32 distance.
    """
    terms = centres.short.shape[1]
    if not terms:
        return _lower_by_float32(known, rows, index, centres)
    # For lengths, which are float32 sums themselves.
    slack = 1 + terms * FLOAT32_UNIT
    moved = (rows.residual[index] + centres.residual.amax()).double()  # (n,)
    half = rows.half[index]
    reach = _half_squared_reach(known, moved, slack)
    # absolute terms of an entry
    sizes = ((2 * half).sqrt() + (2 * centres.half.amax()).sqrt()).square() / 2 + reach
    # Also where a value is infinite or NaN.
    if not float(sizes.amax()) < MAX_SUM:
        return _lower_by_float32(known, rows, index, centres)
    allowance = terms * (2 * FLOAT32_UNIT * slack * sizes + UNDERFLOW)
    entries = _signed_entries(rows.short[index], centres.short, reach + allowance - half)
    # Rows to which any centre may be nearer.
    able = torch.nonzero(entries.amax(dim=1) >= 0).flatten()
    if not len(able):
        return known
    entries, index = entries[able], index[able]  # (k, m)
    best = entries.argmax(dim=1)
    less = torch.minimum(known[able], _pair_squared_distances(rows, index, centres, best))
    # the smallest entry of a candidate now
    rise = (reach[able] - _half_squared_reach(less, moved[able], slack)).bfloat16()
    possible = entries >= rise.view(torch.int16).unsqueeze(1)
    possible[torch.arange(len(able)), best] = False
    return known.index_put((able,), _lower_by_candidates(less, possible, rows, index, centres))


def upper_bounds(rows: RoundedRows, centres: RoundedRows) -> Tensor:
    """Bounds the squared distance of each row to the nearest of the centres, from rounded rows.

    Args:
        rows: (n, D), with a rounded copy.
        centres: (m, D), with a rounded copy.

    Returns:
        (n,) float32, not below the squared distances.
    """
    terms = centres.short.shape[1]
    slack = 1 + terms * FLOAT32_UNIT
    moved = (rows.residual + centres.residual.amax()).double()
    sizes = ((2 * rows.half).sqrt() + (2 * centres.half.amax()).sqrt()).square() / 2
    entries = _signed_entries(rows.short, centres.short, -rows.half).view(torch.bfloat16)
    nearest = -entries.amax(dim=1).double() * (1 + 2.0**-8) + terms * (
        2 * FLOAT32_UNIT * slack * sizes + UNDERFLOW
    )
    apart = ((2 * nearest.clamp_(min=0)).sqrt() + moved) * slack
    return torch.where(sizes < MAX_SUM, apart.square() * slack, torch.inf).float()


def _half_squared_reach(known: Tensor, moved: Tensor, slack: float) -> Tensor:
    """Returns (n,) float64: half the largest squared distance of rounded rows that are nearer than known."""
    return ((known.double().sqrt() + moved) * slack).square() / 2 * slack


def _signed_entries(left: Tensor, right: Tensor, constant: Tensor) -> Tensor:
    """Returns (n, m) int16: the bits of bfloat16 entries, which from zero up have the order of the entries.

    Args:
        left: (n, D + 6), overwritten.
        right: (m, D + 6) as in `RoundedRows`.
        constant: (n,) float64, to which the product and minus half the norm on the right are added.
    """
    width = left.shape[1] - NORM_COLUMNS
    left[:, width : width + 3] = 1
    left[:, width + 3 :] = in_three(constant)
    # Libraries cache code for every shape they have met.
    missing = -len(left) % ROW_STEP
    whole = torch.cat([left, left.new_zeros(missing, left.shape[1])]) if missing else left
    return (whole @ right.T)[: len(left)].view(torch.int16)


def _lower_by_candidates(
    known: Tensor, possible: Tensor, rows: RoundedRows, index: Tensor, centres: RoundedRows
) -> Tensor:
    """Compares each row with its candidates."""
    crowded = torch.nonzero(possible.sum(dim=1) > max(1, possible.shape[1] // CROWD)).flatten()
    if len(crowded):
        possible[crowded] = False
        known[crowded] = _lower_by_float32(known[crowded], rows, index[crowded], centres)
    row, centre = torch.nonzero(possible).T
    if len(row):
        known.scatter_reduce_(0, row, _pair_squared_distances(rows, index[row], centres, centre), "amin")
    return known


def _lower_by_float32(known: Tensor, rows: RoundedRows, index: Tensor, centres: RoundedRows) -> Tensor:
    distances = squared_distances(rows.exact[index], centres.exact)
    return torch.fmin(known, distances.amin(dim=1))


def _pair_squared_distances(rows: RoundedRows, index: Tensor, centres: RoundedRows, centre: Tensor) -> Tensor:
    """Returns (n,) float32 squared distances of n pairs, given by their indices."""
    part = max(1, CHUNK_BYTES // (4 * rows.exact.shape[1]))
    found = []
    for left, right in zip(torch.split(index, part), torch.split(centre, part), strict=True):
        distances = (rows.exact[left] - centres.exact[right]).square_().sum(dim=1)
        nothing = EQUAL_SHARE * 2 * (rows.half[left] + centres.half[right])  # as in `squared_distances`
        found.append(distances.masked_fill_(distances <= nothing, 0.0))
    return torch.cat(found)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Computes squared Euclidean distances by matrix products.

    Rows that lie close together compared with their norms, as in a tight cluster, are compared again in
    float64; equal rows have a distance of exactly 0.

    Args:
        left: (n, D) float32.
        right: (m, D) float32; the same object as `left` for mutual distances.

    Returns:
        (n, m) float32, never negative.
    """
    distances = _distances_by_product(left, right)[0].clamp_(min=0)  # (n, m)
    if left is right:
        # A row's distance to itself needs no second pass.
        distances.fill_diagonal_(torch.inf)
    again = torch.nonzero(distances.amin(dim=1) < CLOSE_SHARE * left.square().sum(1)).flatten()
    if len(again):
        precise = right.double()
        for part in torch.split(again, 1024):  # 1024 x 2048 float64 are 16 MB
            exact, norms = _distances_by_product(left[part].double(), precise)
            distances[part] = exact.masked_fill_(exact <= EQUAL_SHARE * norms, 0.0).float()
    return distances.fill_diagonal_(0.0) if left is right else distances


def _distances_by_product(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    norms = left.square().sum(1, keepdim=True) + right.square().sum(1)  # (n, m)
    return torch.addmm(norms, left, right.T, alpha=-2), norms
