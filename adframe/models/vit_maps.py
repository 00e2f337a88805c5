"""Reads patch tokens of a transformer as feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adframe.models.layers import blocks_at_quarters
from adframe.models.vit import Vit


class VitMaps:
    """Reads patch tokens at a quarter, a half, three quarters and the end of a transformer's depth.

    Args:
        vit: the network; its weights at the time of the call are used.

    Example:
        >>> maps = VitMaps(Vit("test_vit", source="random"))
        >>> len(maps(torch.rand(1, 3, 32, 32))) == len(maps.layers)
        True
    """

    def __init__(self, vit: Vit) -> None:
        self.vit = vit
        self._blocks = sorted({max(0, block) for block in blocks_at_quarters(vit.depth, (1, 2, 3, 4))})
        self.layers: Sequence[str] = [f"blocks.{block}" for block in self._blocks]

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Tensor]:
        """Computes the feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, C, h, w) map per block.
        """
        tokens = self.vit.at(self.vit.normalise(image), blocks=self._blocks)
        grid = (image.shape[-2] // self.vit.patch, image.shape[-1] // self.vit.patch)
        return [each.float().transpose(1, 2).reshape(len(image), -1, *grid) for each in tokens]
