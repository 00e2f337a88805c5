"""Adds variants of normal images to a memory, so that it does not report brighter or rotated parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from adframe.errors import AdframeError, above


class Variants:
    """Makes the variants that a memory contains besides each normal image.

    Args:
        brightness: factors on the pixels, above 0 (SuperADD uses 0.8 and 1.2).
        rotations: degrees, multiples of 90, so that no corner has to be filled.

    Raises:
        AdframeError: if a factor or an angle is not possible.

    Example:
        >>> [tuple(image.shape) for image in Variants(rotations=[90]).of(torch.rand(1, 3, 4, 6))]
        [(1, 3, 4, 6), (1, 3, 6, 4)]
    """

    def __init__(self, *, brightness: Sequence[float] = (), rotations: Sequence[int] = ()) -> None:
        if not all(above(factor, 0) for factor in brightness):
            raise AdframeError(f"model.brightness={list(brightness)} must be factors above 0")
        if any(angle % 90 or not angle % 360 for angle in rotations):
            raise AdframeError(f"model.rotations={list(rotations)} must be some of 90, 180 and 270")
        self.brightness, self.turns = list(brightness), [angle // 90 % 4 for angle in rotations]

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
        for turns in self.turns:
            yield torch.rot90(image, turns, dims=(2, 3))
