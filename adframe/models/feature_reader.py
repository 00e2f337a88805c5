"""The feature maps that a method looks at, by layer, whatever the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adframe.models.dino_lora import DinoLora
from adframe.models.pixel_mean import PixelMean
from adframe.models.sit import SiT
from adframe.models.vit import Vit


class FeatureReader(Protocol):
    """Layers by name, and their maps."""

    layers: Sequence[str]

    def __call__(self, image: Tensor) -> list[Tensor]: ...  # (B, 3, H, W) in [0, 1] to (B, C, h, w) each


class VitMaps:
    """Patch tokens of a transformer that learns, at a quarter, a half, three quarters and the end.

    Args:
        vit: the network, as it is now.
    """

    def __init__(self, vit: Vit) -> None:
        self.vit = vit
        self._blocks = sorted({max(0, vit.depth * q // 4 - 1) for q in (1, 2, 3, 4)})
        self.layers: Sequence[str] = [f"blocks.{block}" for block in self._blocks]

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C, h, w) map a block."""
        tokens = self.vit.at(self.vit.normalise(image), blocks=self._blocks)
        grid = (image.shape[-2] // self.vit.patch, image.shape[-1] // self.vit.patch)
        return [each.float().transpose(1, 2).reshape(len(image), -1, *grid) for each in tokens]


def reader_of(detector: nn.Module) -> FeatureReader | None:
    """What reads a method's features, or None where it has none to look at.

    Methods on a frozen backbone (PatchCore, AnomalyDINO, PaDiM): the backbone's own maps, with its
    store, before any averaging, fusion or projection, at the image's plain size. `DinoLora`: the
    adapted network's blocks. `SiT`: its encoder's, of the whole image, nothing hidden. `PixelMean`
    looks at pixels and has no layers.
    """
    if isinstance(detector, DinoLora):
        adapted: FeatureReader = detector.scores.reader
        return adapted
    if isinstance(detector, SiT):
        return VitMaps(detector.vit)
    if isinstance(detector, PixelMean):
        return None
    backbone: Any = getattr(detector, "backbone", None)
    return backbone if hasattr(backbone, "layers") else None
