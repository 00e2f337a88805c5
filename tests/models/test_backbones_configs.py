"""Every backbone that can be named builds and gives maps, with random weights."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml

from adframe.models.backbones import TimmBackbone
from adframe.models.hf_vit import REPOSITORIES as REPOSITORIES
from tests.e2e.scripts import ROOT

FILES = {
    path.stem: path
    for path in sorted((ROOT / "conf" / "backbone").glob("*.yaml"))
    if path.stem not in ("timm", "ensemble")
}
TRANSFORMERS = [name for name in FILES if name.endswith("_transformers")]
# Networks with two towers, of which no library has a list.
TOWERS = ["openai/clip-vit-base-patch16", "google/siglip2-base-patch16-224"]
VITS = [name for name in FILES if name.startswith(("vit", "dino", "clip")) and name not in TRANSFORMERS]


def settings(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return {name: value for name, value in found.items() if name != "_target_"}


@pytest.mark.parametrize("name", FILES)
def test_it_is_named_after_its_file_and_timm_has_weights_for_it(name: str) -> None:
    said = settings(FILES[name])
    assert said["name"] == name
    known = [*REPOSITORIES, *TOWERS] if name in TRANSFORMERS else timm.list_pretrained()
    assert said["source"] == "package" or said["model"] in known


@pytest.mark.slow
@pytest.mark.parametrize("name", VITS)
def test_a_vision_transformer_maps_any_size_that_divides(name: str) -> None:
    backbone = TimmBackbone(**{**settings(FILES[name]), "source": "random"})
    patch = backbone.trunk.patch_embed.patch_size[0]
    for height, width in ((16, 16), (5, 9)):
        found = backbone(torch.rand(1, 3, patch * height, patch * width))
        assert [m.shape for m in found] == [(1, backbone.trunk.embed_dim, height, width)] * 2
        assert all(m.isfinite().all() for m in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_base_16", "dinov2_small_reg", "dinov3_small"])
def test_positions_matter_at_any_size(name: str) -> None:
    """Were the position embedding lost on stretching, mirrored patches would give the mirrored map."""
    backbone = TimmBackbone(**{**settings(FILES[name]), "source": "random"})
    patch = backbone.trunk.patch_embed.patch_size[0]
    for parameter in backbone.trunk.parameters():  # layer scale and positions start at next to nothing
        if parameter.abs().max() < 0.1:
            parameter.normal_(std=0.2)
    colours = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    image = colours.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    plain, mirrored = backbone(image)[-1], backbone(image.flip(3))[-1].flip(3)
    assert (plain - mirrored).norm() > 1e-3 * plain.norm()
