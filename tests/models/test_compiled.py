from pathlib import Path

import pytest
import torch
from torch import nn

from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models import compiled
from adframe.models.backbones import TimmBackbone
from adframe.models.cached_backbone import StoredBackbone
from adframe.models.compiled import compile_networks
from adframe.models.vit import Vit
from tests.covering import further

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def frozen(model: str, layer: str) -> TimmBackbone:
    torch.manual_seed(0)
    return TimmBackbone(model, layers=[layer], source="random")


def test_a_network_is_compiled_once_it_is_called_and_computes_the_same_maps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = []
    translate = torch.compile

    def translated(function: object, **settings: object) -> object:
        made.append(settings)
        return translate(function, backend="eager")

    monkeypatch.setattr(torch, "compile", translated)
    plain, network = frozen("test_resnet", "layer2"), frozen("test_resnet", "layer2")
    stored = StoredBackbone(network, store=Store(tmp_path))
    before = stored(IMAGES)
    assert compile_networks(nn.Sequential(stored)) == 1
    assert made == [{"options": {"freezing": True}}]
    assert [m.shape for m in stored(IMAGES)] == [m.shape for m in before]
    torch.testing.assert_close(network(IMAGES), plain(IMAGES))
    # Compiled maps differ by rounding, so that they are stored by themselves.
    assert len({file.parent for file in tmp_path.rglob("*.safetensors")}) == 2


def test_without_a_network_nothing_is_compiled() -> None:
    assert compile_networks(nn.Linear(2, 2)) == 0


def test_a_machine_without_a_compiler_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(AdframeError, match=r"C\+\+ compiler.*trainer.compile=false"):
        compile_networks(frozen("test_resnet", "layer2"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "layer"),
    further([("test_vit", "blocks.1"), ("test_resnet", "layer2")], often=[("test_vit", "blocks.1")]),
)
def test_compiled_code_computes_the_same_maps(model: str, layer: str) -> None:
    plain, network = frozen(model, layer), frozen(model, layer)
    compile_networks(network)
    for images in (IMAGES, IMAGES[:1]):
        torch.testing.assert_close(network(images), plain(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_blocks_that_are_trained_have_the_same_gradients() -> None:
    vits = []
    for _ in range(2):
        torch.manual_seed(0)
        vits.append(Vit("test_vit", source="random"))
    compile_networks(vits[1])
    grads = []
    for vit in vits:
        vit(vit.normalise(IMAGES)).square().mean().backward()
        grads.append({name: value.grad for name, value in vit.named_parameters() if value.grad is not None})
    assert grads[0].keys() == grads[1].keys() != set()
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-3, atol=1e-6)
