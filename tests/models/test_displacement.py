"""Where a backbone sees a spot: at every size that it takes, where the spot is."""

import pytest
import torch
from torch import Tensor

from adframe.models.backbones import TimmBackbone, nearest_multiple
from adframe.models.patchcore import PatchCore
from adframe.ops.patches import patch_grid

SPOT = 7  # pixels of its sides
LAYERS = {
    "tf_efficientnet_lite0": ["blocks.2", "blocks.4"],
    "test_resnet": ["layer2", "layer3"],
    "test_convnext": ["stages.1", "stages.2"],
    "test_efficientnet": ["blocks.1", "blocks.2"],
}


def opened(family: str) -> TimmBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        source = "package" if family.startswith("tf_") else "random"
        return TimmBackbone(family, layers=LAYERS[family], source=source)


def scene(size: tuple[int, int]) -> Tensor:
    return 0.45 + 0.02 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))


def offset(backbone: TimmBackbone, size: tuple[int, int]) -> Tensor:
    """(2,) pixels down and across between a spot and the what changes with it, the mean of 16 spots."""
    plain = scene(size)
    before, found = patch_grid(backbone(plain), neighbourhood=3), []
    for step in range(16):
        y, x = size[0] // 2 - 8 + 5 * step % 16, size[1] // 2 - 8 + 7 * step % 16
        spotted = plain.clone()
        spotted[..., y : y + SPOT, x : x + SPOT] = torch.tensor([0.9, 0.2, 0.2]).view(1, 3, 1, 1)
        change = (patch_grid(backbone(spotted), neighbourhood=3) - before).square().sum(1)[0]  # (h, w)
        change = change * (change > 0.05 * change.max()) / change[change > 0.05 * change.max()].sum()
        grid = [(torch.arange(n) + 0.5) * side / n for n, side in zip(change.shape, size, strict=True)]
        seen = torch.stack([(change.sum(1) * grid[0]).sum(), (change.sum(0) * grid[1]).sum()])
        found.append(seen - torch.tensor([y, x]) - SPOT / 2)
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("size", [(97, 97), (100, 100), (81, 113), (129, 90)])
@pytest.mark.parametrize(
    "family", ["tf_efficientnet_lite0", "test_resnet", "test_convnext", "test_efficientnet"]
)
def test_no_size_moves_features(family: str, size: tuple[int, int]) -> None:
    """A network has an offset of its own, a pixel or two; another size must not add to it."""
    backbone = opened(family)
    whole = nearest_multiple(size, of=backbone.stride)
    assert whole != size
    assert (offset(backbone, size) - offset(backbone, whole)).abs().max() < 1
    if family.startswith("tf_"):  # trained weights
        assert offset(backbone, size).abs().max() < 2.5


@pytest.mark.parametrize("size", [(96, 128), (160, 160)])
def test_a_vision_transformer_sees_a_spot_where_it_is(size: tuple[int, int]) -> None:
    """It takes whole patches only, and has no offset of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
    assert offset(backbone, size).abs().max() < 0.5


@pytest.mark.parametrize(
    ("family", "layers", "stride"),
    [
        ("test_resnet", ["layer1"], 4),
        ("test_resnet", ["layer2", "layer3"], 16),
        ("test_vit", ["blocks.1"], 16),
    ],
)
def test_the_stride_is_that_of_the_coarsest_layer(family: str, layers: list[str], stride: int) -> None:
    assert TimmBackbone(family, layers=layers, source="random").stride == stride


def test_an_image_in_whole_strides_is_left_as_it_is() -> None:
    backbone = opened("test_resnet")
    seen = [m.shape[-2:] for m in backbone(scene((96, 64)))]
    assert seen == [(12, 8), (6, 4)]
    assert [m.shape[-2:] for m in backbone(scene((97, 63)))] == seen
    assert [m.shape[-2:] for m in backbone(scene((7, 3)))] == [(2, 2), (1, 1)]


def test_the_nearest_multiple_is_one_stride_at_least() -> None:
    assert nearest_multiple((97, 103), of=16) == (96, 96)
    assert nearest_multiple((104, 3), of=16) == (112, 16)


def test_heatmaps_show_a_spot_where_it_is_at_every_size() -> None:
    backbone = opened("tf_efficientnet_lite0")
    for size in ((97, 97), (96, 96), (100, 131)):
        model = PatchCore(backbone, coreset=1.0)
        model.collect(torch.cat([scene(size), scene(size).flip(2), scene(size).flip(3)]))
        model.finalise()
        spotted = scene(size)
        y, x = size[0] // 2, size[1] // 3
        spotted[..., y - 6 : y + 6, x - 6 : x + 6] = 0.9
        heat = model(spotted).heatmap[0, 0]
        row, column = divmod(int(heat.argmax()), size[1])
        assert abs(row - y) < 5, size  # a patch is 8 pixels wide
        assert abs(column - x) < 5, size
