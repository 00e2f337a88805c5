"""Squared distances of many rows to the nearest of new centres, where few centres are any nearer.

Who knows a distance already needs not measure what is farther. Where the processor multiplies
bfloat16 several times faster than float32, the product of rounded rows, with the bound that
`adframe.ops.neighbours` explains, says which centres can be nearer at all; those are measured in
float32 from the differences, so that nothing which comes out has been rounded. What is known goes
into the columns that hold squared norms: an entry of the product is then

    (how far rounded rows can be apart where the rows are nearer than known)^2 / 2 - |q' - b'|^2 / 2

with what summation can be off by added: twice what is said there, as norms are summed in float32
here. Only its sign is looked at, which rounding an entry to bfloat16 does not change. Of the centres
that remain the one with the largest entry is measured first, as afterwards less is nearer than what
is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adframe.ops.neighbours import COLUMNS, FLUSHED, UNIT, in_three, multiplies_bfloat16

CLOSE = 1e-4  # of the norms: a squared distance below it has lost too many digits in float32
EQUAL = 1e-13  # of the norms: what float64 cannot tell from no distance
NARROW = 32  # columns that gain nothing from a product in bfloat16, as it needs more of them
LARGEST = 2.0**126  # sums up to it do not overflow in float32
CROWD = 64  # a row with more than one centre in so many left is quicker by a product in float32
STEP = 512  # products are of so many rows or a multiple, so that there are few shapes
PART = 4 << 20  # bytes of rows rounded, or of differences computed, at once: cache holds them


@dataclass(frozen=True, slots=True)
class Rows:
    """(n, D) rows that are compared with others again and again."""

    exact: Tensor  # (n, D) float32
    short: Tensor  # (n, D + 6) bfloat16; (n, 0) where it is not faster
    residual: Tensor  # (n,) float32, what rounding has moved each row by
    half: Tensor  # (n,) float64, half the squared norm of the rounded row

    @classmethod
    def empty(cls, count: int, width: int) -> Rows:
        """Room for `count` rows, which `put` fills."""
        columns = width + COLUMNS if width >= NARROW and multiplies_bfloat16() else 0
        return cls(
            torch.empty(count, width),
            torch.empty(count, columns, dtype=torch.bfloat16),
            torch.empty(count),
            torch.empty(count, dtype=torch.float64),
        )

    @classmethod
    def of(cls, exact: Tensor) -> Rows:
        """The same rows, rounded as well; a float32 copy is not made."""
        room = cls.empty(0, exact.shape[1])
        short = room.short.new_empty(len(exact), room.short.shape[1])
        rows = cls(exact, short, exact.new_empty(len(exact)), room.half.new_empty(len(exact)))
        rows._shorten(0, len(exact))
        return rows

    @property
    def rounded(self) -> bool:
        """Whether there are rows in bfloat16."""
        return self.short.shape[1] > 0

    def put(self, start: int, exact: Tensor) -> None:
        """Writes rows over those from `start` on."""
        self.exact[start : start + len(exact)] = exact
        stop, width = start + len(exact), exact.shape[1]
        self._shorten(start, stop)
        if self.rounded:
            self.short[start:stop, width : width + 3] = in_three(-self.half[start:stop])
            self.short[start:stop, width + 3 :] = 1

    def slice(self, start: int, stop: int) -> Rows:
        """Rows start..stop, not copied."""
        part = slice(start, stop)
        return Rows(self.exact[part], self.short[part], self.residual[part], self.half[part])

    def _shorten(self, start: int, stop: int) -> None:
        width = self.exact.shape[1]
        step = max(1, PART // (4 * width))
        for low in range(start, stop if self.rounded else start, step):
            part = slice(low, min(low + step, stop))
            short = self.exact[part].bfloat16()
            kept = short.float()
            self.short[part, :width] = short
            self.half[part] = torch.linalg.vector_norm(kept, dim=1).double().square_() / 2
            self.residual[part] = torch.linalg.vector_norm(kept.sub_(self.exact[part]), dim=1)


def lowered(known: Tensor, rows: Rows, index: Tensor, centres: Rows) -> Tensor:
    """Squared distances to the nearest of some centres, or what is known where that is less.

    Args:
        known: (n,) float32, finite: squared distances that were found before.
        rows: any number; only `index` of them are asked for.
        index: (n,) of rows.
        centres: (m, D).

    Returns:
        (n,) float32. With and without bfloat16 the same up to the rounding of a float32 distance.
    """
    terms = centres.short.shape[1]
    if not terms:
        return _by_float32(known, rows, index, centres)
    slack = 1 + terms * UNIT  # for lengths, which are sums in float32 themselves
    moved = (rows.residual[index] + centres.residual.amax()).double()  # (n,)
    half = rows.half[index]
    reach = _reach(known, moved, slack)
    sizes = ((2 * half).sqrt() + (2 * centres.half.amax()).sqrt()).square() / 2 + reach  # summed in an entry
    if not float(sizes.amax()) < LARGEST:  # so where anything is infinite or NaN
        return _by_float32(known, rows, index, centres)
    allowance = terms * (2 * UNIT * slack * sizes + FLUSHED)
    entries = _entries(rows.short[index], centres.short, reach + allowance - half)
    able = torch.nonzero(entries.amax(dim=1) >= 0).flatten()  # rows that any centre may be nearer to
    if not len(able):
        return known
    entries, index = entries[able], index[able]  # (k, m)
    best = entries.argmax(dim=1)
    less = torch.minimum(known[able], _measured(rows, index, centres, best))
    rise = (reach[able] - _reach(less, moved[able], slack)).bfloat16()  # what an entry must be now
    possible = entries >= rise.view(torch.int16).unsqueeze(1)
    possible[torch.arange(len(able)), best] = False
    return known.index_put((able,), _settled(less, possible, rows, index, centres))


def at_most(rows: Rows, centres: Rows) -> Tensor:
    """(n,) float32 that no squared distance of a row to the nearest of the centres exceeds; both rounded."""
    terms = centres.short.shape[1]
    slack = 1 + terms * UNIT
    moved = (rows.residual + centres.residual.amax()).double()
    sizes = ((2 * rows.half).sqrt() + (2 * centres.half.amax()).sqrt()).square() / 2
    entries = _entries(rows.short, centres.short, -rows.half).view(torch.bfloat16)
    nearest = -entries.amax(dim=1).double() * (1 + 2.0**-8) + terms * (2 * UNIT * slack * sizes + FLUSHED)
    apart = ((2 * nearest.clamp_(min=0)).sqrt() + moved) * slack
    return torch.where(sizes < LARGEST, apart.square() * slack, torch.inf).float()


def _reach(known: Tensor, moved: Tensor, slack: float) -> Tensor:
    """(n,) float64: half the squared distance of rounded rows at most, if they are nearer than known."""
    return ((known.double().sqrt() + moved) * slack).square() / 2 * slack


def _entries(left: Tensor, right: Tensor, constant: Tensor) -> Tensor:
    """(n, m) int16, which from zero up are in the order of the bfloat16 that they are the bits of.

    Args:
        left: (n, D + 6), overwritten.
        right: (m, D + 6) as `Rows` has them.
        constant: (n,) float64, to which the product and minus half the norm on the right are added.
    """
    width = left.shape[1] - COLUMNS
    left[:, width : width + 3] = 1
    left[:, width + 3 :] = in_three(constant)
    missing = -len(left) % STEP  # libraries keep what they made for every shape they have seen
    whole = torch.cat([left, left.new_zeros(missing, left.shape[1])]) if missing else left
    return (whole @ right.T)[: len(left)].view(torch.int16)


def _settled(known: Tensor, possible: Tensor, rows: Rows, index: Tensor, centres: Rows) -> Tensor:
    """Holds each row against the centres that are possible for it."""
    crowded = torch.nonzero(possible.sum(dim=1) > max(1, possible.shape[1] // CROWD)).flatten()
    if len(crowded):
        possible[crowded] = False
        known[crowded] = _by_float32(known[crowded], rows, index[crowded], centres)
    row, centre = torch.nonzero(possible).T
    if len(row):
        known.scatter_reduce_(0, row, _measured(rows, index[row], centres, centre), "amin")
    return known


def _by_float32(known: Tensor, rows: Rows, index: Tensor, centres: Rows) -> Tensor:
    distances = squared_distances(rows.exact[index], centres.exact)
    return torch.fmin(known, distances.amin(dim=1))


def _measured(rows: Rows, index: Tensor, centres: Rows, centre: Tensor) -> Tensor:
    """(n,) float32 squared distances of n pairs, given by their indices."""
    part = max(1, PART // (4 * rows.exact.shape[1]))
    found = []
    for left, right in zip(torch.split(index, part), torch.split(centre, part), strict=True):
        distances = (rows.exact[left] - centres.exact[right]).square_().sum(dim=1)
        nothing = EQUAL * 2 * (rows.half[left] + centres.half[right])  # as `squared_distances` has it
        found.append(distances.masked_fill_(distances <= nothing, 0.0))
    return torch.cat(found)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """(n, D) and (m, D) to (n, m) squared Euclidean distances by matrix products, never negative.

    Rows that lie close together compared with their norms, as in a tight cluster, are compared with
    each other again in float64; equal rows are at distance 0 exactly.
    """
    distances = _by_product(left, right)[0].clamp_(min=0)  # (n, m)
    if left is right:
        distances.fill_diagonal_(torch.inf)  # a row's distance to itself needs no second look
    again = torch.nonzero(distances.amin(dim=1) < CLOSE * left.square().sum(1)).flatten()
    if len(again):
        precise = right.double()
        for part in torch.split(again, 1024):  # 1024 x 2048 float64 are 16 MB
            exact, norms = _by_product(left[part].double(), precise)
            distances[part] = exact.masked_fill_(exact <= EQUAL * norms, 0.0).float()
    return distances.fill_diagonal_(0.0) if left is right else distances


def _by_product(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    norms = left.square().sum(1, keepdim=True) + right.square().sum(1)  # (n, m)
    return torch.addmm(norms, left, right.T, alpha=-2), norms
