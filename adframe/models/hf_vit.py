"""DINOv2 as Hugging Face's transformers have it: queries, keys and values apart, registers by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor, nn
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.models.backbones import check_size, origin_of
from adframe.models.vit import Vit
from adframe.models.weights import REVISION, WAYS_OUT, cached_commit, digest, load_strict, read_checkpoint

SHAPES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, blocks, heads
REGISTERS = 4  # Darcet et al., Vision Transformers Need Registers, ICLR 2024
NAMES = [f"facebook/dinov2-{r}{size}" for r in ("", "with-registers-") for size in SHAPES]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as its image processor says


class TransformersVit(nn.Module):
    """DINOv2 (Oquab et al., 2023) with the interface of `models.vit.Vit`.

    Args:
        model: one of `NAMES`.
        name: what people call it; the repository's name where None.
        source: `hub` (the hub's cache, else a download) or `random`, for tests of the plumbing.
        checkpoint: a local file with transformers' names instead.
        revision: of the weights on the hub: a branch, a tag or a commit.
        gradient_checkpointing: trades a second forward pass for the memory of activations.

    Raises:
        AdframeError: an unknown model, or weights that are unavailable.
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
        if model not in NAMES:
            raise AdframeError(unknown("backbone.model", model, NAMES))
        self.name, self.layers = name or model, ("tokens",)
        fresh = checkpoint is not None or source == "random"
        trunk: Any = _fresh(model) if fresh else _downloaded(model, revision=revision)
        self.origin = origin_of(model, source=source, repository=model, revision=revision)
        if checkpoint is not None:
            state, said = read_checkpoint(Path(checkpoint))
            load_strict(trunk, state, ignorable=set(), origin=f"backbone.checkpoint={checkpoint}")
            self.origin = f"{checkpoint}: {said}"
        self.digest = digest(trunk)
        if gradient_checkpointing:
            trunk.gradient_checkpointing_enable()
        self.trunk: Any = trunk
        for key, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(key, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.trunk.config.patch_size)

    @property
    def width(self) -> int:
        """Channels of a token."""
        return int(self.trunk.config.hidden_size)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return int(self.trunk.config.num_hidden_layers)

    def normalise(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to zero mean and unit spread, by ImageNet's mean and std."""
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        return (image - self.mean) / self.std

    def patches(self, tokens: Tensor) -> Tensor:
        """The (B, N, D) patch tokens among all tokens."""
        return tokens[:, 1 + int(getattr(self.trunk.config, "num_register_tokens", 0)) :]

    def both(self, normal: Tensor, *, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """All final tokens (B, prefix + N, D), layer-normed, and patch tokens after chosen blocks."""
        found = self.trunk(normal, output_hidden_states=True)
        return found.last_hidden_state, [self.patches(found.hidden_states[block + 1]) for block in blocks]

    def projections(self, letters: Sequence[str], *, blocks: Sequence[int]) -> list[str]:
        """Names of the attention's linear layers."""
        return [f"encoder.layer.{block}.attention.{letter}_proj" for block in blocks for letter in letters]


def open_vit(
    model: str,
    *,
    name: str | None = None,
    source: str = "hub",
    checkpoint: str | Path | None = None,
    revision: str = REVISION,
    gradient_checkpointing: bool = False,
) -> Vit | TransformersVit:
    """A transformer to adapt: of transformers where the model is a repository, else of timm."""
    kind: Any = TransformersVit if "/" in model else Vit
    made: Vit | TransformersVit = kind(
        model,
        name=name,
        source=source,
        checkpoint=checkpoint,
        revision=revision,
        gradient_checkpointing=gradient_checkpointing,
    )
    return made


def _fresh(model: str) -> nn.Module:
    """The network with untrained weights, made without asking the hub."""
    width, blocks, heads = SHAPES[model.rpartition("-")[2]]
    sizes: dict[str, Any] = {
        "hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads, "patch_size": 14,
        "image_size": 518,
    }  # fmt: skip
    made: Any
    if "registers" in model:
        made = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=REGISTERS, **sizes))
    else:
        made = Dinov2Model(Dinov2Config(**sizes))
    module: nn.Module = made.eval()
    return module


def _downloaded(model: str, *, revision: str) -> nn.Module:
    cached = cached_commit(model, revision=revision) is not None
    if not cached and (constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)):
        raise AdframeError(
            f"weights of {model} are not cached here and the hub cannot be reached; {WAYS_OUT}"
        )
    kind: Any = Dinov2WithRegistersModel if "registers" in model else Dinov2Model
    try:
        network: Any = kind.from_pretrained(model, revision=revision, local_files_only=cached)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise AdframeError(f"backbone.model={model} cannot be loaded: {reason}; {WAYS_OUT}") from error
    module: nn.Module = network.eval()
    return module
