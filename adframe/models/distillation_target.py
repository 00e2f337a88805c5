"""The features of a large network that a patch description network learns by distillation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.layers import PYRAMID, STRIDES
from adframe.models.named_backbones import NAMED_BACKBONES, create_backbone
from adframe.models.patch_description import FEATURES, MARGIN
from adframe.models.residual_stages import stages_of

_LAYER_CHANNELS = 1024  # of each layer before both are joined


class DistillationTarget(nn.Module):
    """Computes patch features as PatchCore does, on the grid of a patch description network.

    The features of strides 8 and 16 are averaged over 3x3 positions, brought to 1024 channels each, so that
    both layers count alike, and to the finer grid, concatenated, and reduced to the channels of the small
    network; channels are pooled adaptively both times (Roth et al., CVPR 2022). The large network sees images
    of twice the size, so that its stride 8 is the stride 4 of the small one; positions at which the small one
    has no output are cut off.

    Args:
        backbone: a convolutional network with layers of strides 4, 8 and 16.

    Raises:
        AdframeError: if it has other layers.

    Example:
        >>> target = DistillationTarget(create_backbone("efficientnet_lite0", layers="pyramid"))
        >>> target(torch.rand(1, 3, 128, 128)).shape  # of images of 64 pixels
        torch.Size([1, 384, 8, 8])
    """

    def __init__(self, backbone: TimmBackbone) -> None:
        super().__init__()
        stages = stages_of(backbone.trunk, backbone.layers, name=backbone.name)
        if tuple(stage.stride for stage in stages) != STRIDES:
            raise AdframeError(
                f"--backbone {backbone.name} has no layers of strides 4, 8 and 16; choose a convolutional "
                "network, such as wide_resnet50_2"
            )
        self.backbone = backbone

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Computes the features.

        Args:
            image: (B, 3, 2 H, 2 W) in [0, 1]; H and W are multiples of 8.

        Returns:
            (B, 384, H / 4 - 8, W / 4 - 8).
        """
        _, *maps = self.backbone(image)
        averaged = [F.avg_pool2d(each, 3, stride=1, padding=1, count_include_pad=False) for each in maps]
        equal = [_with_channels(each, _LAYER_CHANNELS) for each in averaged]
        size = equal[0].shape[-2:]
        aligned = [F.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in equal]
        pooled = _with_channels(torch.cat(aligned, dim=1), FEATURES)
        return pooled[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def _with_channels(maps: Tensor, channels: int) -> Tensor:
    """Pools (B, C, h, w) to `channels` channels."""
    rows = maps.flatten(2).transpose(1, 2)  # (B, h * w, C)
    pooled: Tensor = F.adaptive_avg_pool1d(rows, channels).transpose(1, 2)
    return pooled.reshape(len(maps), channels, *maps.shape[-2:])


def open_backbone(name: str, *, checkpoint: Path | None) -> TimmBackbone:
    """Opens a backbone with its weights and its layers of strides 4, 8 and 16.

    Args:
        name: a name of `backbone=`, or a timm name such as `wide_resnet101_2.tv_in1k`.
        checkpoint: a local file instead of the hub.

    Returns:
        The backbone.

    Raises:
        AdframeError: if the name is unknown, or the weights are unavailable.
    """
    if name in NAMED_BACKBONES:
        return create_backbone(name, layers=PYRAMID, checkpoint=checkpoint)
    return TimmBackbone(name, layers=PYRAMID, checkpoint=checkpoint)
