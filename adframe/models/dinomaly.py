"""Dinomaly: a noisy bottleneck and a decoder that cannot focus reconstruct the tokens of a frozen ViT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError, at_least
from adframe.models.lora import AnyVit
from adframe.models.shared_step import values_of_all
from adframe.models.token_reconstruction import (
    Groups,
    MapScoring,
    TokenReconstruction,
    heads_of,
    initialise,
    mean_of,
)

AttentionKind = Literal["linear", "softmax"]


class Dinomaly(TokenReconstruction):
    """Reconstructs the mean tokens of two groups of encoder blocks (Guo et al., CVPR 2025, arXiv 2405.14325).

    The mean of the encoder's tokens passes an MLP with dropout, and as many decoder blocks as encoder blocks
    are read. The first decoder block reconstructs the last of these encoder blocks.

    Args:
        vit: the encoder with its weights; it stays unchanged.
        scoring: configures heatmaps and image scores.
        blocks: blocks whose patch tokens are reconstructed, counted from 0, ascending; None takes the middle
            ones, 2 to 9 of 12.
        groups: number of groups of consecutive blocks whose means are compared; 2 is the paper's loose
            constraint, `each` the strict one of every block by itself.
        attention: attention of the decoder: `linear`, or `softmax` as in the encoder.
        dropout: dropout of the bottleneck in training, in [0, 1).
        mining: share of the points whose gradient is reduced, in [0, 1): those of the smallest distance.
        mining_factor: factor of their gradient, in [0, 1].
        mining_steps: number of steps in which the share rises from 0, 0 or more.
        recentre: whether the class token is subtracted from patch tokens, which are then layer-normed
            (Dinomaly2's context recentring).
        seed: seed of dropout.

    Raises:
        AdframeError: if a setting is not possible.

    Example:
        >>> from adframe.models.vit import Vit
        >>> model = Dinomaly(Vit("test_vit", source="random"), scoring=MapScoring())
        >>> model(torch.rand(1, 3, 64, 64)).heatmap.shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(
        self,
        vit: AnyVit,
        *,
        scoring: MapScoring,
        blocks: Sequence[int] | None = None,
        groups: Groups = 2,
        attention: AttentionKind = "linear",
        dropout: float = 0.2,
        mining: float = 0.9,
        mining_factor: float = 0.1,
        mining_steps: int = 1000,
        recentre: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__(vit, scoring=scoring, blocks=blocks, groups=groups, recentre=recentre, seed=seed)
        wrong = [
            text
            for text, bad in (
                (f"dropout={dropout} must be in [0, 1)", not 0 <= dropout < 1),
                (f"mining={mining} must be in [0, 1)", not 0 <= mining < 1),
                (f"mining_factor={mining_factor} must be from 0 to 1", not 0 <= mining_factor <= 1),
                (f"mining_steps={mining_steps} must be 0 or more", not at_least(mining_steps, 0)),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"model.{text}" for text in wrong))
        self.mining, self.mining_factor, self.mining_steps = mining, mining_factor, mining_steps
        # Dropout after both layers: it is all the noise that the method adds.
        self.bottleneck = Mlp(vit.width, 4 * vit.width, drop=dropout)
        self.decoder = nn.ModuleList(DecoderBlock(vit.width, attention=attention) for _ in self.blocks)
        initialise(self.bottleneck)
        initialise(self.decoder)

    def reconstruct(self, targets: Sequence[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Reconstructs tokens.

        Args:
            targets: (B, N, D) of each block.

        Returns:
            (B, N, D) of each block in the same order, and no further loss.
        """
        tokens = self.bottleneck(mean_of(targets))
        found = []
        for block in self.decoder:
            tokens = block(tokens)
            found.append(tokens)
        return found[::-1], {}

    def gradient_factors(self, distance: Tensor) -> Tensor:
        """Returns `mining_factor` for the points of the smallest distances of a batch, and 1 for the others.

        Args:
            distance: (B, N).

        Returns:
            (B, N).
        """
        share = (
            self.mining * min(1.0, int(self.step) / self.mining_steps) if self.mining_steps else self.mining
        )
        limit = values_of_all(distance).flatten().quantile(share)
        return torch.where(distance < limit, self.mining_factor, 1.0)


class DecoderBlock(nn.Module):
    """A block of a vision transformer, of which the attention can be chosen.

    Args:
        width: channels of a token.
        attention: `linear` or `softmax`.

    Example:
        >>> DecoderBlock(16)(torch.rand(1, 6, 16)).shape
        torch.Size([1, 6, 16])
    """

    def __init__(self, width: int, *, attention: AttentionKind = "linear") -> None:
        super().__init__()
        heads = heads_of(width)
        self.norm = nn.LayerNorm(width)
        self.attention: nn.Module = (
            LinearAttention(width, heads=heads)
            if attention == "linear"
            else Attention(width, num_heads=heads, qkv_bias=True)
        )
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transforms tokens.

        Args:
            tokens: (B, N, D).

        Returns:
            (B, N, D).
        """
        tokens = tokens + self.attention(self.norm(tokens))
        transformed: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return transformed


class LinearAttention(nn.Module):
    """Attention with the feature map elu + 1 in place of softmax (Katharopoulos et al., ICML 2020).

    With f = elu + 1, the value of a token is f(q) sum(f(k) v^T) / (f(q) sum f(k)), at a cost that is linear
    in the number of tokens. Its weights are spread over the image, so that a token cannot copy itself.

    Args:
        width: channels of a token.
        heads: number of heads, a divisor of the width.

    Example:
        >>> LinearAttention(16, heads=2)(torch.rand(1, 6, 16)).shape
        torch.Size([1, 6, 16])
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes attention.

        Args:
            tokens: (B, N, D).

        Returns:
            (B, N, D).
        """
        batch, count, width = tokens.shape
        three = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        # Sums over all tokens would lose their small terms in half precision.
        with torch.autocast(tokens.device.type, enabled=False):
            queries, keys, values = three.float().permute(2, 0, 3, 1, 4)  # (B, heads, N, d) each
            queries, keys = F.elu(queries) + 1, F.elu(keys) + 1
            # Not a product of matrices: for a single image another kernel would round in another way.
            sums = (queries * keys.sum(dim=2, keepdim=True)).sum(dim=3, keepdim=True)  # (B, heads, N, 1)
            mixed = queries @ (keys.transpose(2, 3) @ values) / sums
        found: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, width).to(tokens.dtype))
        return found
