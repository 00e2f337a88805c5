"""Adds variants of normal images to a memory, so that it does not report brighter or rotated parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.errors import AdframeError, above


class Variants:
    """Makes the variants that a memory contains besides each normal image.

    Args:
        brightness: factors on the pixels, above 0 (SuperADD uses 0.8 and 1.2).
        rotations: degrees counter-clockwise. Quarter turns are exact; at other angles the size stays, pixels
            are interpolated bilinearly, and corners are filled by reflection.

    Raises:
        AdframeError: if a factor or an angle is not possible.

    Example:
        >>> [tuple(image.shape) for image in Variants(rotations=[90]).of(torch.rand(1, 3, 4, 6))]
        [(1, 3, 4, 6), (1, 3, 6, 4)]
    """

    def __init__(self, *, brightness: Sequence[float] = (), rotations: Sequence[float] = ()) -> None:
        if not all(above(factor, 0) for factor in brightness):
            raise AdframeError(f"model.brightness={list(brightness)} must be factors above 0")
        if not all(math.isfinite(angle) and angle % 360 for angle in rotations):
            raise AdframeError(f"model.rotations={list(rotations)} must be degrees, and no multiples of 360")
        self.brightness, self.rotations = list(brightness), list(rotations)

    def of(self, image: Tensor) -> Iterator[Tensor]:
        """Yields the image, then each variant; a quarter turn exchanges H and W.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Yields:
            (B, 3, H, W) or (B, 3, W, H).
        """
        yield image
        for factor in self.brightness:
            yield (image * factor).clamp(0, 1)
        for angle in self.rotations:
            if angle % 90:
                yield rotated(image, angle)
            else:
                yield torch.rot90(image, int(angle // 90) % 4, dims=(2, 3))


def rotated(image: Tensor, angle: float) -> Tensor:
    """Rotates images about their centre, and fills the corners by reflection.

    Args:
        image: (B, 3, H, W).
        angle: degrees counter-clockwise.

    Returns:
        (B, 3, H, W).
    """
    height, width = image.shape[-2:]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # `affine_grid` counts both sides from -1 to 1, so that the ratio of the sides comes in.
    matrix = image.new_tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    grid = F.affine_grid(matrix.expand(len(image), 2, 3), list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
