"""INP-Former: tokens are reconstructed from a few prototypes of the normal parts of the same image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError, at_least
from adframe.models.lora import AnyVit
from adframe.models.shared_step import total_of_all
from adframe.models.token_reconstruction import (
    Groups,
    MapScoring,
    TokenReconstruction,
    heads_of,
    initialise,
    mean_of,
)


class InpFormer(TokenReconstruction):
    """Reconstructs tokens from intrinsic normal prototypes (Luo et al., CVPR 2025, arXiv 2503.02424).

    Learned tokens attend to the fused tokens of an image and become its prototypes. Tokens of the decoder are
    sums of prototypes only, so that what none of them represents is not reconstructed.

    Args:
        vit: the encoder with its weights; it stays unchanged.
        scoring: configures heatmaps and image scores.
        blocks: blocks whose patch tokens are reconstructed, counted from 0, ascending; None takes the middle
            ones, 2 to 9 of 12.
        groups: number of groups of consecutive blocks whose means are compared, or `each`.
        prototypes: number of prototypes of an image, 1 or more.
        coherence: weight of the coherence loss, 0 or more.
        mining: exponent of the soft mining, 0 or more; 0 leaves the gradient unchanged.
        recentre: whether the class token is subtracted from patch tokens, which are then layer-normed (of
            Dinomaly2, not of this paper).
        seed: seed of random draws in training.

    Raises:
        AdframeError: if a setting is not possible.

    Example:
        >>> from adframe.models.vit import Vit
        >>> model = InpFormer(Vit("test_vit", source="random"), scoring=MapScoring())
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
        prototypes: int = 6,
        coherence: float = 0.2,
        mining: float = 3.0,
        recentre: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__(vit, scoring=scoring, blocks=blocks, groups=groups, recentre=recentre, seed=seed)
        if prototypes < 1 or not at_least(coherence, 0) or not at_least(mining, 0):
            raise AdframeError(
                f"model.prototypes={prototypes} must be 1 or more, model.coherence={coherence} and "
                f"model.mining={mining} 0 or more"
            )
        self.coherence, self.mining = coherence, mining
        self.extractor = PrototypeExtractor(vit.width, prototypes=prototypes)
        self.bottleneck = Mlp(vit.width, 4 * vit.width)
        self.decoder = nn.ModuleList(GuidedBlock(vit.width) for _ in self.blocks)
        for part in (self.extractor, self.bottleneck, self.decoder):
            initialise(part)

    def reconstruct(self, targets: Sequence[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Reconstructs tokens from the prototypes of their image.

        Args:
            targets: (B, N, D) of each block.

        Returns:
            (B, N, D) of each block in the same order, and the weighted coherence loss.
        """
        fused = mean_of(targets)
        prototypes = self.extractor(fused)
        tokens = self.bottleneck(fused)
        found = []
        for block in self.decoder:
            tokens = block(tokens, prototypes)
            found.append(tokens)
        return found[::-1], {"coherence": self.coherence * coherence_loss(fused, prototypes)}

    def gradient_factors(self, distance: Tensor) -> Tensor:
        """Returns (d / mean d)^mining, with the mean over the points of a batch.

        Args:
            distance: (B, N).

        Returns:
            (B, N).
        """
        # Rounding can give a distance just below 0, of which a power may be undefined.
        distance = distance.clamp(min=0)
        count = torch.tensor(float(distance.numel()), device=distance.device)
        mean = total_of_all(distance.sum()) / total_of_all(count)
        return (distance / mean.clamp(min=1e-12)) ** self.mining


class PrototypeExtractor(nn.Module):
    """Learned tokens T attend to the tokens of an image and become its prototypes P.

    T' = softmax(Q K^T / sqrt(d)) V + T with queries of T, keys and values of the image, and P = MLP(T') + T'.
    Inputs of the attention and of the MLP are layer-normed, as in vision transformers.

    Args:
        width: channels of a token.
        prototypes: number of prototypes M.

    Example:
        >>> PrototypeExtractor(16, prototypes=3)(torch.rand(2, 6, 16)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(self, width: int, *, prototypes: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        # Different from the start: prototypes from the same small numbers would stay alike for long.
        self.tokens = nn.Parameter(torch.randn(prototypes, width))
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.keys_values = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.mlp_norm, self.mlp = nn.LayerNorm(width), Mlp(width, 4 * width)

    def forward(self, fused: Tensor) -> Tensor:
        """Computes the prototypes of images.

        Args:
            fused: (B, N, D) tokens.

        Returns:
            (B, M, D).
        """
        learned = self.tokens.expand(len(fused), -1, -1)
        queries = _by_head(self.queries(self.query_norm(learned)), heads=self.heads)
        keys, values = (
            _by_head(part, heads=self.heads)
            for part in self.keys_values(self.key_norm(fused)).chunk(2, dim=2)
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        attended = learned + self.proj(mixed.transpose(1, 2).flatten(2))
        prototypes: Tensor = attended + self.mlp(self.mlp_norm(attended))
        return prototypes


class GuidedBlock(nn.Module):
    """A decoder block whose tokens attend to the prototypes, without the first residual.

    A = ReLU(s cos(q, k)) with a learned scale s per head; the result A V replaces the tokens, instead of
    being added to them, so that all of it comes from the prototypes.

    Args:
        width: channels of a token.

    Example:
        >>> GuidedBlock(16)(torch.rand(2, 6, 16), torch.rand(2, 3, 16)).shape
        torch.Size([2, 6, 16])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norm, self.prototype_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.keys_values = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.scale = nn.Parameter(torch.ones(self.heads, 1, 1))
        self.proj = nn.Linear(width, width)
        self.mlp_norm, self.mlp = nn.LayerNorm(width), Mlp(width, 4 * width)

    def forward(self, tokens: Tensor, prototypes: Tensor) -> Tensor:
        """Rebuilds tokens from prototypes.

        Args:
            tokens: (B, N, D).
            prototypes: (B, M, D).

        Returns:
            (B, N, D).
        """
        queries = _by_head(self.queries(self.norm(tokens)), heads=self.heads)
        both = self.keys_values(self.prototype_norm(prototypes)).chunk(2, dim=2)
        keys, values = (_by_head(part, heads=self.heads) for part in both)
        cosines = F.normalize(queries, dim=3) @ F.normalize(keys, dim=3).transpose(2, 3)  # (B, heads, N, M)
        mixed = F.relu(self.scale * cosines).to(values.dtype) @ values
        rebuilt = self.proj(mixed.transpose(1, 2).flatten(2))
        found: Tensor = rebuilt + self.mlp(self.mlp_norm(rebuilt))
        return found


def coherence_loss(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """Computes the mean distance 1 - cosine of each token from its nearest prototype.

    Args:
        tokens: (B, N, D).
        prototypes: (B, M, D).

    Returns:
        A scalar.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        cosines = F.normalize(tokens.float(), dim=2) @ F.normalize(prototypes.float(), dim=2).transpose(1, 2)
        return (1 - cosines).amin(dim=2).mean()


def _by_head(tokens: Tensor, *, heads: int) -> Tensor:
    """Returns (B, heads, N, d) of (B, N, D)."""
    batch, count, width = tokens.shape
    return tokens.view(batch, count, heads, width // heads).transpose(1, 2)
