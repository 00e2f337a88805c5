"""An image cut into a grid of zones, each with numbers of its own."""

from __future__ import annotations

from collections.abc import Iterator


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


def _edges(size: int, count: int) -> list[int]:
    return [place * size // count for place in range(count + 1)]
