"""Cuts an image into a grid of zones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def zones_of(
    shape: tuple[int, int], *, grid: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
    """Yields the position of each zone in the grid and its pixels.

    The zones cover the image without overlap; a zone is empty only if the grid is finer than the image.

    Args:
        shape: (H, W) of the image.
        grid: number of zones from top to bottom, and from left to right.

    Yields:
        (row, column) of the zone, and the slices of its rows and columns of pixels.
    """
    rows, columns = (
        [place * size // count for place in range(count + 1)] for size, count in zip(shape, grid, strict=True)
    )
    for row in range(grid[0]):
        for column in range(grid[1]):
            yield (row, column), (slice(*rows[row : row + 2]), slice(*columns[column : column + 2]))


def peaks_of(scores: np.ndarray, *, grid: tuple[int, int]) -> np.ndarray:
    """Finds the highest score in each zone.

    Args:
        scores: (H, W) raw scores.
        grid: as in `zones_of`.

    Returns:
        Scores of the shape `grid`.
    """
    shape = (scores.shape[0], scores.shape[1])
    return np.array([scores[pixels].max() for _, pixels in zones_of(shape, grid=grid)]).reshape(grid)


def spread_zones(table: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Gives every pixel the value of its zone.

    Args:
        table: (rows, columns), one value per zone.
        shape: (H, W) of the image.

    Returns:
        (H, W) of the type of `table`.

    Example:
        >>> spread_zones(np.array([[1, 2]]), (1, 4)).tolist()
        [[1, 1, 2, 2]]
    """
    values = np.empty((shape[0], shape[1]), table.dtype)
    for place, pixels in zones_of((shape[0], shape[1]), grid=(table.shape[0], table.shape[1])):
        values[pixels] = table[place]
    return values
