"""Extracts features with frozen networks: any timm model by name, at chosen layers, with its own mean and
std.
"""

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
from adframe.models.fuse_batchnorm import fold_batchnorm
from adframe.models.layers import LayerWord, choose_layers
from adframe.models.weights import (
    HUB_ADVICE,
    REVISION,
    Network,
    cached_commit,
    from_package,
    load_strict,
    read_checkpoint,
    repository_of,
    require_hub,
    weights_digest,
)

WEIGHT_SOURCES = ("hub", "package", "random")


class TimmBackbone(nn.Module):
    """Computes feature maps of chosen layers of a frozen timm model.

    BatchNorm is folded into the convolutions, which changes features by about 1e-6 of their norm. A
    convolutional network gets an image whose sides are not multiples of its coarsest stride at the nearest
    size that is: otherwise its maps would cover more than the image, each layer's by another amount, and
    every feature would be displaced by some pixels. Vision transformers return their patch tokens as a map,
    without class and register tokens, and interpolate their position embedding to the image.

    Args:
        model: a timm name, with or without tag (`resnet18.tv_in1k`).
        layers: module names as timm's `feature_info` lists them (`layer2`, `blocks.4`), or a word:
            `pyramid`, `quarters`, `spread` or `middle` (`models.layers`).
        source: `hub` (timm's default download, cached), `package` (an installed package with the weights) or
            `random`, for tests of the code.
        checkpoint: a local file to load instead; every tensor must fit.
        network: network to take from a checkpoint that has a teacher and a student (DINO, SiT).
        name: name in tables and checkpoints; None takes the timm name.
        revision: revision of the weights on the hub: a branch, a tag or a commit.
        norm: whether to pass every layer through a vision transformer's final LayerNorm, as DINOv2's own
            `get_intermediate_layers` does.
        precision: `bfloat16` computes convolutions and matrix products in it, about twice as fast on hardware
            that has it, with an error of about 0.5 % of the features' norm. Maps are float32.

    Raises:
        AdframeError: if the model or a layer is unknown, or the weights are unavailable or do not fit.

    Example:
        >>> backbone = TimmBackbone("test_resnet", layers=["layer2"], source="random")
        >>> [tuple(features.shape[2:]) for features in backbone(torch.rand(1, 3, 64, 64))]
        [(8, 8)]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        *,
        layers: Sequence[str] | LayerWord,
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
        # The digest of the loaded weights, before BatchNorm is folded.
        self.digest = weights_digest(trunk)
        self.trunk: Any = fold_batchnorm(trunk, indices=self._indices).to(memory_format=torch.channels_last)
        self._compiled: Any = None
        if precision == "bfloat16":
            _to_bfloat16(self.trunk)
        config = trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stays in evaluation mode, because batch statistics of a frozen network must not change.

        Args:
            mode: not used.

        Returns:
            The backbone.
        """
        del mode
        return super().train(False)

    @property
    def patch(self) -> int:
        """Returns the number of which both sides of an image must be multiples: a vision transformer's patch,
        else 1.
        """
        sides = getattr(getattr(self.trunk, "patch_embed", None), "patch_size", None)
        return 1 if sides is None else int(sides[0])

    @property
    def compiled(self) -> bool:
        """Tells whether torch.compile translates the network, whose features then differ by rounding."""
        return self._compiled is not None

    def compile_maps(self) -> None:
        """Lets torch.compile translate the network, for the first batch and again for another size."""
        # With `freezing`, weights are constants, which can be laid out for the processor once.
        self._compiled = torch.compile(self._intermediates, options={"freezing": True})

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Computes the feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, C, h, w) float32 map per layer, in the order of `layers`.

        Raises:
            AdframeError: if the network cannot take images of this size.
        """
        normal, size = self._normalised(image)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self._in_order(self._maps(normal, size=size))

    @torch.no_grad()
    def with_class_token(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Computes the feature maps, and the class token of the deepest of the chosen blocks.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            The maps as `forward` returns them, and (B, C) float32. Registers belong to neither.

        Raises:
            AdframeError: if the network has no class token, or cannot take images of this size.
        """
        if getattr(self.trunk, "cls_token", None) is None:
            raise no_class_token_error(self.name)
        normal, size = self._normalised(image)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            maps, prefixes = zip(*self._maps(normal, size=size, return_prefix_tokens=True), strict=True)
            # timm puts the class token before registers and distillation tokens.
            return self._in_order(maps), prefixes[-1][:, 0].float()

    def _normalised(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Returns images as the network takes them, and their size (H, W)."""
        check_size((image.shape[-2], image.shape[-1]), patch=self.patch, name=self.name)
        image = resize_to_stride(image, stride=self.stride)
        normal = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return normal, (image.shape[-2], image.shape[-1])

    def _in_order(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Sorts maps from the order of depth, in which timm returns them, to that of `layers`."""
        order = sorted(range(len(self.layers)), key=lambda i: self._indices[i])
        by_layer = dict(zip(order, maps, strict=True))
        return [by_layer[i].float() for i in range(len(self.layers))]

    def _maps(self, normal: Tensor, *, size: tuple[int, int], return_prefix_tokens: bool = False) -> Any:
        try:
            maps = (self._compiled or self._intermediates)(normal, return_prefix_tokens)
        except AssertionError as error:  # raised by timm where windows or position tables do not fit
            own = self.trunk.pretrained_cfg["input_size"][1:]
            reason = " ".join(str(error).split()) or "it does not fit"
            raise AdframeError(
                f"{self.name} cannot take images of {_size_text(size)} ({reason}); "
                f"set {_image_size_setting(own)}, its own size, or choose another backbone"
            ) from error
        return maps

    def _intermediates(self, normal: Tensor, return_prefix_tokens: bool) -> Any:
        # Only transformers know the argument.
        prefix = {"return_prefix_tokens": True} if return_prefix_tokens else {}
        return self.trunk.forward_intermediates(
            normal, indices=self._indices, norm=self.norm, intermediates_only=True, **prefix
        )


def no_class_token_error(name: str) -> AdframeError:
    """Returns the error for a network without a class token.

    Args:
        name: name of the network.
    """
    return AdframeError(
        f"backbone={name} has no class token, by which this method compares whole images; "
        "choose a vision transformer that has one, such as backbone=dinov2_small"
    )


def check_size(size: tuple[int, int], *, patch: int, name: str) -> None:
    """Checks that an image divides into patches.

    Args:
        size: (H, W) in pixels.
        patch: side of a patch in pixels.
        name: name of the network, for the message.

    Raises:
        AdframeError: if it does not; the message has the nearest sizes that do.
    """
    if not (size[0] % patch or size[1] % patch):
        return
    below = (size[0] // patch * patch, size[1] // patch * patch)
    above = (-(-size[0] // patch) * patch, -(-size[1] // patch) * patch)
    fitting = " or ".join(_image_size_setting(sides) for sides in (below, above) if min(sides))
    raise AdframeError(
        f"image_size {_size_text(size)} does not divide into {name}'s patches of {patch} pixels; "
        f"nearest that do: {fitting}"
    )


def coarsest_stride(trunk: Any, indices: Sequence[int]) -> int:
    """Returns the stride of the coarsest of the chosen maps, in pixels, as timm states it.

    Args:
        trunk: a timm network.
        indices: chosen layers by position in `feature_info`.
    """
    info = trunk.feature_info
    entries = info if isinstance(info, list) else info.info
    return max(int(entries[index]["reduction"]) for index in indices)


def nearest_multiple(size: Sequence[float], *, of: int) -> tuple[int, int]:
    """Rounds a size to whole strides, at least one; halves are rounded up.

    Args:
        size: (H, W) in pixels.
        of: the stride in pixels.

    Returns:
        (H, W).
    """
    height, width = (max(1, math.floor(side / of + 0.5)) * of for side in size)
    return height, width


def resize_to_stride(image: Tensor, *, stride: int) -> Tensor:
    """Resizes images to the nearest size in whole strides.

    Args:
        image: (B, 3, H, W).
        stride: in pixels.

    Returns:
        The resized images, or the same tensor where its size is right.
    """
    own = (image.shape[-2], image.shape[-1])
    size = nearest_multiple(own, of=stride)
    if size == own:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def origin_of(model: str, *, source: str, repository: str | None = None, revision: str = REVISION) -> str:
    """Describes where weights come from; for the hub with the commit, where its cache knows it.

    Args:
        model: name of the model.
        source: `hub`, `package` or `random`.
        repository: repository of the hub, or None.
        revision: a branch, a tag or a commit.

    Returns:
        A text for tables and checkpoints.
    """
    words = {"random": "random weights", "package": "an installed package"}
    if source in words:
        return words[source]
    commit = repository and (cached_commit(repository, revision=revision) or revision)
    return f"{model} of the hub" + (f", {repository}@{commit}" if repository else "")


def _size_text(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _image_size_setting(size: Sequence[int]) -> str:
    return f"image_size={size[0]}" if size[0] == size[1] else f"image_size=[{size[0]},{size[1]}]"


def _to_bfloat16(trunk: nn.Module) -> None:
    """Converts weights once, which autocast would otherwise convert for every batch."""
    for module in trunk.modules():
        # Subclasses may compute with their weights.
        if type(module) in (nn.Conv2d, nn.Linear):
            module.to(torch.bfloat16)


def build_trunk(
    model: str, *, source: str, checkpoint: str | Path | None, revision: str = REVISION
) -> nn.Module:
    """Builds a timm model with its weights; with untrained ones for `random`, or if a checkpoint follows.

    Args:
        model: a timm name, with or without tag.
        source: `hub`, `package` or `random`.
        checkpoint: a local file that is loaded later, or None.
        revision: a branch, a tag or a commit of the hub.

    Returns:
        The network.

    Raises:
        AdframeError: if the model or source is unknown, or the weights are unavailable.
    """
    if source not in WEIGHT_SOURCES:
        raise AdframeError(unknown("backbone.source", source, WEIGHT_SOURCES))
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
        except TypeError:  # only vision transformers have a position embedding to interpolate
            trunk = timm.create_model(model, **given)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        advice = f"; {HUB_ADVICE}" if pretrained else ""
        raise AdframeError(f"backbone.model={model} cannot be built: {reason}{advice}") from error
    return trunk
