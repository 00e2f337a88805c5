"""Wraps a whole, trainable vision transformer: every block, the class token, its own mean and std."""

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
from adframe.models.weights import (
    REVISION,
    Network,
    load_strict,
    read_checkpoint,
    repository_of,
    weights_digest,
)


class Vit(nn.Module):
    """A timm vision transformer with its starting weights.

    Images may have any size that divides into patches: the position embedding is interpolated.

    Args:
        model: a timm name of a vision transformer, with or without tag.
        name: name in tables; None takes the timm name.
        source: `hub`, `package` or `random`, as for `TimmBackbone`.
        checkpoint: a local file to load instead: plain weights, or a checkpoint of SiT or DINO, of which the
            chosen network's backbone is taken.
        network: network to take from such a checkpoint.
        revision: revision of the weights on the hub: a branch, a tag or a commit.
        gradient_checkpointing: whether to save memory of activations by a second forward pass.

    Raises:
        AdframeError: if the model does not exist or is not a vision transformer, or its weights are
            unavailable.

    Example:
        >>> vit = Vit("test_vit", source="random")
        >>> tokens = vit(vit.normalise(torch.rand(1, 3, 32, 32)))
        >>> vit.patches(tokens).shape[1] == (32 // vit.patch) ** 2
        True
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
                f"{self.name} is not a vision transformer, which masked images require; "
                "choose backbone=sit_small, vit_base_16 or another vit"
            )
        whole = set(trunk.state_dict())
        trunk.reset_classifier(0, "")
        self.origin = origin_of(model, source=source, repository=repository_of(trunk), revision=revision)
        if checkpoint is not None:
            state, said = read_checkpoint(Path(checkpoint), network=network)
            load_strict(trunk, state, ignorable=whole, origin=f"backbone.checkpoint={checkpoint}")
            self.origin = f"{checkpoint}: {said}"
        self.digest = weights_digest(trunk)  # of the starting weights
        trunk.set_grad_checkpointing(gradient_checkpointing)
        self.trunk: Any = trunk
        config: Any = trunk.pretrained_cfg
        for key in ("mean", "std"):
            value = torch.tensor(config[key]).view(1, 3, 1, 1)
            self.register_buffer(key, value, persistent=False)

    @property
    def patch(self) -> int:
        """Returns the side of a patch in pixels."""
        return int(self.trunk.patch_embed.patch_size[0])

    @property
    def width(self) -> int:
        """Returns the channels of a token."""
        return int(self.trunk.embed_dim)

    @property
    def depth(self) -> int:
        """Returns the number of blocks."""
        return len(self.trunk.blocks)

    def normalise(self, image: Tensor) -> Tensor:
        """Normalises images by the mean and standard deviation of the weights.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, 3, H, W).

        Raises:
            AdframeError: if the image does not divide into patches.
        """
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        return (image - self.mean) / self.std

    def restore(self, normal: Tensor) -> Tensor:
        """Inverts `normalise`, and clips to [0, 1].

        Args:
            normal: (B, 3, H, W), normalised.

        Returns:
            (B, 3, H, W) in [0, 1].
        """
        return (normal * self.std + self.mean).clamp(0, 1)

    def grey(self, normal: Tensor) -> Tensor:
        """Converts normalised pixels to grey values, the mean of the colours.

        Args:
            normal: (B, 3, H, W), normalised.

        Returns:
            (B, 1, H, W), black 0, white 1.
        """
        return (normal * (self.std / 3)).sum(dim=1, keepdim=True) + self.mean.mean()

    def forward(self, normal: Tensor) -> Tensor:
        """Computes all final tokens.

        Args:
            normal: (B, 3, H, W), normalised.

        Returns:
            (B, prefix + N, D), layer-normed.
        """
        tokens: Tensor = self.trunk.forward_features(normal)
        return tokens

    def patches(self, tokens: Tensor) -> Tensor:
        """Selects the patch tokens.

        Args:
            tokens: all tokens (B, prefix + N, D).

        Returns:
            (B, N, D).
        """
        return tokens[:, self.trunk.num_prefix_tokens :]

    def at(self, normal: Tensor, *, blocks: Sequence[int]) -> list[Tensor]:
        """Computes patch tokens after chosen blocks.

        Args:
            normal: (B, 3, H, W), normalised.
            blocks: counted from 0.

        Returns:
            (B, N, D) per block.
        """
        found: list[Tensor] = self.trunk.forward_intermediates(
            normal, indices=list(blocks), output_fmt="NLC", intermediates_only=True, stop_early=True
        )
        return found

    @property
    def has_class_token(self) -> bool:
        """Tells whether the first token stands for the whole image."""
        return bool(self.trunk.has_class_token)

    def with_class(self, normal: Tensor, *, blocks: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Computes class tokens and patch tokens after chosen blocks; later blocks are not computed.

        Args:
            normal: (B, 3, H, W), normalised.
            blocks: counted from 0, ascending.

        Returns:
            Class tokens (B, 1, D) and patch tokens (B, N, D) per block; without a class token in the network,
            the former are (B, 0, D).
        """
        found = self.trunk.forward_intermediates(
            normal, indices=list(blocks), output_fmt="NLC", intermediates_only=True, stop_early=True,
            return_prefix_tokens=True,
        )  # fmt: skip
        if not self.trunk.num_prefix_tokens:
            return [(patches[:, :0], patches) for patches in found]
        count = int(self.has_class_token)
        return [(prefix[:, :count], patches) for patches, prefix in found]

    def both(self, normal: Tensor, *, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Computes the results of `forward` and `at` in one pass.

        Args:
            normal: (B, 3, H, W), normalised.
            blocks: counted from 0.

        Returns:
            All final tokens, and patch tokens per block.
        """
        final, found = self.trunk.forward_intermediates(
            normal, indices=list(blocks), output_fmt="NLC", intermediates_only=False
        )
        order = sorted(range(len(blocks)), key=lambda i: blocks[i])  # timm returns them by depth
        by_block = dict(zip(order, found, strict=True))
        return final, [by_block[i] for i in range(len(blocks))]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """Applies the LayerNorm that follows the last block.

        Args:
            tokens: (B, N, D) after any block.

        Returns:
            (B, N, D).
        """
        found: Tensor = self.trunk.norm(tokens)
        return found

    def projections(self, letters: Sequence[str], *, blocks: Sequence[int]) -> list[str]:
        """Returns the names of the attention's linear layers; timm computes queries, keys and values by one,
        `qkv`.

        Args:
            letters: some of q, k, v, o.
            blocks: counted from 0.
        """
        parts = sorted({"attn.proj" if letter == "o" else "attn.qkv" for letter in letters})
        return [f"blocks.{block}.{part}" for block in blocks for part in parts]

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns parameter groups whose `lr_scale` falls by `layer_decay` per block towards the input.

        As in timm, biases, norms, the class token and the position embedding have no weight decay.

        Args:
            weight_decay: weight decay of matrices.
            layer_decay: factor in (0, 1].

        Returns:
            The groups.
        """
        unscaled = self.trunk.no_weight_decay()
        return list(
            param_groups_layer_decay(
                self.trunk, weight_decay, no_weight_decay_list=unscaled, layer_decay=layer_decay
            )
        )


def token_distance(vit: Vit, image: Tensor, other: Tensor, *, blocks: Sequence[int]) -> Tensor:
    """Computes 1 - cosine of two images' patch tokens, averaged over chosen blocks.

    Args:
        vit: computes the tokens.
        image: (B, 3, H, W), normalised.
        other: image to compare with, of the same shape.
        blocks: counted from 0.

    Returns:
        (B, 1, h, w).
    """
    pairs = zip(vit.at(image, blocks=blocks), vit.at(other, blocks=blocks), strict=True)
    apart = [1 - F.cosine_similarity(a.float(), b.float(), dim=2) for a, b in pairs]  # (B, N) each
    grid = (image.shape[-2] // vit.patch, image.shape[-1] // vit.patch)
    return torch.stack(apart).mean(0).view(len(image), 1, *grid)
