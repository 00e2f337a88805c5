"""Wraps DINOv2 of Hugging Face's transformers, which has separate queries, keys and values, and registers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.models.backbones import check_size, origin_of
from adframe.models.dinov2_names import has_timm_names, transformers_names
from adframe.models.vit import Vit
from adframe.models.weights import (
    HUB_ADVICE,
    REVISION,
    cached_commit,
    load_strict,
    read_checkpoint,
    weights_digest,
)

VIT_SHAPES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, blocks, heads
# Darcet et al., Vision Transformers Need Registers, ICLR 2024.
REGISTERS = 4
REPOSITORIES = [f"facebook/dinov2-{r}{size}" for r in ("", "with-registers-") for size in VIT_SHAPES]
# Those of ImageNet, as in its image processor.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TransformersVit(nn.Module):
    """DINOv2 (Oquab et al., 2023) with the interface of `models.vit.Vit`, and with the same tokens.

    Position embeddings are resized with antialiasing, as timm does for every DINOv2 and transformers for
    those with registers; without it, tokens at sizes other than 518 differ.

    Args:
        model: one of `REPOSITORIES`.
        name: name in tables; None takes the repository's name.
        source: `hub` (the hub's cache, else a download) or `random`, for tests of the code.
        checkpoint: a local file to load instead, with the names of transformers or of timm.
        revision: revision of the weights on the hub: a branch, a tag or a commit.
        gradient_checkpointing: whether to save memory of activations by a second forward pass.

    Raises:
        AdframeError: if the model is unknown, or the weights are unavailable.

    Example:
        >>> vit = TransformersVit("facebook/dinov2-small", source="random")  # doctest: +SKIP
        >>> vit.patch, vit.width, vit.depth  # doctest: +SKIP
        (14, 384, 12)
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
        revision: str = REVISION,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if model not in REPOSITORIES:
            raise AdframeError(unknown("backbone.model", model, REPOSITORIES))
        self.name, self.layers = name or model, ("tokens",)
        fresh = checkpoint is not None or source == "random"
        trunk: Any = _untrained(model) if fresh else _pretrained(model, revision=revision)
        self.origin = origin_of(model, source=source, repository=model, revision=revision)
        if checkpoint is not None:
            state, said = read_checkpoint(Path(checkpoint))
            if has_timm_names(state):
                state, said = transformers_names(state), f"{said}, converted from timm's names"
            load_strict(trunk, state, ignorable=set(), origin=f"backbone.checkpoint={checkpoint}")
            self.origin = f"{checkpoint}: {said}"
        self.digest = weights_digest(trunk)
        trunk.embeddings.interpolate_pos_encoding = partial(_resized_positions, trunk.embeddings)
        if gradient_checkpointing:
            # transformers' own checkpointing does nothing in eval mode, in which the frozen layers stay.
            for block in trunk.encoder.layer:
                block.forward = partial(recomputed, block.forward, use_reentrant=False)
        self.trunk: Any = trunk
        for key, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(key, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    @property
    def patch(self) -> int:
        """Returns the side of a patch in pixels."""
        return int(self.trunk.config.patch_size)

    @property
    def width(self) -> int:
        """Returns the channels of a token."""
        return int(self.trunk.config.hidden_size)

    @property
    def depth(self) -> int:
        """Returns the number of blocks."""
        return int(self.trunk.config.num_hidden_layers)

    def normalise(self, image: Tensor) -> Tensor:
        """Normalises images by ImageNet's mean and standard deviation.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, 3, H, W).

        Raises:
            AdframeError: if the image does not divide into patches.
        """
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        return (image - self.mean) / self.std

    def patches(self, tokens: Tensor) -> Tensor:
        """Selects the patch tokens.

        Args:
            tokens: all tokens (B, prefix + N, D).

        Returns:
            (B, N, D).
        """
        return tokens[:, 1 + int(getattr(self.trunk.config, "num_register_tokens", 0)) :]

    def both(self, normal: Tensor, *, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Computes final tokens and tokens after chosen blocks in one pass.

        Args:
            normal: (B, 3, H, W), normalised.
            blocks: counted from 0.

        Returns:
            All final tokens (B, prefix + N, D), layer-normed, and patch tokens (B, N, D) after each block.
        """
        found = self.trunk(normal, output_hidden_states=True)
        return found.last_hidden_state, [self.patches(found.hidden_states[block + 1]) for block in blocks]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """Applies the LayerNorm that follows the last block.

        Args:
            tokens: (B, N, D) after any block.

        Returns:
            (B, N, D).
        """
        found: Tensor = self.trunk.layernorm(tokens)
        return found

    @property
    def has_class_token(self) -> bool:
        """Tells whether the first token stands for the whole image."""
        return True

    def with_class(self, normal: Tensor, *, blocks: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Computes class tokens and patch tokens after chosen blocks.

        Args:
            normal: (B, 3, H, W), normalised.
            blocks: counted from 0.

        Returns:
            Class tokens (B, 1, D) and patch tokens (B, N, D) per block.
        """
        states = self.trunk(normal, output_hidden_states=True).hidden_states
        return [(states[block + 1][:, :1], self.patches(states[block + 1])) for block in blocks]

    def projections(self, letters: Sequence[str], *, blocks: Sequence[int]) -> list[str]:
        """Returns the names of the attention's linear layers.

        Args:
            letters: some of q, k, v, o.
            blocks: counted from 0.
        """
        return [f"encoder.layer.{block}.attention.{letter}_proj" for block in blocks for letter in letters]


def _resized_positions(embeddings: Any, tokens: Tensor, height: int, width: int) -> Tensor:
    """Resizes position embeddings as timm does; takes the place of a method of the library's embeddings."""
    del tokens
    down, across = embeddings.patch_embeddings.patch_size
    grid = [height // down, width // across]
    resized: Tensor = resample_abs_pos_embed(embeddings.position_embeddings, grid, num_prefix_tokens=1)
    return resized


def open_vit(
    model: str,
    *,
    name: str | None = None,
    source: str = "hub",
    checkpoint: str | Path | None = None,
    revision: str = REVISION,
    gradient_checkpointing: bool = False,
) -> Vit | TransformersVit:
    """Opens a transformer to adapt: of transformers where the model is a repository, else of timm.

    Args:
        model: a repository of the hub, or a timm name.
        name: as in `Vit`.
        source: as in `Vit`.
        checkpoint: as in `Vit`.
        revision: as in `Vit`.
        gradient_checkpointing: as in `Vit`.

    Returns:
        The network.
    """
    kind: Any = TransformersVit if "/" in model else Vit
    network: Vit | TransformersVit = kind(
        model,
        name=name,
        source=source,
        checkpoint=checkpoint,
        revision=revision,
        gradient_checkpointing=gradient_checkpointing,
    )
    return network


def _untrained(model: str) -> nn.Module:
    """Builds the network with untrained weights, without a request to the hub."""
    width, blocks, heads = VIT_SHAPES[model.rpartition("-")[2]]
    sizes: dict[str, Any] = {
        "hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads, "patch_size": 14,
        "image_size": 518,
    }  # fmt: skip
    network: Any
    if "registers" in model:
        network = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=REGISTERS, **sizes))
    else:
        network = Dinov2Model(Dinov2Config(**sizes))
    module: nn.Module = network.eval()
    return module


def _pretrained(model: str, *, revision: str) -> nn.Module:
    cached = cached_commit(model, revision=revision) is not None
    if not cached and (constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)):
        raise AdframeError(
            f"weights of {model} are not cached here and the hub cannot be reached; {HUB_ADVICE}"
        )
    kind: Any = Dinov2WithRegistersModel if "registers" in model else Dinov2Model
    try:
        network: Any = kind.from_pretrained(model, revision=revision, local_files_only=cached)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise AdframeError(f"backbone.model={model} cannot be loaded: {reason}; {HUB_ADVICE}") from error
    module: nn.Module = network.eval()
    return module
