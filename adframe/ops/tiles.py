"""Cuts images into overlapping tiles, and puts maps of tiles together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.errors import AdframeError, unknown

Merge = Literal["smooth", "mean", "max", "centre"]
MERGES: tuple[Merge, ...] = ("smooth", "mean", "max", "centre")


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of images of one size.

    Attributes:
        image: (H, W) of the images in pixels.
        padded: (H, W) after reflect padding, at least the size of a tile.
        size: (h, w) of a tile.
        corners: (top, left) of each tile in the padded image, row by row; together they cover all of it.
    """

    image: tuple[int, int]
    padded: tuple[int, int]
    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]


def tile_grid(image: tuple[int, int], *, size: tuple[int, int], stride: tuple[int, int]) -> TileGrid:
    """Places tiles so that they cover an image.

    The last tile of a row or column ends at the edge of the image, where it overlaps its neighbour more than
    the others do. An image that is smaller than a tile is padded at its lower and right edge.

    Args:
        image: (H, W) in pixels.
        size: (h, w) of a tile.
        stride: distance of neighbouring tiles, at most `size`.

    Returns:
        The grid.

    Example:
        >>> tile_grid((100, 250), size=(100, 100), stride=(80, 80)).corners
        ((0, 0), (0, 80), (0, 150))
    """
    padded = (max(image[0], size[0]), max(image[1], size[1]))
    rows, columns = (
        [*range(0, length - side, step), length - side]
        for length, side, step in zip(padded, size, stride, strict=True)
    )
    return TileGrid(image, padded, size, tuple((top, left) for top in rows for left in columns))


def cut_tiles(images: Tensor, grid: TileGrid, *, chunk: int) -> Iterator[tuple[Tensor, int, list[int]]]:
    """Cuts images into tiles, a few at a time.

    Args:
        images: (B, C, H, W) of the size of the grid.
        grid: places of the tiles.
        chunk: largest number of tiles at a time.

    Yields:
        (n, C, h, w) tiles, n <= chunk, the image, and the n places of its tiles in `grid.corners`. All of
        them are tiles of one image, so that results of a network do not depend on the other images: it rounds
        in another way in batches of another size.
    """
    padded = pad_reflect(images, grid.padded)
    height, width = grid.size
    for image, whole in enumerate(padded):
        for start in range(0, len(grid.corners), chunk):
            corners = grid.corners[start : start + chunk]
            tiles = [whole[:, top : top + height, left : left + width] for top, left in corners]
            yield torch.stack(tiles), image, list(range(start, start + len(corners)))


def pad_reflect(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Mirrors images at their lower and right edge, as often as it takes to fill a size.

    Args:
        images: (B, C, H, W).
        size: (H', W'), at least (H, W).

    Returns:
        (B, C, H', W').
    """
    while (missing := (size[0] - images.shape[-2], size[1] - images.shape[-1])) != (0, 0):
        height, width = images.shape[-2:]
        if (missing[0] and height == 1) or (missing[1] and width == 1):  # one row has no mirror image
            return F.pad(images, (0, missing[1], 0, missing[0]), mode="replicate")
        step = (min(missing[0], height - 1), min(missing[1], width - 1))
        images = F.pad(images, (0, step[1], 0, step[0]), mode="reflect")
    return images


class Stitcher:
    """Puts the maps of tiles together to maps of images.

    - `smooth`: mean with weights that fall towards the border of a tile, so that no seam shows.
    - `mean`: plain mean of all tiles that cover a pixel.
    - `max`: the highest value.
    - `centre`: the value of the tile in which the pixel lies farthest from the border.

    Args:
        grid: places of the tiles.
        images: number of images.
        merge: one of `MERGES`.
        like: a tensor (n, C, h, w) with the channels and the device of the maps.

    Raises:
        AdframeError: `merge` is unknown.

    Example:
        >>> grid = tile_grid((2, 3), size=(2, 2), stride=(2, 2))
        >>> stitcher = Stitcher(grid, images=1, merge="max", like=torch.zeros(1, 1, 2, 2))
        >>> for place in range(2):
        ...     stitcher.add(torch.full((1, 1, 2, 2), float(place)), 0, [place])
        >>> stitcher.result()[0, 0].tolist()
        [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """

    def __init__(self, grid: TileGrid, *, images: int, merge: Merge, like: Tensor) -> None:
        if merge not in MERGES:
            raise AdframeError(unknown("tiling.merge", merge, MERGES))
        # A single tile stays as it is to the last digit, which a division by its weight would change.
        self._grid, self._merge = grid, merge if len(grid.corners) > 1 else "max"
        shape = (images, like.shape[1], *grid.padded)
        lowest = -torch.inf if self._merge == "max" else 0.0
        self._values = torch.full(shape, lowest, dtype=torch.float32, device=like.device)
        self._weight = _weights(grid.size, flat=self._merge in ("mean", "max")).to(like.device)
        self._total = torch.zeros((images, 1, *grid.padded), dtype=torch.float32, device=like.device)

    def add(self, maps: Tensor, image: int, places: Sequence[int]) -> None:
        """Adds the maps of some tiles of an image.

        Args:
            maps: (n, C, h, w), resized to the size of a tile where they are smaller.
            image: the image.
            places: the n places of the tiles in `grid.corners`.
        """
        height, width = self._grid.size
        if maps.shape[-2:] != (height, width):
            maps = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
        for own, place in zip(maps.float(), places, strict=True):
            top, left = self._grid.corners[place]
            window = (image, slice(None), slice(top, top + height), slice(left, left + width))
            values, total = self._values[window], self._total[window]
            if self._merge == "max":
                torch.maximum(values, own, out=values)
            elif self._merge == "centre":
                better = self._weight > total
                values.copy_(torch.where(better, own, values))
                torch.maximum(total, self._weight, out=total)
            else:
                values += own * self._weight
                total += self._weight

    def result(self) -> Tensor:
        """Returns the maps (B, C, H, W) of the images, without padding."""
        height, width = self._grid.image
        values = self._values if self._merge in ("max", "centre") else self._values / self._total
        return values[..., :height, :width]


def _weights(size: tuple[int, int], *, flat: bool) -> Tensor:
    """(1, h, w): 1, or falling linearly from the middle of a tile to its border, where it is above 0."""
    if flat:
        return torch.ones(1, *size)
    sides = []
    for length in size:
        place = torch.arange(length, dtype=torch.float32)
        sides.append(torch.minimum(place + 1, length - place) / ((length + 1) // 2))
    return (sides[0][:, None] * sides[1][None])[None]
