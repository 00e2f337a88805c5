import pytest
import timm
import torch
from torch import Tensor

from adframe.contracts import AdframeError
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
    whole = timm.create_model("test_resnet", pretrained=False).eval()
    whole.load_state_dict(backbone.trunk.state_dict(), strict=False)
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
    with pytest.raises(
        AdframeError, match="image_size 100x64 does not divide into test_vit's patches of 16 pixels"
    ):
        backbone(torch.rand(1, 3, 100, 64))


def test_the_digest_follows_the_weights_and_the_layers() -> None:
    assert tiny_backbone().digest == tiny_backbone().digest
    assert tiny_backbone(seed=0).digest != tiny_backbone(seed=1).digest


def test_layers_behind_the_last_chosen_one_are_dropped() -> None:
    assert not any(
        name.startswith(("layer3", "layer4", "fc"))
        for name in random("test_resnet", ["layer2"]).trunk.state_dict()
    )
