"""Computes mean and standard deviation of each channel over many feature maps."""

from __future__ import annotations

import torch
from torch import Tensor

# Smallest variance: a channel that is constant would otherwise be divided by zero.
_SMALLEST = 1e-12


class ChannelMoments:
    """Adds feature maps batch by batch, in float64, so that their order does not change float32 results.

    Example:
        >>> moments = ChannelMoments()
        >>> moments.add(torch.tensor([[[[1.0, 3.0]]]]))
        >>> [each.item() for each in moments.result()]
        [2.0, 1.0]
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # (3, C): number, sum, sum of squares

    def add(self, features: Tensor) -> None:
        """Adds feature maps.

        Args:
            features: (B, C, h, w).
        """
        rows = features.detach().double().transpose(0, 1).flatten(1)  # (C, B * h * w)
        count = torch.full_like(rows[:, 0], rows.shape[1])
        sums = torch.stack([count, rows.sum(dim=1), rows.square().sum(dim=1)])
        self._sums = sums if self._sums is None else self._sums + sums

    def result(self) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation (1, C, 1, 1) float32 of all positions that were added.

        Raises:
            RuntimeError: if nothing was added.
        """
        if self._sums is None:
            raise RuntimeError("result before add: there are no features")
        count, total, squares = self._sums
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=_SMALLEST).sqrt()
        return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)
