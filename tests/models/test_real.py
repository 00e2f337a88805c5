import pytest
import torch

from adframe.models.backbones import TimmBackbone
from adframe.models.dinomaly import Dinomaly
from adframe.models.hf_vit import open_vit
from adframe.models.inp_former import InpFormer
from adframe.models.token_reconstruction import MapScoring
from tests import real
from tests.fakes.reconstructed import learn

RESNET = real.WEIGHTS / "resnet18_trunk" / "model.safetensors"
DINO = real.WEIGHTS / "dinov2_small" / "model.safetensors"
VIT = real.WEIGHTS / "vit_tiny_patch16_224_tinyimagenet" / "model.safetensors"
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("model", "layers", "path"),
    [
        pytest.param("resnet18.tv_in1k", ["layer2", "layer3"], RESNET, marks=real.needs(RESNET)),
        pytest.param("vit_tiny_patch16_224", ["blocks.5"], VIT, marks=real.needs(VIT)),
    ],
)
def test_real_weights_load_strictly_and_see_structure(model: str, layers: list[str], path) -> None:
    backbone = TimmBackbone(model, layers=layers, checkpoint=path)
    stripes, flat = torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5)
    stripes[..., ::8] = 1
    for seen, plain in zip(backbone(stripes), backbone(flat), strict=True):
        assert seen.isfinite().all()
        assert not torch.allclose(seen, plain, rtol=0.1)


@real.needs(DINO)
@pytest.mark.parametrize("kind", [Dinomaly, InpFormer])
def test_tokens_of_real_weights_are_reconstructed(kind: type[Dinomaly] | type[InpFormer]) -> None:
    torch.manual_seed(0)
    vit = open_vit("vit_small_patch14_dinov2.lvd142m", checkpoint=DINO)
    model = kind(vit, scoring=MapScoring())
    assert model.blocks == [2, 3, 4, 5, 6, 7, 8, 9]
    losses = learn(model, steps=15, lr=1e-3, size=(56, 56))
    assert losses[-1] < 0.5 * losses[0]
