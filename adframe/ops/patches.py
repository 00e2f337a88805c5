"""Turns feature maps into patch features (Roth et al., CVPR 2022, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Border = Literal["zeros", "reflect", "replicate", "ignore", "inside"]
BORDERS = ("zeros", "reflect", "replicate", "ignore", "inside")


def patch_grid(maps: Sequence[Tensor], *, neighbourhood: int, border: Border = "zeros") -> Tensor:
    """Averages each map over a neighbourhood, resizes all maps to the finest grid and stacks channels.

    Args:
        maps: feature maps (B, C_i, h_i, w_i) of several layers.
        neighbourhood: odd side of the averaging window in patches; 1 leaves maps unchanged.
        border: how a window counts positions beyond the border: as `zeros` (the published method), as
            `reflect`ed or `replicate`d patches, or not at all (`ignore`: the mean of the patches inside);
            `inside` takes the nearest window that lies inside the map.

    Returns:
        (B, sum C_i, h, w) on the grid of the finest map.
    """
    finest = max(maps, key=lambda m: m.shape[-1] * m.shape[-2]).shape[-2:]
    pooled = [_average(m, neighbourhood, border=border) for m in maps]
    resized = [
        m if m.shape[-2:] == finest else F.interpolate(m, size=finest, mode="bilinear", align_corners=False)
        for m in pooled
    ]
    return torch.cat(resized, dim=1)  # (B, C, h, w)


def as_rows(grid: Tensor) -> Tensor:
    """Flattens a grid, image by image, row by row.

    Args:
        grid: (B, C, h, w).

    Returns:
        (B * h * w, C).
    """
    return grid.permute(0, 2, 3, 1).reshape(-1, grid.shape[1])


def _average(grid: Tensor, side: int, *, border: Border) -> Tensor:
    """Averages over windows.

    With `ignore`, `reflect` and `replicate` a window at the border is a mean of fewer different patches. It
    varies more and lies farther from a memory of normal ones: the heatmap of nearly every plain texture is
    then largest at its border. The authors' code (amazon-science/patchcore-inspection, `PatchMaker`) counts
    zeros.
    """
    if border == "inside":
        return _average_inside(grid, side)
    reach = side // 2
    if border in ("zeros", "ignore"):
        return F.avg_pool2d(grid, side, stride=1, padding=reach, count_include_pad=border == "zeros")
    # Reflection requires more than `reach` patches per side.
    mode = border if min(grid.shape[-2:]) > reach else "replicate"
    return F.avg_pool2d(F.pad(grid, (reach,) * 4, mode=mode), side, stride=1)


def _average_inside(grid: Tensor, side: int) -> Tensor:
    height, width = grid.shape[-2:]
    whole = F.avg_pool2d(grid, (min(side, height), min(side, width)), stride=1)
    down, across = height - whole.shape[-2], width - whole.shape[-1]
    sides = (across // 2, across - across // 2, down // 2, down - down // 2)
    return F.pad(whole, sides, mode="replicate")
