"""Chooses rows with chances that fall with the density around them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool

_ROWS_AT_ONCE = 4096  # of a distance matrix against the sample: 16 MB


def density_subset(rows: Spool, *, count: int, sample: int, seed: int) -> Tensor:
    """Draws rows so that rare ones stay.

    This is the subsampling of SuperADD (first place of VAND 4.0): a row is kept with the chance
    1 / (1 + its neighbours within a radius), which grows by a tenth until few enough rows are left.
    Neighbours are counted in a random sample of all rows and scaled up, so that the time grows with the
    number of rows, not with its square.

    Args:
        rows: (N, D).
        count: number of rows to keep; from N on all are kept.
        sample: number of rows in which neighbours are counted.
        seed: seed of all draws.

    Returns:
        (`count`,) int64 indices, ascending.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.cat([torch.zeros(99, 2), torch.ones(1, 2)]))
        >>> 99 in density_subset(rows, count=10, sample=50, seed=0)
        True
    """
    total = len(rows)
    if count >= total:
        return torch.arange(total)
    generator = np.random.default_rng(seed)
    drawn = generator.choice(total, size=min(sample, total), replace=False)
    reference = rows.gather(torch.from_numpy(np.sort(drawn)))
    chance = generator.random(total)
    sampled = np.zeros(total)
    sampled[drawn] = 1
    radii = _radii(reference)
    steps = np.zeros(
        total, np.int16
    )  # number of radii at which a row is kept; it is dropped at all larger ones
    for start, block in rows.blocks():
        for offset in range(0, len(block), _ROWS_AT_ONCE):
            part = block[offset : offset + _ROWS_AT_ONCE]
            place = slice(start + offset, start + offset + len(part))
            within = _rows_within(radii, part, reference).T.numpy()  # (radii, n)
            neighbours = np.maximum(within - sampled[place], 0) * total / len(reference)  # without itself
            steps[place] = (chance[place] < 1 / (1 + neighbours)).sum(0)
    # The smallest radius that leaves few enough rows, and a draw from those that only the radius before
    # leaves: a step may leave far fewer.
    left = np.array([(steps > step).sum() for step in range(len(radii))])
    fitting = np.flatnonzero(left <= count)
    step = int(fitting[0]) if len(fitting) else len(radii)
    chosen = np.flatnonzero(steps > step)
    more = np.flatnonzero(steps == step)
    more = more[np.argsort(chance[more])][: count - len(chosen)]
    return torch.from_numpy(np.union1d(chosen, more))


def _radii(reference: Tensor) -> Tensor:
    """Returns ascending radii that grow by a tenth, from the smallest to the largest distance of rows."""
    distances = torch.cdist(reference, reference)
    known = distances[distances > 0]
    if not len(known):  # all rows are equal
        return torch.zeros(1)
    # Below a thousandth of the largest distance rows are as good as equal.
    largest = float(known.max())
    smallest = max(float(known.min()), largest / 1000)
    steps = math.ceil(math.log(largest / smallest) / math.log(1.1)) + 1
    return smallest * 1.1 ** torch.arange(steps)


def _rows_within(radii: Tensor, rows: Tensor, reference: Tensor) -> Tensor:
    """Counts the rows of the reference within each radius around other rows.

    Args:
        radii: (R,) ascending.
        rows: (n, D).
        reference: (m, D).

    Returns:
        (n, R) counts.
    """
    distances = torch.cdist(rows, reference)
    at = torch.bucketize(distances, radii)  # the first radius that is not smaller
    counts = torch.zeros(len(rows), len(radii) + 1).scatter_add_(1, at, torch.ones_like(distances))
    return counts.cumsum(1)[:, :-1]
