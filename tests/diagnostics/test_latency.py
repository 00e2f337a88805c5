"""Latency is that of a network that computes, one image at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adframe.contracts import Prediction
from adframe.diagnostics.latency import Latency
from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models.cached_backbone import StoredBackbone
from tests.fakes.backbones import tiny_backbone

CPU = torch.device("cpu")


class Watched(nn.Module):
    """Notes how many images it was asked for at a time, and whether its backbone is the network itself."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.sizes: list[int] = []
        self.stored: set[bool] = set()

    def forward(self, image: Tensor) -> Prediction:
        self.sizes.append(len(image))
        self.stored.add(isinstance(self.backbone, StoredBackbone))
        return Prediction(image.mean((1, 2, 3)), image[:, :1])


def images(count: int) -> list[Tensor]:
    return list(torch.rand(count, 3, 4, 4).split(4))


def test_images_are_scored_one_by_one_after_warming_up_and_then_in_batches() -> None:
    detector = Watched(nn.Identity())
    found = Latency(images=10, warm=2).measure(detector, images(20), device=CPU)
    assert detector.sizes == [1, 4, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1]
    assert (found["latency/images"], found["latency/batch_size"]) == (10, 4)
    assert 0 < found["latency/p50_ms"] <= found["latency/p95_ms"]
    assert found["latency/images_per_second"] > 0


def test_stores_are_set_aside_and_everything_is_as_it_was_afterwards(tmp_path: Path) -> None:
    kept = StoredBackbone(tiny_backbone(), store=Store(tmp_path))
    detector = Watched(kept).train()
    Latency(images=2).measure(detector, images(4), device=CPU)
    assert detector.stored == {False}
    assert detector.backbone is kept
    assert detector.training
    assert not list(tmp_path.rglob("*.safetensors"))


def test_no_images_measure_nothing_and_fewer_than_none_is_an_error() -> None:
    detector = Watched(nn.Identity())
    assert Latency(images=0).measure(detector, images(4), device=CPU) == {}
    assert Latency(images=5).measure(detector, [], device=CPU) == {}
    assert detector.sizes == []
    with pytest.raises(AdframeError, match="images=-1"):
        Latency(images=-1)
