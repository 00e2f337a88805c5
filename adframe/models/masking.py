"""Hides patches in the image itself, in training and in scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.ops.block_masks import random_blocks

# stands for a step outside training, so that its masks and noise equal those of no training step
FIXED_STEP = 2**40


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Draws masks, which depend on the seed, the step and the image's position in its dataset only.

    Args:
        patch: side in pixels.
        ratio: share of the patches hidden in training, in (0, 1).
        fill: `zeros`, `noise` or `image` (see `SiT`).
        seed: draws masks and noise.

    Raises:
        AdframeError: if the ratio is out of range.

    Example:
        >>> masking = Masking(patch=8, ratio=0.5, fill="zeros", seed=0)
        >>> hidden = masking.draw(torch.rand(1, 3, 32, 32), index=torch.tensor([0]), step=0)
        >>> float(hidden.mean())
        0.5
    """

    patch: int
    ratio: float
    fill: Literal["zeros", "noise", "image"]
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise AdframeError(f"mask_ratio={self.ratio} must be between 0 and 1")

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Returns the number of patches down and across.

        Args:
            image: (B, 3, H, W).
        """
        return image.shape[-2] // self.patch, image.shape[-1] // self.patch

    def draw(self, like: Tensor, *, index: Tensor, step: int) -> Tensor:
        """Draws masks; each image has its own generator, so that no mask depends on the batch.

        Args:
            like: (B, 3, H, W) images.
            index: (B,) positions in the dataset.
            step: training step, or `FIXED_STEP`.

        Returns:
            (B, 1, H, W), 1 where hidden.
        """
        grid = self.grid(like)
        masks = [
            random_blocks(grid, ratio=self.ratio, rng=np.random.default_rng([self.seed, step, place]))
            for place in index.tolist()
        ]
        return self.pixels(torch.from_numpy(np.stack(masks))).to(like)

    def pixels(self, masks: Tensor) -> Tensor:
        """Enlarges masks from patches to pixels.

        Args:
            masks: (B, h, w).

        Returns:
            (B, 1, H, W).
        """
        return masks[:, None].repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)

    def filled(self, normal: Tensor, hidden: Tensor, *, step: int) -> Tensor:
        """Replaces the hidden pixels of images.

        Args:
            normal: (B, 3, H, W), normalised.
            hidden: (B, 1, H, W), 1 where hidden.
            step: as in `draw`.

        Returns:
            (B, 3, H, W).
        """
        if self.fill == "noise":
            return torch.where(hidden.bool(), self._noise(normal, step=step), normal)
        empty = normal * (1 - hidden)
        if self.fill == "zeros" or step == FIXED_STEP or len(normal) < 2:
            return empty
        other = torch.where(hidden.bool(), normal.roll(1, 0), normal)
        every_second = torch.arange(len(normal), device=normal.device).view(-1, 1, 1, 1) % 2 == 0
        return torch.where(every_second, other, empty)

    def _noise(self, normal: Tensor, *, step: int) -> Tensor:
        """Returns (1, 3, H, W) of unit variance, one for the batch, so that no image depends on the
        others.
        """
        drawn = np.random.default_rng([self.seed, step]).standard_normal(normal[:1].shape, dtype=np.float32)
        return torch.from_numpy(drawn).to(normal)
