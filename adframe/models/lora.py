"""Low-rank adapters in a vision transformer's attention, by peft; the rest stays as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from adframe.errors import AdframeError, at_least
from adframe.models.hf_vit import TransformersVit
from adframe.models.vit import Vit

AnyVit = Vit | TransformersVit
LETTERS = ("q", "k", "v", "o")
EVERYONE = "default"  # the entry of those categories that have none of their own


@dataclass(frozen=True, kw_only=True)
class Lora:
    """What is adapted, and how freely.

    LoRA (Hu et al., ICLR 2022) adds B A to a frozen matrix, of rank `rank`, times alpha / rank. B
    starts at 0, so that nothing has changed before it learns.

    Args:
        rank: of the update; a number, or one by category with a `default`.
        alpha: scale of the update; the same.
        targets: projections of the attention: q, k, v, o. timm's networks make q, k and v in one
            matrix, which is then adapted as a whole.
        blocks: so many last blocks; null: all.
        dora: also learns the length of each row (Liu et al., DoRA, ICML 2024).
        dropout: on what goes into the adapters while it learns.
        category: whose rank and alpha are taken.
    """

    rank: int | Mapping[str, int] = 16
    alpha: int | Mapping[str, int] = 32
    targets: Sequence[str] = ("q", "v")
    blocks: int | None = None
    dora: bool = False
    dropout: float = 0.0
    category: str = EVERYONE

    def __post_init__(self) -> None:
        if not self.targets or not set(self.targets) <= set(LETTERS):
            raise AdframeError(
                f"model.lora.targets={list(self.targets)} must be some of {', '.join(LETTERS)}"
            )
        for name, value in (("rank", self.own(self.rank)), ("alpha", self.own(self.alpha))):
            if not at_least(value, 1):
                raise AdframeError(f"model.lora.{name}={value} must be above 0")
        if (self.blocks is not None and self.blocks < 1) or not 0 <= self.dropout < 1:
            raise AdframeError(
                f"model.lora.blocks={self.blocks} must be null or above 0, "
                f"model.lora.dropout={self.dropout} in [0, 1)"
            )

    def own(self, value: int | Mapping[str, int]) -> int:
        """The category's number."""
        if isinstance(value, int):
            return value
        if EVERYONE not in value:
            raise AdframeError(f"model.lora: numbers by category need one for {EVERYONE}")
        return value.get(self.category, value[EVERYONE])

    def adapt(self, vit: AnyVit) -> None:
        """Freezes a network and puts adapters into it, in place."""
        count = vit.depth if self.blocks is None else min(self.blocks, vit.depth)
        names = vit.projections(self.targets, blocks=range(vit.depth - count, vit.depth))
        config = LoraConfig(
            r=self.own(self.rank),
            lora_alpha=self.own(self.alpha),
            target_modules=names,
            lora_dropout=self.dropout,
            use_dora=self.dora,
        )
        vit.requires_grad_(False)
        inject_adapter_in_model(config, vit.trunk)
        for name, parameter in vit.named_parameters():
            parameter.requires_grad_("lora_" in name)


@contextmanager
def unadapted(vit: AnyVit) -> Iterator[None]:
    """The network as it was before it was adapted."""
    layers = [module for module in vit.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def merged(vit: AnyVit) -> dict[str, Tensor]:
    """The trunk's tensors under their plain names, the adapters added to the matrices they adapt."""
    trunk: Any = copy.deepcopy(vit.trunk)
    for module in list(trunk.modules()):
        if isinstance(module, LoraLayer):
            module.merge()
    state: dict[str, Tensor] = trunk.state_dict()
    return {name.replace(".base_layer.", "."): t for name, t in state.items() if "lora_" not in name}


def frozen_names(module: nn.Module, *, prefix: str) -> set[str]:
    """Names, below a prefix, of what an adapted network did not learn."""
    return {f"{prefix}{name}" for name in module.state_dict() if "lora_" not in name}
