"""Patch grid to heatmap: bilinear upsampling and Gaussian smoothing, as two small matrix products.

Both steps are linear and separable, so their composition along one axis is one matrix. Applying it
costs h*w*H multiplications instead of a convolution over every pixel of the large map.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

TRUNCATE = 4.0  # standard deviations at which a Gaussian ends


def heatmap(grid: Tensor, *, size: tuple[int, int], sigma: float) -> Tensor:
    """Upsamples (B, 1, h, w) to (B, 1, H, W) bilinearly and smooths with a Gaussian.

    Inside the map this is plain smoothing. At the border, where a Gaussian is cut off and reflected,
    it would average fewer patches than inside: noise would be up to four times as strong in the
    corners, and the maxima of normal images would lie there. So the Gaussian becomes wider towards
    the border, until its value averages as many patches as inside; a single conspicuous patch
    then stands out equally wherever it lies.

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
    """(fine, coarse) float32: what upsampling and smoothing do along one axis; rows sum to 1."""
    pixels = np.arange(fine)
    sigmas = np.full(fine, float(sigma))
    matrix = _rows(pixels, sigmas, coarse=coarse, fine=fine, bounded=True)
    if sigma > 0:
        wanted = _noise(_rows(pixels, sigmas, coarse=coarse, fine=fine, bounded=False))
        noisy = np.flatnonzero(_noise(matrix) > wanted * (1 + 1e-9))
        wide = _widened(noisy, wanted[noisy], sigma=sigma, coarse=coarse, fine=fine)
        matrix[noisy] = _rows(noisy, wide, coarse=coarse, fine=fine, bounded=True)
    return torch.from_numpy(matrix).float()


def _widened(pixels: np.ndarray, wanted: np.ndarray, *, sigma: float, coarse: int, fine: int) -> np.ndarray:
    """The least standard deviation (n,) with which each pixel has no more noise than `wanted` (n,)."""
    low, high = np.full(len(pixels), float(sigma)), np.full(len(pixels), float(max(4 * sigma, fine)))
    for _ in range(24):  # halvings: to a millionth of the range
        middle = (low + high) / 2
        rows = _rows(pixels, middle, coarse=coarse, fine=fine, bounded=True)
        quiet = _noise(rows) <= wanted
        low, high = np.where(quiet, low, middle), np.where(quiet, middle, high)
    return high


def _noise(rows: np.ndarray) -> np.ndarray:
    """(n, m) weights to (n,): the standard deviation of a mean of independent patches of deviation 1."""
    return np.asarray(np.sqrt(np.square(rows).sum(axis=1)))


def _rows(pixels: np.ndarray, sigmas: np.ndarray, *, coarse: int, fine: int, bounded: bool) -> np.ndarray:
    """Weights (n, m) of the patches in some pixels' values, each pixel with its own Gaussian.

    Args:
        pixels: (n,) whose rows.
        sigmas: (n,) in pixels; 0 smooths nothing.
        coarse: patches along the axis.
        fine: pixels along the axis.
        bounded: m is `coarse`, and what lies beyond the border is reflected; else the grid of
            patches goes on without end, and each row has the patches that its own pixel sees.
    """
    reaches = np.floor(TRUNCATE * sigmas + 0.5)[:, None]
    offsets = np.arange(-reaches.max(initial=0), reaches.max(initial=0) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        gauss = np.exp(-0.5 * np.square(offsets / sigmas[:, None]))
    weights = np.where(np.abs(offsets) <= reaches, np.where(offsets == 0, 1.0, gauss), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    seen = pixels[:, None] + offsets
    if bounded:
        seen = np.mod(seen, 2 * fine)
        seen = np.minimum(seen, 2 * fine - 1 - seen)
    centres = (seen + 0.5) * coarse / fine - 0.5  # of pixels, counted in patches
    first = np.floor(centres).astype(np.int64)
    share = centres - first
    sides = (first, weights * (1 - share)), (first + 1, weights * share)
    start = first[:, :1]
    found = np.zeros((len(pixels), coarse if bounded else int((first - start).max(initial=0)) + 2))
    for patch, weight in sides:
        place = np.clip(patch, 0, coarse - 1) if bounded else patch - start
        np.add.at(found, (np.arange(len(pixels))[:, None], place), weight)
    return found
