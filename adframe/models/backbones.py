"""Frozen feature extractors: any timm model by name, chosen layers, its own mean and std."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from adframe.contracts import AdframeError
from adframe.models.weights import WAYS_OUT, digest, from_package, load_strict, read_checkpoint, require_hub
from adframe.ops.names import unknown

SOURCES = ("hub", "package", "random")


class TimmBackbone(nn.Module):
    """Feature maps of chosen layers of a frozen timm model.

    Args:
        model: a timm name, with or without tag (`resnet18.tv_in1k`).
        layers: module names as timm's `feature_info` lists them (`layer2`, `blocks.4`).
        source: `hub` (timm's default download, cached), `package` (an installed package that
            carries the weights) or `random`, for tests of the plumbing.
        checkpoint: a local file instead; loaded strictly.
        name: what people call it, in tables and checkpoints; the timm name where None.

    Raises:
        AdframeError: unknown model or layer, weights that are not to be had or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        *,
        layers: Sequence[str],
        source: str = "hub",
        checkpoint: str | Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name or model
        trunk: Any = _build(model, source=source, checkpoint=checkpoint)
        self.layers = list(layers)
        self._indices = _indices(trunk, self.layers, model=model)
        trunk.prune_intermediate_layers(self._indices)
        if checkpoint is not None:
            whole = set(timm.create_model(model, pretrained=False).state_dict())
            state = read_checkpoint(Path(checkpoint))
            load_strict(trunk, state, ignorable=whole, origin=f"backbone.checkpoint={checkpoint}")
        self.trunk: Any = trunk.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.digest = digest(self.trunk)
        config = trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stays in evaluation mode: batch statistics of a frozen network must not move."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C, h, w) map a layer, in the order of `layers`."""
        self._check_size(image)
        normal = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        maps = self.trunk.forward_intermediates(normal, indices=self._indices, intermediates_only=True)
        order = sorted(range(len(self.layers)), key=lambda i: self._indices[i])  # timm returns them by depth
        by_layer = dict(zip(order, maps, strict=True))
        return [by_layer[i] for i in range(len(self.layers))]

    def _check_size(self, image: Tensor) -> None:
        patch = getattr(getattr(self.trunk, "patch_embed", None), "patch_size", None)
        if patch is not None and (image.shape[-2] % patch[0] or image.shape[-1] % patch[1]):
            size = f"{image.shape[-2]}x{image.shape[-1]}"
            raise AdframeError(
                f"image_size {size} does not divide into {self.name}'s patches of {patch[0]} pixels"
            )


def _build(model: str, *, source: str, checkpoint: str | Path | None) -> nn.Module:
    if source not in SOURCES:
        raise AdframeError(unknown("backbone.source", source, SOURCES))
    architecture = model.split(".")[0]
    if not timm.is_model(architecture):
        raise AdframeError(unknown("timm model", model, timm.list_models(), limit=5))
    trunk = _create(model, pretrained=False)
    if checkpoint is not None or source == "random":
        return trunk
    if source == "package":
        trunk.load_state_dict(from_package(architecture, trunk), strict=True)
        return trunk
    require_hub(trunk, name=model)
    return _create(model, pretrained=True)


def _create(model: str, *, pretrained: bool) -> nn.Module:
    trunk: nn.Module
    try:
        try:
            trunk = timm.create_model(model, pretrained=pretrained, dynamic_img_size=True)
        except TypeError:  # only vision transformers have a position embedding to stretch
            trunk = timm.create_model(model, pretrained=pretrained)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        help_ = f"; {WAYS_OUT}" if pretrained else ""
        raise AdframeError(f"backbone.model={model} cannot be built: {reason}{help_}") from error
    return trunk


def _indices(trunk: Any, layers: Sequence[str], *, model: str) -> list[int]:
    if not hasattr(trunk, "forward_intermediates"):
        raise AdframeError(f"timm model {model} gives no intermediate layers; choose another backbone.model")
    info = trunk.feature_info
    names = [entry["module"] for entry in (info if isinstance(info, list) else info.info)]
    for layer in layers:
        if layer not in names:
            raise AdframeError(unknown("backbone layer", layer, names, where=f"of {model}"))
    if not layers or len(set(layers)) < len(layers):
        raise AdframeError(f"backbone.layers={list(layers)} must name one or more different layers")
    return [names.index(layer) for layer in layers]
