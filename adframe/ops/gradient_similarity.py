"""Compares the gradient magnitudes of two images on several scales."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# c of the paper is 170 for images in [0, 255]; in [0, 1] that is 170 / 255^2.
GMS_CONSTANT = 0.0026
# Added under the square root, whose slope is infinite at 0.
ROOT_OFFSET = 1e-8


def gradient_dissimilarity(image: Tensor, other: Tensor, *, scales: int = 4) -> Tensor:
    """Computes 1 - GMS per pixel, averaged over scales.

    GMS (Xue et al., Gradient Magnitude Similarity Deviation, TIP 2014) compares the lengths of two images'
    Prewitt gradients: (2ab + c) / (a^2 + b^2 + c). Scales are halvings by averaging, enlarged again
    bilinearly, as in RIAD (Zavrtanik et al., Pattern Recognition 2021, eq. 3 and 4).

    Args:
        image: (B, 1, H, W) grey values, black 0, white 1.
        other: image to compare with, of the same shape.
        scales: levels of the pyramid including the image itself; fewer where a side would be below 4 pixels.

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
        a, b = _squared_gradient(grey), _squared_gradient(truth)
        apart = 1 - (2 * (a * b).sqrt() + GMS_CONSTANT) / (a + b + GMS_CONSTANT)
        total = total + (_enlarged(apart, image, factor=2**scale) if scale else apart)
        count += 1
    return total / count


def _halved(grey: Tensor) -> Tensor:
    """Halves (B, 1, H, W), rounded up: the last row or column of an odd side counts as well."""
    return F.avg_pool2d(grey, 2, ceil_mode=True)


def _enlarged(coarse: Tensor, like: Tensor, *, factor: int) -> Tensor:
    """Enlarges by exactly the factor and crops, because fitting to an odd side would shift the content."""
    fine = F.interpolate(coarse, scale_factor=factor, mode="bilinear")
    return fine[..., : like.shape[-2], : like.shape[-1]]


def _squared_gradient(grey: Tensor) -> Tensor:
    """Returns the squared length of the Prewitt gradient of (B, 1, H, W), with the edge repeated.

    It uses sums and differences of shifted images, because a convolution with one channel is slower on every
    CPU.
    """
    wide = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    down = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    across = wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]
    horizontal, vertical = down[..., :-2] - down[..., 2:], across[..., :-2, :] - across[..., 2:, :]
    return (horizontal.square() + vertical.square()) / 9 + ROOT_OFFSET
