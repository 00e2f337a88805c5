"""Hides patches in the image itself: which ones in training, and what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.ops.block_masks import random_blocks

FIXED = 2**40  # in place of a step: masks and noise outside training are no training step's


@dataclass(frozen=True, kw_only=True)
class Masking:
    """All that is random follows from the seed, the step and the image's place in its dataset.

    Args:
        patch: side in pixels.
        ratio: share of the patches hidden in training, in (0, 1).
        fill: `zeros`, `noise` or `image` (see `SiT`).
        seed: draws masks and noise.
    """

    patch: int
    ratio: float
    fill: Literal["zeros", "noise", "image"]
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise AdframeError(f"mask_ratio={self.ratio} must be between 0 and 1")

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Patches down and across."""
        return image.shape[-2] // self.patch, image.shape[-1] // self.patch

    def draw(self, like: Tensor, *, index: Tensor, step: int) -> Tensor:
        """(B, 1, H, W), 1 where hidden; a generator an image, so that no mask depends on the batch.

        Args:
            like: (B, 3, H, W) images.
            index: (B,) their places in the dataset.
            step: of training, or `FIXED`.
        """
        grid = self.grid(like)
        masks = [
            random_blocks(grid, ratio=self.ratio, rng=np.random.default_rng([self.seed, step, place]))
            for place in index.tolist()
        ]
        return self.pixels(torch.from_numpy(np.stack(masks))).to(like)

    def pixels(self, masks: Tensor) -> Tensor:
        """(B, h, w) patches to (B, 1, H, W) pixels."""
        return masks[:, None].repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)

    def filled(self, normal: Tensor, hidden: Tensor, *, step: int) -> Tensor:
        """(B, 3, H, W) normalised images with their hidden pixels replaced."""
        if self.fill == "noise":
            return torch.where(hidden.bool(), self._noise(normal, step=step), normal)
        empty = normal * (1 - hidden)
        if self.fill == "zeros" or step == FIXED or len(normal) < 2:
            return empty
        other = torch.where(hidden.bool(), normal.roll(1, 0), normal)
        every_second = torch.arange(len(normal), device=normal.device).view(-1, 1, 1, 1) % 2 == 0
        return torch.where(every_second, other, empty)

    def _noise(self, normal: Tensor, *, step: int) -> Tensor:
        """(1, 3, H, W) of unit variance, one for the batch: a masked image does not depend on its company."""
        drawn = np.random.default_rng([self.seed, step]).standard_normal(normal[:1].shape, dtype=np.float32)
        return torch.from_numpy(drawn).to(normal)
