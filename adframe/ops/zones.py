"""An image cut into a grid of zones, each with numbers of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def zones_of(
    shape: tuple[int, int], *, grid: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
    """Each zone's place in the grid and its pixels; they cover the image, and none is empty but of need.

    Args:
        shape: (H, W) of the image.
        grid: zones from top to bottom, and from left to right.
    """
    rows, columns = (_edges(size, count) for size, count in zip(shape, grid, strict=True))
    for row in range(grid[0]):
        for column in range(grid[1]):
            yield (row, column), (slice(*rows[row : row + 2]), slice(*columns[column : column + 2]))


def peaks_of(scores: np.ndarray, *, grid: tuple[int, int]) -> np.ndarray:
    """The highest of (H, W) scores in each zone, as `grid` says."""
    shape = (scores.shape[0], scores.shape[1])
    return np.array([scores[pixels].max() for _, pixels in zones_of(shape, grid=grid)]).reshape(grid)


def _edges(size: int, count: int) -> list[int]:
    return [place * size // count for place in range(count + 1)]
