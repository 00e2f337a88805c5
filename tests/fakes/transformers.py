"""timm's smallest vision transformer with seeded random weights."""

from collections.abc import Sequence

import torch

from adframe.models.backbones import TimmBackbone
from adframe.models.layers import LayerWord


def tiny_vit(
    *, layers: Sequence[str] | LayerWord = ("blocks.1", "blocks.4"), model: str = "test_vit", seed: int = 0
) -> TimmBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TimmBackbone(model, layers=layers, source="random")
