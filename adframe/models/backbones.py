"""Frozen feature extractors: any timm model by name, chosen layers, its own mean and std."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError, unknown
from adframe.models.fuse_batchnorm import fold
from adframe.models.layers import choose_layers
from adframe.models.weights import (
    REVISION,
    WAYS_OUT,
    Network,
    cached_commit,
    digest,
    from_package,
    load_strict,
    read_checkpoint,
    repository_of,
    require_hub,
)

SOURCES = ("hub", "package", "random")


class TimmBackbone(nn.Module):
    """Feature maps of chosen layers of a frozen timm model.

    BatchNorm is folded into the convolutions, which changes features by about 1e-6 of their norm.
    A convolutional network sees an image whose sides are no multiples of its coarsest stride at the
    nearest size that is one: its maps would else cover more than the image, each layer's by another
    amount, and every feature would lie some pixels off.
    Vision transformers give their patch tokens as a map, without class and register tokens, and
    stretch their position embedding to the image.

    Args:
        model: a timm name, with or without tag (`resnet18.tv_in1k`).
        layers: module names as timm's `feature_info` lists them (`layer2`, `blocks.4`), or `pyramid`:
            those of strides 4, 8 and 16 (`models.layers`).
        source: `hub` (timm's default download, cached), `package` (an installed package that
            carries the weights) or `random`, for tests of the plumbing.
        checkpoint: a local file instead; loaded strictly.
        network: which network of a checkpoint that holds a teacher and a student (DINO, SiT).
        name: what people call it, in tables and checkpoints; the timm name where None.
        revision: of the weights on the hub: a branch, a tag or a commit.
        norm: passes every layer through a vision transformer's final LayerNorm, as DINOv2's own
            `get_intermediate_layers` does.
        precision: `bfloat16` computes convolutions and matrix products in it, about twice as fast
            on hardware that has it, and off by about 0.5 % of the features' norm. Maps are float32.

    Raises:
        AdframeError: unknown model or layer, weights that are unavailable or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        *,
        layers: Sequence[str] | Literal["pyramid"],
        source: str = "hub",
        checkpoint: str | Path | None = None,
        network: Network = "teacher",
        name: str | None = None,
        revision: str = REVISION,
        norm: bool = False,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        super().__init__()
        self.name = name or model
        trunk: Any = build_trunk(model, source=source, checkpoint=checkpoint, revision=revision)
        self.origin = origin_of(model, source=source, repository=repository_of(trunk), revision=revision)
        self.layers, self._indices = choose_layers(trunk, layers, model=model)
        self.stride = coarsest_stride(trunk, self._indices)
        if norm and not isinstance(getattr(trunk, "norm", None), nn.LayerNorm):
            raise AdframeError(
                f"backbone.norm=true: {self.name} has no final LayerNorm; set backbone.norm=false"
            )
        self.norm, self.precision = norm, precision
        trunk.prune_intermediate_layers(self._indices)
        if checkpoint is not None:
            whole = set(timm.create_model(model, pretrained=False).state_dict())
            state, said = read_checkpoint(Path(checkpoint), network=network)
            self.origin = f"{checkpoint}: {said}"
            load_strict(trunk, state, ignorable=whole, origin=f"backbone.checkpoint={checkpoint}")
        trunk = trunk.eval().requires_grad_(False)
        self.digest = digest(trunk)  # of the weights as they came, before anything is folded
        self.trunk: Any = fold(trunk, indices=self._indices).to(memory_format=torch.channels_last)
        if precision == "bfloat16":
            _halve(self.trunk)
        config = trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stays in evaluation mode: batch statistics of a frozen network must not move."""
        del mode
        return super().train(False)

    @property
    def patch(self) -> int:
        """What both sides of an image must be multiples of: a vision transformer's patch, else 1."""
        sides = getattr(getattr(self.trunk, "patch_embed", None), "patch_size", None)
        return 1 if sides is None else int(sides[0])

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C, h, w) float32 map a layer, in the order of `layers`.

        Raises:
            AdframeError: an image size that the network cannot take.
        """
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        image = fitted(image, stride=self.stride)
        size = (image.shape[-2], image.shape[-1])
        normal = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            maps = self._maps(normal, size=size)
        order = sorted(range(len(self.layers)), key=lambda i: self._indices[i])  # timm returns them by depth
        by_layer = dict(zip(order, maps, strict=True))
        return [by_layer[i].float() for i in range(len(self.layers))]

    def _maps(self, normal: Tensor, *, size: tuple[int, int]) -> list[Tensor]:
        try:
            maps: list[Tensor] = self.trunk.forward_intermediates(
                normal, indices=self._indices, norm=self.norm, intermediates_only=True
            )
        except AssertionError as error:  # how timm says that windows or position tables do not fit
            own = self.trunk.pretrained_cfg["input_size"][1:]
            reason = " ".join(str(error).split()) or "it does not fit"
            raise AdframeError(
                f"{self.name} cannot take images of {_pixels(size)} ({reason}); "
                f"set {_setting(own)}, its own size, or choose another backbone"
            ) from error
        return maps


def check_size(size: tuple[int, int], *, patch: int, name: str) -> None:
    """Refuses an image (H, W) that does not divide into patches, with the nearest sizes that do."""
    if not (size[0] % patch or size[1] % patch):
        return
    below = (size[0] // patch * patch, size[1] // patch * patch)
    above = (-(-size[0] // patch) * patch, -(-size[1] // patch) * patch)
    fitting = " or ".join(_setting(sides) for sides in (below, above) if min(sides))
    raise AdframeError(
        f"image_size {_pixels(size)} does not divide into {name}'s patches of {patch} pixels; "
        f"nearest that do: {fitting}"
    )


def coarsest_stride(trunk: Any, indices: Sequence[int]) -> int:
    """Pixels of the image between neighbours on the coarsest of the chosen maps, as timm tells."""
    info = trunk.feature_info
    entries = info if isinstance(info, list) else info.info
    return max(int(entries[index]["reduction"]) for index in indices)


def nearest_multiple(size: Sequence[float], *, of: int) -> tuple[int, int]:
    """(H, W) in whole strides, one at least; what lies between two goes up."""
    height, width = (max(1, math.floor(side / of + 0.5)) * of for side in size)
    return height, width


def fitted(image: Tensor, *, stride: int) -> Tensor:
    """(B, 3, H, W) at the nearest size in whole strides; the image itself where it has one."""
    own = (image.shape[-2], image.shape[-1])
    size = nearest_multiple(own, of=stride)
    if size == own:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def origin_of(model: str, *, source: str, repository: str | None = None, revision: str = REVISION) -> str:
    """Where weights come from, in words; of the hub with the commit, where its cache knows it."""
    words = {"random": "random weights", "package": "an installed package"}
    if source in words:
        return words[source]
    commit = repository and (cached_commit(repository, revision=revision) or revision)
    return f"{model} of the hub" + (f", {repository}@{commit}" if repository else "")


def _pixels(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _setting(size: Sequence[int]) -> str:
    return f"image_size={size[0]}" if size[0] == size[1] else f"image_size=[{size[0]},{size[1]}]"


def _halve(trunk: nn.Module) -> None:
    """Weights that autocast would otherwise turn into bfloat16 again for every batch."""
    for module in trunk.modules():
        if type(module) in (nn.Conv2d, nn.Linear):  # kinds of them may compute on their weights
            module.to(torch.bfloat16)


def build_trunk(
    model: str, *, source: str, checkpoint: str | Path | None, revision: str = REVISION
) -> nn.Module:
    """A timm model with its weights; fresh ones where a checkpoint is to come, or for `random`."""
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
    require_hub(trunk, name=model, revision=revision)
    repository = repository_of(trunk)
    return _create(model, pretrained=True, hub=f"{repository}@{revision}" if repository else None)


def _create(model: str, *, pretrained: bool, hub: str | None = None) -> nn.Module:
    trunk: nn.Module
    given: dict[str, Any] = {"pretrained": pretrained}
    if hub is not None:
        given["pretrained_cfg_overlay"] = {"hf_hub_id": hub}
    try:
        try:
            trunk = timm.create_model(model, dynamic_img_size=True, **given)
        except TypeError:  # only vision transformers have a position embedding to stretch
            trunk = timm.create_model(model, **given)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        help_ = f"; {WAYS_OUT}" if pretrained else ""
        raise AdframeError(f"backbone.model={model} cannot be built: {reason}{help_}") from error
    return trunk
