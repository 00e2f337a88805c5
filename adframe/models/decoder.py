"""Decodes tokens to a map: the light head of masked reconstruction."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class TokenDecoder(nn.Module):
    """Applies an MLP to each token independently; the content of a patch must come from the transformer.

    Three linear layers with GELU and one to the pixels, as in SiT's reconstruction head (arXiv 2104.03602,
    section 3.1; its transposed convolution over one patch is a linear layer).

    Args:
        width: channels of a token.
        side: cells per side of a patch: its pixels, or fewer for coarser maps.
        channels: channels of the map.

    Example:
        >>> import torch
        >>> TokenDecoder(16, side=4, channels=3)(torch.rand(1, 6, 16), grid=(2, 3)).shape
        torch.Size([1, 3, 8, 12])
    """

    def __init__(self, width: int, *, side: int, channels: int) -> None:
        super().__init__()
        self.side = side
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.GELU())]
        last = nn.Linear(width, channels * side * side)
        # Starts at the mean colour instead of noise.
        nn.init.trunc_normal_(last.weight, std=0.002)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*hidden, last)

    def forward(self, tokens: Tensor, *, grid: tuple[int, int]) -> Tensor:
        """Decodes tokens.

        Args:
            tokens: (B, h * w, D).
            grid: (h, w) in patches.

        Returns:
            (B, channels, h * side, w * side).
        """
        cells = self.layers(tokens).transpose(1, 2).unflatten(2, grid)  # (B, channels * side^2, h, w)
        return F.pixel_shuffle(cells, self.side)
