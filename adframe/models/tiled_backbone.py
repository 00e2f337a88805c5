"""Feature maps of large images, computed tile by tile: the method sees one map without seams."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from adframe.models.backbones import resize_to_stride
from adframe.ops.tiles import Stitcher, TileGrid, cut_tiles, tile_grid


class TiledBackbone(nn.Module):
    """Computes the feature maps of an image from overlapping tiles, of which only the centres are kept.

    The overlap is context: a feature of a convolutional network is that of the whole image where no tile ends
    within the part of the image that the feature depends on. Tokens of a vision transformer attend to their
    tile. The memory of the network depends on the tiles and not on the image.

    Args:
        backbone: the network.
        size: (height, width) of a tile in pixels; rounded down to multiples of the network's stride or patch.
        overlap: share of a tile that it has in common with its neighbour, in [0, 1).
        chunk: number of tiles that the network takes together.

    Example:
        >>> from adframe.models.backbones import TimmBackbone
        >>> backbone = TimmBackbone("test_resnet", layers=["layer2"], source="random")
        >>> whole, tiled = backbone, TiledBackbone(backbone, size=(64, 64), overlap=0.5, chunk=4)
        >>> image = torch.rand(1, 3, 64, 160)
        >>> whole(image)[0].shape == tiled(image)[0].shape
        True
    """

    def __init__(self, backbone: Any, *, size: tuple[int, int], overlap: float, chunk: int) -> None:
        super().__init__()
        self.inner = backbone
        self.name, self.layers, self.digest = backbone.name, backbone.layers, backbone.digest
        self._unit = math.lcm(self.patch, self.stride)
        self._size = tuple(max(self._unit, side - side % self._unit) for side in size)
        self._step = tuple(max(self._unit, self._floor(side * (1 - overlap))) for side in self._size)
        self._chunk = chunk

    @property
    def patch(self) -> int:
        """The number of which both sides of an image must be multiples."""
        return int(self.inner.patch)

    @property
    def stride(self) -> int:
        """The stride of the coarsest map in pixels."""
        return int(self.inner.stride)

    @property
    def origin(self) -> str:
        """Where the weights come from."""
        return str(getattr(self.inner, "origin", self.name))

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Computes the feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, C, h, w) float32 map per layer, in the order of `layers`.

        Raises:
            AdframeError: as the backbone.
        """
        image = resize_to_stride(image, stride=self.stride)
        whole = (image.shape[-2], image.shape[-1])
        size = (min(self._size[0], whole[0]), min(self._size[1], whole[1]))
        grid = tile_grid(whole, size=size, stride=(self._step[0], self._step[1]))
        if len(grid.corners) == 1:
            maps: list[Tensor] = self.inner(image)
            return maps
        stitchers: list[Stitcher] = []
        for tiles, number, places in cut_tiles(image, grid, chunk=self._chunk):
            maps = self.inner(tiles)
            if not stitchers:
                grids = [_grid_of_map(grid, own) for own in maps]
                stitchers = [
                    Stitcher(own_grid, images=len(image), merge="centre", like=own)
                    for own_grid, own in zip(grids, maps, strict=True)
                ]
            for stitcher, own in zip(stitchers, maps, strict=True):
                stitcher.add(own, number, places)
        return [stitcher.result() for stitcher in stitchers]

    def _floor(self, pixels: float) -> int:
        return int(pixels) - int(pixels) % self._unit


def _grid_of_map(grid: TileGrid, tile_map: Tensor) -> TileGrid:
    """The same tiles on a feature map, whose cells are `stride` pixels wide."""
    stride = grid.size[0] // tile_map.shape[-2], grid.size[1] // tile_map.shape[-1]
    rows, columns = stride
    return TileGrid(
        image=(grid.image[0] // rows, grid.image[1] // columns),
        padded=(grid.padded[0] // rows, grid.padded[1] // columns),
        size=(tile_map.shape[-2], tile_map.shape[-1]),
        corners=tuple((top // rows, left // columns) for top, left in grid.corners),
    )
