import pytest
import torch

from adframe.models.backbones import TimmBackbone
from tests import real

RESNET = real.WEIGHTS / "resnet18_trunk" / "model.safetensors"
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
