"""Makes masks on a patch grid: random blocks for training, and complementary masks for scoring."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# As a share of the grid's side (SiT, arXiv 2104.03602, section 3).
MAX_BLOCK_SIDE = 0.3


def random_blocks(grid: tuple[int, int], *, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Places random rectangles one after the other until the share of hidden patches is reached.

    Group masked model learning (Atito et al., arXiv 2104.03602): connected patches are hidden together, so
    that a patch cannot be predicted from its neighbours alone. The last rectangle is cut, so that exactly
    `ratio` of the patches is hidden, rounded.

    Args:
        grid: (h, w) in patches.
        ratio: share of the patches to hide, in (0, 1).
        rng: draws sides and positions.

    Returns:
        (h, w) bool, True where hidden; never all, never none.
    """
    height, width = grid
    wanted = min(max(round(ratio * height * width), 1), height * width - 1)
    tallest, widest = max(1, round(MAX_BLOCK_SIDE * height)), max(1, round(MAX_BLOCK_SIDE * width))
    hidden = np.zeros(grid, dtype=bool)
    missing = wanted
    while missing:
        tall, wide = rng.integers(1, tallest + 1), rng.integers(1, widest + 1)
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        block = hidden[top : top + tall, left : left + wide]
        fresh = np.argwhere(~block)[:missing]
        block[fresh[:, 0], fresh[:, 1]] = True
        missing -= len(fresh)
    return hidden


@lru_cache(maxsize=64)
def complementary_masks(grid: tuple[int, int], *, block: int, masks: int, offset: int = 0) -> Tensor:
    """Makes complementary masks: every patch is hidden by exactly one of them.

    Blocks of `block` x `block` patches are coloured by (row * round(sqrt(masks)) + column) mod masks: a
    checkerboard for two masks; for more, no two blocks of one colour share a side.

    Args:
        grid: (h, w) in patches.
        block: side of a block in patches.
        masks: number of masks; each hides about 1 / masks of the grid.
        offset: shifts the blocks by this number of patches down and to the right.

    Returns:
        (masks, h, w) bool; a mask that would hide nothing, on a grid of few blocks, is left out. It is
        cached and must not be changed.
    """
    rows = (torch.arange(grid[0]) + offset) // block
    columns = (torch.arange(grid[1]) + offset) // block
    colour = (rows[:, None] * round(math.sqrt(masks)) + columns[None]) % masks  # (h, w)
    every = colour[None] == torch.arange(masks)[:, None, None]
    return every[every.any(dim=(1, 2))]
