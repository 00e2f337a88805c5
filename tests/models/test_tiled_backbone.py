"""Feature maps from tiles are those of the whole image, where no tile ends within what a feature sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from adframe.models.tiled import Tiling, tiled
from adframe.models.tiled_backbone import TiledBackbone
from tests.fakes.backbones import tiny_backbone

IMAGE = torch.rand(2, 3, 128, 288, generator=torch.Generator().manual_seed(0))


class Blur(nn.Module):
    """Two layers of a network of which a feature sees 12 and 24 pixels, and no more."""

    name, layers, digest, patch, stride = "blur", ["a", "b"], "0", 1, 8

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = nn.functional.avg_pool2d(nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=True), 4)
        return [first, nn.functional.avg_pool2d(nn.functional.avg_pool2d(first, 3, 1, 1), 2)]


@pytest.mark.parametrize("overlap", [0.5, 0.75])
@pytest.mark.parametrize("chunk", [1, 5])
def test_with_enough_context_they_are_those_of_the_whole_image(overlap: float, chunk: int) -> None:
    tiles = TiledBackbone(Blur(), size=(64, 64), overlap=overlap, chunk=chunk)
    for found, expected in zip(tiles(IMAGE), Blur()(IMAGE), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


def test_without_context_only_features_at_seams_differ() -> None:
    found, expected = TiledBackbone(Blur(), size=(64, 96), overlap=0, chunk=4)(IMAGE)[0], Blur()(IMAGE)[0]
    wrong = (found - expected).abs().amax((0, 1)) > 1e-6
    assert wrong.any()
    rows, columns = wrong.nonzero(as_tuple=True)
    at_seam = ((rows + 1) % 16 < 2) | ((columns + 1) % 24 < 2)
    assert at_seam.all()


@pytest.mark.parametrize("size", [(100, 300), (64, 64), (70, 200), (33, 41)])
def test_a_real_network_gives_maps_of_the_same_size(size: tuple[int, int]) -> None:
    backbone = tiny_backbone()
    image = IMAGE[:, :, : size[0], : size[1]] if size[1] <= 288 else torch.rand(1, 3, *size)
    found = TiledBackbone(backbone, size=(64, 64), overlap=0.25, chunk=3)(image)
    assert [each.shape for each in found] == [each.shape for each in backbone(image)]


def test_an_image_of_one_tile_is_not_touched() -> None:
    backbone = tiny_backbone()
    for own, other in zip(
        TiledBackbone(backbone, size=(128, 288), overlap=0.5, chunk=8)(IMAGE), backbone(IMAGE), strict=True
    ):
        assert torch.equal(own, other)


def test_vision_transformers_have_tiles_of_whole_patches() -> None:
    backbone = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
    found = TiledBackbone(backbone, size=(70, 70), overlap=0.25, chunk=8)(torch.rand(1, 3, 128, 160))
    assert found[0].shape[-2:] == (128 // backbone.patch, 160 // backbone.patch)


def test_patchcore_keeps_its_name_layers_and_state() -> None:
    plain = PatchCore(tiny_backbone(), coreset=0.5)
    state = tiled(plain, Tiling(size=64, level="features")).state_dict()
    names = {name.replace("backbone.inner.", "backbone.") for name in state}
    assert names == set(PatchCore(tiny_backbone(), coreset=0.5).state_dict())
    assert (plain.backbone.name, plain.backbone.layers) == (tiny_backbone().name, tiny_backbone().layers)


def test_a_method_without_a_frozen_backbone_is_refused() -> None:
    with pytest.raises(AdframeError, match=r"PixelMean works with tiling\.level=maps"):
        tiled(PixelMean(None), Tiling(level="features"))
