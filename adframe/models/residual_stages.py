"""Stages of residual blocks that halve, keep or double the resolution of a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.models.layers import choose_layers

Resize = Literal["halve", "keep", "double"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Describes the residual blocks at one layer of a network.

    Attributes:
        width: channels of its output.
        stride: pixels of the image per position.
        blocks: number of blocks.
        inner: channels inside a bottleneck block; None for blocks of two 3x3 convolutions.
    """

    width: int
    stride: int
    blocks: int
    inner: int | None


def stages_of(trunk: Any, layers: Sequence[str], *, name: str) -> list[Stage]:
    """Describes the layers of a convolutional network, so that residual stages can mirror them.

    Args:
        trunk: a timm network.
        layers: names of its layers, as `feature_info` lists them.
        name: name of the network, for errors.

    Returns:
        One stage per layer. Blocks that are not ResNet's bottlenecks count as those of two convolutions.

    Raises:
        AdframeError: if there is no single network, or it does not have the layers.
    """
    if trunk is None:
        raise AdframeError(
            f"backbone={name} has several networks, and this method takes the layers of one convolutional "
            "network; choose such as backbone=resnet18"
        )
    info = trunk.feature_info
    entries = info if isinstance(info, list) else info.info
    found = []
    for layer, index in zip(*choose_layers(trunk, layers, model=name), strict=True):
        module = trunk.get_submodule(layer)
        blocks: list[Any] = list(module) if isinstance(module, nn.Sequential) else [module]
        # The third convolution is what ResNet's bottlenecks have in addition.
        inner = int(blocks[-1].conv1.out_channels) if hasattr(blocks[-1], "conv3") else None
        entry = entries[index]
        found.append(Stage(int(entry["num_chs"]), int(entry["reduction"]), len(blocks), inner))
    return found


class ResidualStage(nn.Sequential):
    """Residual blocks (He et al., CVPR 2016, arXiv 1512.03385), of which the first changes the resolution.

    Args:
        entering: channels of the input.
        width: channels of the output.
        blocks: number of blocks, above 0.
        inner: channels inside a bottleneck block; None for blocks of two 3x3 convolutions.
        resize: `halve` uses strided 3x3 convolutions, `double` transposed 2x2 convolutions.

    Example:
        >>> import torch
        >>> ResidualStage(8, 4, blocks=2, inner=None, resize="double")(torch.rand(1, 8, 4, 4)).shape
        torch.Size([1, 4, 8, 8])
    """

    def __init__(self, entering: int, width: int, *, blocks: int, inner: int | None, resize: Resize) -> None:
        first = ResidualBlock(entering, width, inner=inner, resize=resize)
        further = [ResidualBlock(width, width, inner=inner, resize="keep") for _ in range(blocks - 1)]
        super().__init__(first, *further)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class ResidualBlock(nn.Module):
    """Adds what two or three convolutions compute to the input.

    Args:
        entering: channels of the input.
        width: channels of the output.
        inner: channels between the 1x1 convolutions of a bottleneck; None for two 3x3 convolutions.
        resize: change of the resolution, see `ResidualStage`.

    Example:
        >>> import torch
        >>> ResidualBlock(8, 8, inner=2, resize="keep")(torch.rand(1, 8, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, entering: int, width: int, *, inner: int | None, resize: Resize) -> None:
        super().__init__()
        self.convolutions = (
            nn.Sequential(
                *convolved(entering, width, resize=resize), nn.ReLU(inplace=True), *convolved(width, width)
            )
            if inner is None
            else nn.Sequential(
                *convolved(entering, inner, side=1),
                nn.ReLU(inplace=True),
                *convolved(inner, inner, resize=resize),
                nn.ReLU(inplace=True),
                *convolved(inner, width, side=1),
            )
        )
        same = entering == width and resize == "keep"
        self.shortcut = nn.Sequential(*([] if same else convolved(entering, width, side=1, resize=resize)))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Transforms a feature map.

        Args:
            features: (B, C, h, w).

        Returns:
            (B, C', h', w').
        """
        found: Tensor = self.activation(self.convolutions(features) + self.shortcut(features))
        return found


def convolved(entering: int, width: int, *, side: int = 3, resize: Resize = "keep") -> list[nn.Module]:
    """Returns a convolution and its BatchNorm.

    Args:
        entering: channels of the input.
        width: channels of the output.
        side: side of the kernel in positions, odd; not used for `double`, whose kernel is 2x2.
        resize: change of the resolution.
    """
    convolution: nn.Module
    if resize == "double":
        convolution = nn.ConvTranspose2d(entering, width, 2, stride=2, bias=False)
    else:
        stride = 2 if resize == "halve" else 1
        convolution = nn.Conv2d(entering, width, side, stride=stride, padding=side // 2, bias=False)
    return [convolution, nn.BatchNorm2d(width)]
