import pytest
import timm
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from tests.fakes.backbones import tiny_backbone

IMAGE = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def random(model: str, layers: list[str]) -> TimmBackbone:
    return TimmBackbone(model, layers=layers, source="random")


@pytest.mark.parametrize(
    ("model", "layers", "text"),
    [
        ("resnet81", ["layer2"], "unknown timm model 'resnet81'; did you mean 'resnet"),
        ("test_resnet", ["layer9"], "unknown backbone layer 'layer9' of test_resnet; did you mean 'layer"),
        ("test_vit", ["layer2"], "known: blocks.0, blocks.1"),
        ("test_resnet", [], "must name one or more"),
        ("test_resnet", ["layer2", "layer2"], "must name one or more different layers"),
    ],
)
def test_an_unknown_name_is_one_line_with_what_was_meant(model: str, layers: list[str], text: str) -> None:
    with pytest.raises(AdframeError, match=text) as error:
        random(model, layers)
    assert "\n" not in str(error.value)


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(AdframeError, match=r"unknown backbone\.source 'hubb'; did you mean 'hub'"):
        TimmBackbone("test_resnet", layers=["layer2"], source="hubb")


def test_features_are_those_of_the_whole_model_on_the_normalised_image() -> None:
    torch.manual_seed(1)
    backbone = random("test_resnet", ["layer1", "layer3"])
    torch.manual_seed(1)
    whole = timm.create_model("test_resnet", pretrained=False).eval()
    mean, std = (torch.tensor(whole.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    seen: dict[str, Tensor] = {}
    for name in backbone.layers:
        getattr(whole, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    whole((IMAGE - mean) / std)
    for layer, found in zip(backbone.layers, backbone(IMAGE), strict=True):
        torch.testing.assert_close(found, seen[layer], rtol=1e-4, atol=1e-5)


def test_every_backbone_has_its_own_mean_and_std() -> None:
    resnet, half = random("resnet18.tv_in1k", ["layer1"]), random("test_resnet", ["layer1"])
    torch.testing.assert_close(resnet.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(resnet.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert half.mean.unique().tolist() == half.std.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("model", "layers"), [("test_resnet", ["layer2", "layer3"]), ("test_vit", ["blocks.0", "blocks.3"])]
)
def test_maps_come_in_the_order_of_the_layers(model: str, layers: list[str]) -> None:
    torch.manual_seed(2)
    forward = random(model, layers)
    torch.manual_seed(2)
    backward = random(model, layers[::-1])
    assert forward.digest == backward.digest
    for left, right in zip(forward(IMAGE), reversed(backward(IMAGE)), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(*(m.mean() for m in forward(IMAGE)))


def test_it_never_trains() -> None:
    backbone = tiny_backbone()
    before = backbone(IMAGE)
    torch.nn.Sequential(backbone).train()
    assert not any(module.training for module in backbone.modules())
    backbone(torch.rand(8, 3, 64, 64) * 5)  # would move running statistics
    assert all(torch.equal(a, b) for a, b in zip(before, backbone(IMAGE), strict=True))
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone(IMAGE)[0].requires_grad


def test_an_image_does_not_see_its_neighbours_in_the_batch() -> None:
    backbone = tiny_backbone()
    for both, alone in zip(backbone(IMAGE), backbone(IMAGE[1:]), strict=True):
        torch.testing.assert_close(both[1:], alone, rtol=1e-5, atol=1e-6)


def test_a_vit_takes_other_sizes_but_none_that_cuts_a_patch() -> None:
    backbone = random("test_vit", ["blocks.1"])
    assert [m.shape for m in backbone(IMAGE)] == [(2, 64, 4, 6)]
    assert [m.shape for m in backbone(torch.rand(1, 3, 160, 160))] == [(1, 64, 10, 10)]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((100, 64), r"image_size 100x64 .* nearest that do: image_size=\[96,64\] or image_size=\[112,64\]"),
        ((100, 100), "patches of 16 pixels; nearest that do: image_size=96 or image_size=112"),
        ((10, 40), r"nearest that do: image_size=\[16,48\]"),
    ],
)
def test_a_size_that_cuts_a_patch_is_refused_with_those_that_do_not(size: tuple[int, int], text: str) -> None:
    with pytest.raises(AdframeError, match=text) as error:
        random("test_vit", ["blocks.1"])(torch.rand(1, 3, *size))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["mixer_s32_224", "test_maxvit"])
def test_a_network_of_one_size_says_which(model: str) -> None:
    backbone = random(model, ["blocks.1" if "mixer" in model else "stages.1"])
    with pytest.raises(
        AdframeError, match=f"{model} cannot take images of 96x96 .*; set image_size="
    ) as error:
        backbone(torch.rand(1, 3, 96, 96))
    assert "\n" not in str(error.value)


def test_map_and_image_keep_their_sides_and_places() -> None:
    """A vision transformer's class and register tokens are no patches: a mark moves with its patch."""
    backbone = random("test_vit", ["blocks.0"])
    image = torch.full((1, 3, 64, 96), 0.5)
    marked = image.clone()
    marked[..., 16:32, 64:80] = 1.0
    change = (backbone(marked)[0] - backbone(image)[0]).norm(dim=1)[0]
    assert divmod(int(change.argmax()), 6) == (1, 4)


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("resnet18", ["layer1", "layer2", "layer3"]),
        ("tf_efficientnet_lite0", ["blocks.1", "blocks.2", "blocks.4"]),
        ("test_convnext", ["stages.0", "stages.1", "stages.2"]),
        ("test_vit", ["blocks.0", "blocks.2", "blocks.3"]),  # of six
        ("vit_tiny_patch16_224", ["blocks.2", "blocks.5", "blocks.8"]),
    ],
)
def test_the_pyramid_is_strides_4_8_16_or_three_depths(model: str, layers: list[str]) -> None:
    assert TimmBackbone(model, layers="pyramid", source="random").layers == layers


def test_norm_is_the_final_layernorm_over_channels() -> None:
    torch.manual_seed(3)
    plain = random("test_vit", ["blocks.1"])
    torch.manual_seed(3)
    normed = TimmBackbone("test_vit", layers=["blocks.1"], source="random", norm=True)
    expected = plain.trunk.norm(plain(IMAGE)[0].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(normed(IMAGE)[0], expected, rtol=1e-4, atol=1e-5)
    assert plain.digest == normed.digest
    with pytest.raises(AdframeError, match=r"backbone\.norm=true: test_resnet has no final LayerNorm"):
        TimmBackbone("test_resnet", layers=["layer1"], source="random", norm=True)


@pytest.mark.parametrize(("model", "layer"), [("test_resnet", "layer3"), ("test_vit", "blocks.3")])
def test_bfloat16_is_near_and_leaves_as_float32(model: str, layer: str) -> None:
    torch.manual_seed(3)
    exact = random(model, [layer])
    torch.manual_seed(3)
    fast = TimmBackbone(model, layers=[layer], source="random", precision="bfloat16")
    one, other = exact(IMAGE)[0], fast(IMAGE)[0]
    assert other.dtype == torch.float32
    assert 1e-5 * one.norm() < (one - other).norm() < 0.02 * one.norm()
    assert exact.digest == fast.digest


def test_the_digest_follows_the_weights_and_the_layers() -> None:
    assert tiny_backbone().digest == tiny_backbone().digest
    assert tiny_backbone(seed=0).digest != tiny_backbone(seed=1).digest


def test_layers_behind_the_last_chosen_one_are_dropped() -> None:
    assert not any(
        name.startswith(("layer3", "layer4", "fc"))
        for name in random("test_resnet", ["layer2"]).trunk.state_dict()
    )
