"""Feature extractors for tests: timm's smallest network with seeded random weights, and plain pixels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.models.backbones import TimmBackbone


def tiny_backbone(*, seed: int = 0) -> TimmBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TimmBackbone("test_resnet", layers=["layer2", "layer3"], source="random")


class PixelBackbone(nn.Module):
    """Features are mean colours of `stride` x `stride` blocks: what a score must be can be said by hand."""

    name, layers, digest = "pixels", ("pixels",), "0" * 64

    def __init__(self, *, stride: int = 8) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, image: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(image, self.stride)]
