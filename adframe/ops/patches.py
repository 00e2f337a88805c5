"""From feature maps to patch features (Roth et al., CVPR 2022, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def patch_grid(maps: Sequence[Tensor], *, neighbourhood: int) -> Tensor:
    """Averages each map over a neighbourhood, brings all to the finest grid and stacks channels.

    Args:
        maps: feature maps (B, C_i, h_i, w_i) of several layers.
        neighbourhood: odd side of the averaging window in patches; 1 leaves maps as they are.

    Returns:
        (B, sum C_i, h, w) on the grid of the finest map.
    """
    finest = max(maps, key=lambda m: m.shape[-1] * m.shape[-2]).shape[-2:]
    pooled = [_average(m, neighbourhood) for m in maps]
    resized = [m if m.shape[-2:] == finest else _resize(m, finest) for m in pooled]
    return torch.cat(resized, dim=1)  # (B, C, h, w)


def as_rows(grid: Tensor) -> Tensor:
    """(B, C, h, w) to (B * h * w, C), image by image, row by row."""
    return grid.permute(0, 2, 3, 1).reshape(-1, grid.shape[1])


def _average(grid: Tensor, side: int) -> Tensor:
    # Windows at the border average what lies inside the image: padding is not a feature.
    return F.avg_pool2d(grid, side, stride=1, padding=side // 2, count_include_pad=False)


def _resize(grid: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(grid, size=size, mode="bilinear", align_corners=False)
