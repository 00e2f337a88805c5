"""One DINOv2 under timm's and under transformers' names gives one set of tokens, at every size."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from adframe.errors import AdframeError
from adframe.models.dinov2_names import has_timm_names, transformers_names
from adframe.models.hf_vit import TransformersVit
from adframe.models.vit import Vit
from tests import real

DINOV2 = real.WEIGHTS / "dinov2_small" / "model.safetensors"
SIZES = [(70, 70), (56, 98)]


def saved_timm_network(folder: Path, *, registers: bool) -> tuple[str, Path]:
    """A narrow DINOv2 of timm with random weights: its name, and a file with its tensors."""
    name = "vit_small_patch14_reg4_dinov2" if registers else "vit_small_patch14_dinov2"
    torch.manual_seed(0)
    network = timm.create_model(name, embed_dim=32, depth=3, num_heads=2, num_classes=0)
    with torch.no_grad():
        for parameter in network.parameters():  # scales near zero would hide what a block computes
            parameter.normal_(std=0.5)
    path = folder / "timm.safetensors"
    save_file(network.state_dict(), path)
    return name, path


@pytest.mark.parametrize("registers", [False, True])
def test_both_names_give_the_same_tokens(
    registers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.VIT_SHAPES", {"small": (32, 3, 2)})
    name, path = saved_timm_network(tmp_path, registers=registers)
    monkeypatch.setattr(
        "timm.create_model", lambda model, _create=timm.create_model, **given: _create(
            model, embed_dim=32, depth=3, num_heads=2, **given
        )
    )  # fmt: skip
    repository = "facebook/dinov2-with-registers-small" if registers else "facebook/dinov2-small"
    ours = TransformersVit(repository, checkpoint=path)
    theirs = Vit(name, checkpoint=path).eval()
    assert "converted from timm's names" in ours.origin
    for size in SIZES:
        image = torch.rand(2, 3, *size)
        with torch.no_grad():
            final, blocks = ours.both(ours.normalise(image), blocks=[0, 2])
            other, other_blocks = theirs.both(theirs.normalise(image), blocks=[0, 2])
        torch.testing.assert_close(final, other, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(blocks, other_blocks, rtol=1e-4, atol=1e-4)


@real.needs(DINOV2)
@pytest.mark.slow
@pytest.mark.parametrize("size", [518, 252])
def test_both_names_give_the_same_tokens_of_real_weights(size: int) -> None:
    ours = TransformersVit("facebook/dinov2-small", checkpoint=DINOV2)
    theirs = Vit("vit_small_patch14_dinov2.lvd142m", checkpoint=DINOV2).eval()
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        final, _ = ours.both(ours.normalise(image), blocks=[11])
        other = theirs(theirs.normalise(image))
    assert float((final - other).abs().max()) < 2e-3 * float(other.abs().mean())


def test_tensors_of_another_network_are_refused_by_name() -> None:
    assert not has_timm_names({"embeddings.cls_token": torch.zeros(1)})
    with pytest.raises(AdframeError, match=r"head\.weight is no tensor of timm's DINOv2"):
        transformers_names({"head.weight": torch.zeros(1)})
    with pytest.raises(AdframeError, match=r"blocks\.0\.mlp\.fc3\.bias is no tensor"):
        transformers_names({"blocks.0.mlp.fc3.bias": torch.zeros(1)})
