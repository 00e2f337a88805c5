"""A whole vision transformer and where its weights come from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.vit import Vit
from tests.fakes.masked import images, tiny_vit


def trained(path: Path, *, parallel: bool) -> tuple[Path, dict[str, dict[str, torch.Tensor]]]:
    """A checkpoint as SiT writes it: two networks, each a backbone and its heads."""
    lead, stored, networks = "module." if parallel else "", {}, {}
    for network, seed in (("student", 0), ("teacher", 1)):
        torch.manual_seed(seed)
        trunk = timm.create_model("test_vit", num_classes=0).state_dict()
        heads = {"head.mlp.0.weight": torch.zeros(2, 2), "head_recons.convTrans.bias": torch.zeros(3)}
        stored[network] = {f"{lead}backbone.{k}": v for k, v in trunk.items()} | {
            f"{lead}{k}": v for k, v in heads.items()
        }
        networks[network] = dict(trunk)
    rest = {"optimizer": {"state": {}, "param_groups": []}, "epoch": 3, "args": argparse.Namespace(lr=5e-4)}
    torch.save(stored | rest, path)
    return path, networks


@pytest.mark.parametrize("network", ["student", "teacher"])
@pytest.mark.parametrize("parallel", [True, False])
def test_a_training_checkpoint_gives_the_chosen_networks_backbone(
    tmp_path: Path, network: Any, parallel: bool
) -> None:
    path, networks = trained(tmp_path / "checkpoint.pth", parallel=parallel)
    vit = Vit("test_vit", checkpoint=path, network=network)
    for name, tensor in vit.trunk.state_dict().items():
        assert torch.equal(tensor, networks[network][name])
    assert vit.origin.endswith(f"tensors of the {network}, left out: head, head_recons")


def test_a_frozen_backbone_reads_it_too(tmp_path: Path) -> None:
    path, networks = trained(tmp_path / "checkpoint.pth", parallel=True)
    backbone = TimmBackbone("test_vit", layers=["blocks.1"], checkpoint=path, network="student")
    own = backbone.trunk.state_dict()["blocks.0.attn.qkv.weight"]
    assert torch.equal(own, networks["student"]["blocks.0.attn.qkv.weight"])


def test_a_network_that_is_not_in_the_file_is_an_error(tmp_path: Path) -> None:
    torch.save({"student": {}, "epoch": 1}, tmp_path / "half.pth")
    with pytest.raises(AdframeError, match="holds no teacher; set backbone"):
        Vit("test_vit", checkpoint=tmp_path / "half.pth")


def test_plain_weights_with_a_classifier_load_and_say_so(tmp_path: Path) -> None:
    state = timm.create_model("test_vit").state_dict()
    torch.save(state, tmp_path / "plain.pth")
    vit = Vit("test_vit", checkpoint=tmp_path / "plain.pth")
    assert vit.origin == f"{tmp_path / 'plain.pth'}: {len(state)} tensors"


def test_a_convolutional_network_is_refused_by_name() -> None:
    with pytest.raises(AdframeError, match="test_resnet is not a vision transformer"):
        Vit("test_resnet", source="random")


def test_tokens_are_timms_own() -> None:
    vit = tiny_vit().eval()
    normal = vit.normalise(images(2, size=(160, 160)))
    with torch.no_grad():
        torch.testing.assert_close(vit(normal), vit.trunk.forward_features(normal))
        assert vit.patches(vit(normal)).shape == (2, 100, vit.width)
        assert torch.equal(vit.at(normal, blocks=[0])[0], vit.at(normal, blocks=[0, 2])[0])


def test_normalised_pixels_come_back() -> None:
    vit, image = tiny_vit(), images(1)
    torch.testing.assert_close(vit.restore(vit.normalise(image)), image)


def test_activations_that_are_computed_again_give_the_same_gradients() -> None:
    kept, again = tiny_vit().train(), tiny_vit().train()
    again.trunk.set_grad_checkpointing(True)
    for vit in (kept, again):
        vit(vit.normalise(images(2))).square().mean().backward()
    for a, b in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_grey_is_the_mean_of_the_colours() -> None:
    vit, image = tiny_vit(), images(2)
    torch.testing.assert_close(vit.grey(vit.normalise(image)), image.mean(1, keepdim=True))
