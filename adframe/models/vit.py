"""A whole vision transformer that may learn: every block, the class token, its own mean and std."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from timm.optim._param_groups import param_groups_layer_decay
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.backbones import build_trunk, check_size, origin_of
from adframe.models.weights import REVISION, Network, digest, load_strict, read_checkpoint, repository_of


class Vit(nn.Module):
    """A timm vision transformer with its starting weights.

    Images of any size that divides into patches: the position embedding is stretched.

    Args:
        model: a timm name of a vision transformer, with or without tag.
        name: what people call it; the timm name where None.
        source: `hub`, `package` or `random`, as for `TimmBackbone`.
        checkpoint: a local file instead: plain weights, or a checkpoint of SiT or DINO, of which
            the chosen network's backbone is taken.
        network: which network of such a checkpoint.
        revision: of the weights on the hub: a branch, a tag or a commit.
        gradient_checkpointing: trades a second forward pass for the memory of activations.

    Raises:
        AdframeError: no such model, no vision transformer, or weights that are unavailable.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        source: str = "hub",
        checkpoint: str | Path | None = None,
        network: Network = "teacher",
        revision: str = REVISION,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.layers = name or model, ("tokens",)
        trunk: Any = build_trunk(model, source=source, checkpoint=checkpoint, revision=revision)
        if not isinstance(trunk, VisionTransformer):
            raise AdframeError(
                f"{self.name} is no vision transformer, and masked images need one; "
                "choose backbone=sit_small, vit_base_16 or another vit"
            )
        whole = set(trunk.state_dict())
        trunk.reset_classifier(0, "")
        self.origin = origin_of(model, source=source, repository=repository_of(trunk), revision=revision)
        if checkpoint is not None:
            state, said = read_checkpoint(Path(checkpoint), network=network)
            load_strict(trunk, state, ignorable=whole, origin=f"backbone.checkpoint={checkpoint}")
            self.origin = f"{checkpoint}: {said}"
        self.digest = digest(trunk)  # of the starting weights
        trunk.set_grad_checkpointing(gradient_checkpointing)
        self.trunk: Any = trunk
        config: Any = trunk.pretrained_cfg
        for key in ("mean", "std"):
            value = torch.tensor(config[key]).view(1, 3, 1, 1)
            self.register_buffer(key, value, persistent=False)

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.trunk.patch_embed.patch_size[0])

    @property
    def width(self) -> int:
        """Channels of a token."""
        return int(self.trunk.embed_dim)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.trunk.blocks)

    def normalise(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to zero mean and unit spread, by the mean and std of the weights."""
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        return (image - self.mean) / self.std

    def restore(self, normal: Tensor) -> Tensor:
        """Normalised pixels back to [0, 1], what lies beyond cut off."""
        return (normal * self.std + self.mean).clamp(0, 1)

    def grey(self, normal: Tensor) -> Tensor:
        """Normalised pixels to grey values (B, 1, H, W), black 0, white 1: the mean of the colours."""
        return (normal * (self.std / 3)).sum(dim=1, keepdim=True) + self.mean.mean()

    def forward(self, normal: Tensor) -> Tensor:
        """(B, 3, H, W) normalised to all final tokens (B, prefix + N, D), layer-normed."""
        tokens: Tensor = self.trunk.forward_features(normal)
        return tokens

    def patches(self, tokens: Tensor) -> Tensor:
        """The (B, N, D) patch tokens among all tokens."""
        return tokens[:, self.trunk.num_prefix_tokens :]

    def at(self, normal: Tensor, *, blocks: Sequence[int]) -> list[Tensor]:
        """(B, 3, H, W) normalised to the (B, N, D) patch tokens after chosen blocks, counted from 0."""
        found: list[Tensor] = self.trunk.forward_intermediates(
            normal, indices=list(blocks), output_fmt="NLC", intermediates_only=True, stop_early=True
        )
        return found

    def both(self, normal: Tensor, *, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """`forward` and `at` in one pass."""
        final, found = self.trunk.forward_intermediates(
            normal, indices=list(blocks), output_fmt="NLC", intermediates_only=False
        )
        order = sorted(range(len(blocks)), key=lambda i: blocks[i])  # timm returns them by depth
        by_block = dict(zip(order, found, strict=True))
        return final, [by_block[i] for i in range(len(blocks))]

    def projections(self, letters: Sequence[str], *, blocks: Sequence[int]) -> list[str]:
        """Names of the attention's linear layers: timm makes queries, keys and values in one, `qkv`."""
        parts = sorted({"attn.proj" if letter == "o" else "attn.qkv" for letter in letters})
        return [f"blocks.{block}.{part}" for block in blocks for part in parts]

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Parameter groups whose `lr_scale` falls by `layer_decay` a block towards the input.

        timm's: biases, norms, the class token and the position embedding do not decay.
        """
        unscaled = self.trunk.no_weight_decay()
        return list(
            param_groups_layer_decay(
                self.trunk, weight_decay, no_weight_decay_list=unscaled, layer_decay=layer_decay
            )
        )


def token_distance(vit: Vit, image: Tensor, other: Tensor, *, blocks: Sequence[int]) -> Tensor:
    """1 - cosine of two images' patch tokens, averaged over chosen blocks: (B, 1, h, w).

    Args:
        vit: whose tokens.
        image: (B, 3, H, W) normalised.
        other: what it is compared with, of the same shape.
        blocks: counted from 0.
    """
    pairs = zip(vit.at(image, blocks=blocks), vit.at(other, blocks=blocks), strict=True)
    apart = [1 - F.cosine_similarity(a.float(), b.float(), dim=2) for a, b in pairs]  # (B, N) each
    grid = (image.shape[-2] // vit.patch, image.shape[-1] // vit.patch)
    return torch.stack(apart).mean(0).view(len(image), 1, *grid)
