"""Creates backbones by the names that `backbone=` has for them: `create_backbone("resnet18")`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adframe.errors import AdframeError, unknown
from adframe.models.backbones import TimmBackbone
from adframe.models.layers import LayerWord


@dataclass(frozen=True, slots=True)
class NamedBackbone:
    """The network of a name.

    Attributes:
        model: timm's name of the network.
        layers: names of its layers, or a word for some (`models.layers`).
        source: where its weights come from, as in `TimmBackbone`.
        norm: as in `TimmBackbone`.
    """

    model: str
    layers: tuple[str, ...] | LayerWord
    source: str = "hub"
    norm: bool = False


# Half and three quarters of the depth of a small or base transformer.
_MIDDLE = ("blocks.5", "blocks.8")

NAMED_BACKBONES = {  # as in `conf/backbone/`
    "clip_vit_b32": NamedBackbone("vit_base_patch32_clip_quickgelu_224.openai", _MIDDLE),
    "dinov2_base": NamedBackbone("vit_base_patch14_dinov2.lvd142m", _MIDDLE, norm=True),
    "dinov2_base_reg": NamedBackbone("vit_base_patch14_reg4_dinov2.lvd142m", _MIDDLE, norm=True),
    "dinov2_small": NamedBackbone("vit_small_patch14_dinov2.lvd142m", _MIDDLE, norm=True),
    "dinov2_small_reg": NamedBackbone("vit_small_patch14_reg4_dinov2.lvd142m", _MIDDLE, norm=True),
    "dinov3_base": NamedBackbone("vit_base_patch16_dinov3.lvd1689m", _MIDDLE, norm=True),
    "dinov3_small": NamedBackbone("vit_small_patch16_dinov3.lvd1689m", _MIDDLE, norm=True),
    "efficientnet_lite0": NamedBackbone("tf_efficientnet_lite0", ("blocks.2", "blocks.4"), source="package"),
    "resnet18": NamedBackbone("resnet18.tv_in1k", ("layer2", "layer3")),
    "resnet50": NamedBackbone("resnet50.tv_in1k", ("layer2", "layer3")),
    "sit_small": NamedBackbone("vit_small_patch16_224.dino", _MIDDLE),
    "vit_base_16": NamedBackbone("vit_base_patch16_224.augreg2_in21k_ft_in1k", _MIDDLE),
    "wide_resnet50_2": NamedBackbone("wide_resnet50_2.tv_in1k", ("layer2", "layer3")),
}


def create_backbone(
    name: str,
    *,
    layers: Sequence[str] | LayerWord | None = None,
    checkpoint: str | Path | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> TimmBackbone:
    """Creates a frozen backbone by its name in the configuration.

    Args:
        name: such as `resnet18`, `wide_resnet50_2`, `dinov2_small` or `efficientnet_lite0`; see
            `NAMED_BACKBONES`.
        layers: other layers than those of the configuration, by timm's names, or a word for some
            (`models.layers`); None takes those.
        checkpoint: a local file with the weights, instead of a download.
        precision: `bfloat16` computes convolutions and matrix products in it.

    Returns:
        The backbone with its weights.

    Raises:
        AdframeError: if the name is unknown, or the weights are unavailable.

    Example:
        >>> create_backbone("efficientnet_lite0").layers
        ['blocks.2', 'blocks.4']
    """
    if (known := NAMED_BACKBONES.get(name)) is None:
        raise AdframeError(unknown("backbone", name, NAMED_BACKBONES))
    return TimmBackbone(
        known.model,
        layers=known.layers if layers is None else layers,
        source=known.source,
        checkpoint=checkpoint,
        name=name,
        norm=known.norm,
        precision=precision,
    )
