"""Gradient magnitude similarity between two images, on several scales."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

STABILITY = 0.0026  # c of the paper, whose images are in [0, 255], brought to [0, 1]: 170 / 255^2
TINY = 1e-8  # under the root, whose slope is infinite at 0


def gradient_dissimilarity(image: Tensor, other: Tensor, *, scales: int = 4) -> Tensor:
    """1 - GMS by pixel, averaged over scales.

    GMS (Xue et al., Gradient Magnitude Similarity Deviation, TIP 2014) compares the lengths of two
    images' Prewitt gradients: 2ab + c over a^2 + b^2 + c. Scales are halvings by averaging, brought
    back bilinearly, as in RIAD (Zavrtanik et al., Pattern Recognition 2021, eq. 3 and 4).

    Args:
        image: (B, 1, H, W) grey values, black 0, white 1.
        other: what it is compared with, of the same shape.
        scales: of the pyramid, the image itself counted; fewer where a side would fall below 4 pixels.

    Returns:
        (B, 1, H, W) in [0, 1], 0 where the gradients are equally strong.
    """
    grey, truth = image, other
    total, count = torch.zeros_like(grey), 0
    for scale in range(scales):
        if scale:
            if min(grey.shape[-2:]) < 8:
                break
            grey, truth = _halved(grey), _halved(truth)
        a, b = _energy(grey), _energy(truth)
        apart = 1 - (2 * (a * b).sqrt() + STABILITY) / (a + b + STABILITY)
        total = total + (_enlarged(apart, image, factor=2**scale) if scale else apart)
        count += 1
    return total / count


def _halved(grey: Tensor) -> Tensor:
    """(B, 1, H, W) to half the size, rounded up: the last row or column of an odd side counts as well."""
    return F.avg_pool2d(grey, 2, ceil_mode=True)


def _enlarged(coarse: Tensor, like: Tensor, *, factor: int) -> Tensor:
    """Back by exactly the factor, and cut: fitting it to an odd side would move what it shows."""
    fine = F.interpolate(coarse, scale_factor=factor, mode="bilinear")
    return fine[..., : like.shape[-2], : like.shape[-1]]


def _energy(grey: Tensor) -> Tensor:
    """(B, 1, H, W) to the squared length of the Prewitt gradient, the edge repeated.

    Sums and differences of shifted images: a convolution with one channel is slower on every CPU.
    """
    wide = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    down = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    across = wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]
    horizontal, vertical = down[..., :-2] - down[..., 2:], across[..., :-2, :] - across[..., 2:, :]
    return (horizontal.square() + vertical.square()) / 9 + TINY
