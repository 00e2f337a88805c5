"""The same normal image once more, brighter or turned: a bank that has seen it does not report it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from adframe.errors import AdframeError, above


class Variants:
    """What else goes into a memory beside each normal image.

    Args:
        brightness: factors on the pixels (SuperADD uses 0.8 and 1.2).
        rotations: degrees, multiples of 90, so that no corner has to be invented.
    """

    def __init__(self, *, brightness: Sequence[float] = (), rotations: Sequence[int] = ()) -> None:
        if not all(above(factor, 0) for factor in brightness):
            raise AdframeError(f"model.brightness={list(brightness)} must hold factors above 0")
        if any(angle % 90 or not angle % 360 for angle in rotations):
            raise AdframeError(f"model.rotations={list(rotations)} must hold 90, 180 or 270")
        self.brightness, self.turns = list(brightness), [angle // 90 % 4 for angle in rotations]

    def of(self, image: Tensor) -> Iterator[Tensor]:
        """(B, 3, H, W) as it is, then each variant; a quarter turn swaps H and W."""
        yield image
        for factor in self.brightness:
            yield (image * factor).clamp(0, 1)
        for turns in self.turns:
            yield torch.rot90(image, turns, dims=(2, 3))
