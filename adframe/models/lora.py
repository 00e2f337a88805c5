"""Adds low-rank adapters to a vision transformer's attention with peft; all other weights stay frozen."""

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
PROJECTIONS = ("q", "k", "v", "o")
# Entry of the categories without their own.
DEFAULT_ENTRY = "default"


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Configures the adapters.

    LoRA (Hu et al., ICLR 2022) adds B A to a frozen matrix, of rank `rank`, times alpha / rank. B starts at
    0, so that nothing changes before training.

    Args:
        rank: rank of the update; one number, or numbers by category with a `default`.
        alpha: scale of the update; one number, or numbers by category with a `default`.
        targets: projections of the attention: some of q, k, v, o. timm's networks compute q, k and v by one
            matrix, which is then adapted as a whole.
        blocks: number of last blocks to adapt; null adapts all.
        dora: whether to train the length of each row as well (Liu et al., DoRA, ICML 2024).
        dropout: dropout on the input of the adapters during training, in [0, 1).
        category: category whose rank and alpha are used.

    Raises:
        AdframeError: if a value is not possible.

    Example:
        >>> lora = Lora(rank={"default": 16, "tray": 4}, category="tray")
        >>> lora.own(lora.rank)
        4
    """

    rank: int | Mapping[str, int] = 16
    alpha: int | Mapping[str, int] = 32
    targets: Sequence[str] = ("q", "v")
    blocks: int | None = None
    dora: bool = False
    dropout: float = 0.0
    category: str = DEFAULT_ENTRY

    def __post_init__(self) -> None:
        if not self.targets or not set(self.targets) <= set(PROJECTIONS):
            raise AdframeError(
                f"model.lora.targets={list(self.targets)} must be some of {', '.join(PROJECTIONS)}"
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
        """Returns the category's number.

        Args:
            value: one number, or numbers by category.

        Returns:
            The number.

        Raises:
            AdframeError: if numbers by category have no default.
        """
        if isinstance(value, int):
            return value
        if DEFAULT_ENTRY not in value:
            raise AdframeError(f"model.lora: numbers by category require one for {DEFAULT_ENTRY}")
        return value.get(self.category, value[DEFAULT_ENTRY])

    def adapt(self, vit: AnyVit) -> None:
        """Freezes a network and adds adapters to it, in place.

        Args:
            vit: the network.
        """
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
    """Disables the adapters of a network temporarily.

    Args:
        vit: the adapted network.

    Yields:
        None.
    """
    layers = [module for module in vit.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def merged_weights(vit: AnyVit) -> dict[str, Tensor]:
    """Merges the adapters into the matrices they adapt.

    Args:
        vit: the adapted network; not changed.

    Returns:
        The trunk's tensors under their plain names.
    """
    trunk: Any = copy.deepcopy(vit.trunk)
    for module in list(trunk.modules()):
        if isinstance(module, LoraLayer):
            module.merge()
    state: dict[str, Tensor] = trunk.state_dict()
    return {name.replace(".base_layer.", "."): t for name, t in state.items() if "lora_" not in name}


def frozen_names(module: nn.Module, *, prefix: str) -> set[str]:
    """Lists the tensors that training does not change.

    Args:
        module: an adapted network.
        prefix: prefix of the returned names.

    Returns:
        Names.
    """
    return {f"{prefix}{name}" for name in module.state_dict() if "lora_" not in name}
