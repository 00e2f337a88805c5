"""Turns a patch grid into a heatmap: bilinear upsampling and Gaussian smoothing, as two small matrix
products.

Both steps are linear and separable, so their composition along one axis is one matrix. Applying it costs
h*w*H multiplications instead of a convolution over every pixel of the large map.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# Standard deviations at which the Gaussian is cut off.
TRUNCATE = 4.0


def heatmap(grid: Tensor, *, size: tuple[int, int], sigma: float) -> Tensor:
    """Upsamples patch scores bilinearly and smooths them with a Gaussian.

    Inside the map this is plain smoothing. At the border, where a Gaussian is cut off and reflected, it would
    average fewer patches than inside: noise would be up to four times as strong in the corners, and the
    maxima of normal images would lie there. So the Gaussian becomes wider towards the border, until its value
    averages as many patches as inside; a single anomalous patch then stands out equally wherever it lies.

    Args:
        grid: (B, 1, h, w) patch scores.
        size: (H, W) of the heatmap in pixels.
        sigma: standard deviation in pixels of the heatmap; 0 does not smooth. The Gaussian is truncated at 4
            sigma and reflected at the border.

    Returns:
        (B, 1, H, W) heatmap, with the dtype of `grid`.
    """
    rows = axis_matrix(grid.shape[-2], size[0], sigma).to(grid)  # (H, h)
    columns = axis_matrix(grid.shape[-1], size[1], sigma).to(grid)  # (W, w)
    return rows @ grid @ columns.T


@lru_cache(maxsize=32)
def axis_matrix(coarse: int, fine: int, sigma: float) -> Tensor:
    """Returns the matrix of upsampling and smoothing along one axis.

    Args:
        coarse: number of patches.
        fine: number of pixels.
        sigma: standard deviation in pixels.

    Returns:
        (fine, coarse) float32; rows sum to 1. It is cached and must not be changed.
    """
    pixels = np.arange(fine)
    sigmas = np.full(fine, float(sigma))
    matrix = _patch_weights(pixels, sigmas, coarse=coarse, fine=fine, bounded=True)
    if sigma > 0:
        wanted = _noise_level(_patch_weights(pixels, sigmas, coarse=coarse, fine=fine, bounded=False))
        noisy = np.flatnonzero(_noise_level(matrix) > wanted * (1 + 1e-9))
        wide = _widened_sigmas(noisy, wanted[noisy], sigma=sigma, coarse=coarse, fine=fine)
        matrix[noisy] = _patch_weights(noisy, wide, coarse=coarse, fine=fine, bounded=True)
    return torch.from_numpy(matrix).float()


def _widened_sigmas(
    pixels: np.ndarray, wanted: np.ndarray, *, sigma: float, coarse: int, fine: int
) -> np.ndarray:
    """Returns the smallest standard deviation (n,) with which each pixel has at most the noise `wanted`
    (n,).
    """
    low, high = np.full(len(pixels), float(sigma)), np.full(len(pixels), float(max(4 * sigma, fine)))
    for _ in range(24):  # 24 halvings: to a millionth of the range
        middle = (low + high) / 2
        rows = _patch_weights(pixels, middle, coarse=coarse, fine=fine, bounded=True)
        quiet = _noise_level(rows) <= wanted
        low, high = np.where(quiet, low, middle), np.where(quiet, middle, high)
    return high


def _noise_level(rows: np.ndarray) -> np.ndarray:
    """Returns (n,) standard deviations of means, with (n, m) weights, of independent patches of deviation
    1.
    """
    return np.asarray(np.sqrt(np.square(rows).sum(axis=1)))


def _patch_weights(
    pixels: np.ndarray, sigmas: np.ndarray, *, coarse: int, fine: int, bounded: bool
) -> np.ndarray:
    """Returns the weights (n, m) of the patches in the values of pixels, each pixel with its own Gaussian.

    Args:
        pixels: (n,) positions along the axis.
        sigmas: (n,) in pixels; 0 does not smooth.
        coarse: number of patches along the axis.
        fine: number of pixels along the axis.
        bounded: if true, m is `coarse`, and positions beyond the border are reflected; otherwise the grid of
            patches is unbounded, and each row has the patches around its own pixel.
    """
    reaches = np.floor(TRUNCATE * sigmas + 0.5)[:, None]
    offsets = np.arange(-reaches.max(initial=0), reaches.max(initial=0) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        gauss = np.exp(-0.5 * np.square(offsets / sigmas[:, None]))
    weights = np.where(np.abs(offsets) <= reaches, np.where(offsets == 0, 1.0, gauss), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    positions = pixels[:, None] + offsets
    if bounded:
        positions = np.mod(positions, 2 * fine)
        positions = np.minimum(positions, 2 * fine - 1 - positions)
    # Pixel positions in units of patches.
    centres = (positions + 0.5) * coarse / fine - 0.5
    first = np.floor(centres).astype(np.int64)
    share = centres - first
    sides = (first, weights * (1 - share)), (first + 1, weights * share)
    start = first[:, :1]
    found = np.zeros((len(pixels), coarse if bounded else int((first - start).max(initial=0)) + 2))
    for patch, weight in sides:
        place = np.clip(patch, 0, coarse - 1) if bounded else patch - start
        np.add.at(found, (np.arange(len(pixels))[:, None], place), weight)
    return found
