"""Patch grid to heatmap: bilinear upsampling and Gaussian smoothing, as two small matrix products.

Both steps are linear and separable, so their composition along one axis is one matrix. Applying it
costs h*w*H multiplications instead of a convolution over every pixel of the large map.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn import functional as F


def heatmap(grid: Tensor, *, size: tuple[int, int], sigma: float) -> Tensor:
    """Upsamples (B, 1, h, w) to (B, 1, H, W) bilinearly and smooths with a Gaussian.

    Args:
        grid: patch scores.
        size: (H, W) of the heatmap in pixels.
        sigma: standard deviation in pixels of the heatmap; 0 smooths nothing. Truncated at 4 sigma,
            reflected at the border.
    """
    rows = axis_matrix(grid.shape[-2], size[0], sigma).to(grid)  # (H, h)
    columns = axis_matrix(grid.shape[-1], size[1], sigma).to(grid)  # (W, w)
    return rows @ grid @ columns.T


@lru_cache(maxsize=32)
def axis_matrix(coarse: int, fine: int, sigma: float) -> Tensor:
    """(fine, coarse) float32: what upsampling and smoothing do along one axis."""
    unit = torch.eye(coarse, dtype=torch.float64).unsqueeze(1)  # (coarse, 1, coarse)
    up = F.interpolate(unit, size=fine, mode="linear", align_corners=False)[:, 0].T.numpy()  # (fine, coarse)
    smooth = gaussian_filter1d(up, sigma, axis=0, mode="reflect", truncate=4.0) if sigma > 0 else up
    return torch.from_numpy(np.ascontiguousarray(smooth)).float()
