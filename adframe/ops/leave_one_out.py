"""How far the patches of each image lie from those of all other images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import READ_ROWS, Spool

# Rows with which the others are compared: a sample of all where there are more.
SAMPLE_ROWS = 32768
# Rows of the sample that give the first bounds.
FIRST_ROWS = 2048
# Rows and columns of one matrix product, 16 MB.
BLOCK_ROWS = 2048
# Rows of each image that one round measures.
ROUND_ROWS = 16


def leave_one_out(rows: Spool, owners: Tensor, *, seed: int) -> Tensor:
    """Computes the largest distance of an image's rows to the nearest row of any other image.

    Rows are compared with a random sample of all rows, without those of their own image. Distances to a part
    of the sample bound those to the whole, so that only rows that may be an image's largest are measured.

    Args:
        rows: (N, D).
        owners: (N,) int64, the image of each row, 0 to I - 1.
        seed: draws the sample.

    Returns:
        (I,) float32; infinity for an image that is alone in the sample.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.tensor([[0.0], [1.0], [0.0], [5.0]]))
        >>> leave_one_out(rows, torch.tensor([0, 0, 1, 1]), seed=0).tolist()
        [1.0, 4.0]
    """
    drawn = np.random.default_rng(seed).permutation(len(rows))[:SAMPLE_ROWS]
    index = torch.from_numpy(np.sort(drawn))
    sample, sampled = rows.gather(index), owners[index]
    # The first rows of a sorted sample would be those of the first images.
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(index)))
    sample, sampled = sample[order], sampled[order]
    bounds = torch.cat(
        [
            _to_others(
                rows.read(start, start + READ_ROWS),
                owners[start : start + READ_ROWS],
                sample[:FIRST_ROWS],
                sampled[:FIRST_ROWS],
            )
            for start in range(0, len(rows), READ_ROWS)
        ]
    )
    images = int(owners.max()) + 1
    largest = torch.full((images,), -1.0)
    while True:
        # The rows of each image with the highest bounds come first.
        ranked = torch.argsort(bounds, descending=True, stable=True)
        ranked = ranked[bounds[ranked] > largest[owners[ranked]]]
        ranked = ranked[torch.argsort(owners[ranked], stable=True)]
        if not len(ranked):
            return largest.sqrt()
        counts = torch.bincount(owners[ranked], minlength=images)
        place = torch.arange(len(ranked)) - (counts.cumsum(0) - counts)[owners[ranked]]
        chosen = ranked[place < ROUND_ROWS].sort().values
        found = _to_others(rows.gather(chosen), owners[chosen], sample, sampled)
        bounds[chosen] = -torch.inf  # measured
        largest.scatter_reduce_(0, owners[chosen], found, "amax")


def _to_others(rows: Tensor, owners: Tensor, sample: Tensor, sampled: Tensor) -> Tensor:
    """Returns (n,) squared distances of rows from the nearest sample of another image."""
    found = torch.full((len(rows),), torch.inf)
    norms, squares = rows.square().sum(1), sample.square().sum(1)
    for start in range(0, len(sample), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        for low in range(0, len(rows), BLOCK_ROWS):
            own = slice(low, low + BLOCK_ROWS)
            # |r|^2 - 2 r s + |s|^2 loses digits where rows almost coincide; the largest distance does not.
            distances = torch.addmm(squares[part], rows[own], sample[part].T, alpha=-2)
            distances[owners[own, None] == sampled[part]] = torch.inf
            found[own] = torch.minimum(found[own], distances.amin(1))
    return (found + norms).clamp(min=0)
