import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import Dinov2Config, Dinov2Model

from adframe.errors import AdframeError
from adframe.models import clip_towers
from adframe.models.clip_backbone import ClipBackbone
from adframe.models.musc import MuSc
from adframe.models.padim import PaDiM
from adframe.ops.windows import window_places
from tests.fakes.clip import MEAN, STD, write_towers

FAMILIES = ("clip", "siglip")
SQUARE = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
WIDE = torch.rand(2, 3, 80, 96, generator=torch.Generator().manual_seed(1))
TEXTS = ["a photo of a flawless screw.", "a dark photo of the broken metal nut.", "screw"]


@pytest.fixture(scope="module", params=FAMILIES)
def towers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, write_towers(folder, request.param)


@pytest.fixture(scope="module")
def backbone(towers: tuple[Path, Any]) -> ClipBackbone:
    return ClipBackbone("anything", checkpoint=towers[0])


def normalised(image: torch.Tensor) -> torch.Tensor:
    return (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.mark.parametrize("image", [SQUARE, WIDE], ids=["square", "wide"])
def test_embeddings_of_images_are_those_of_the_library(
    image: torch.Tensor, towers: tuple[Path, Any], backbone: ClipBackbone
) -> None:
    pixels = normalised(image)
    expected = towers[1].get_image_features(pixel_values=pixels, interpolate_pos_encoding=True)
    found = backbone.embed(image, sides=[2], chunk=5)
    torch.testing.assert_close(found.whole, F.normalize(expected.pooler_output, dim=1), rtol=1e-4, atol=1e-5)
    tokens = expected.last_hidden_state[:, int(backbone.has_class_token) :]
    torch.testing.assert_close(found.patches, F.normalize(tokens, dim=2), rtol=1e-4, atol=1e-5)
    assert found.grid == (image.shape[2] // 16, image.shape[3] // 16)


def test_embeddings_of_texts_are_those_of_the_library(
    towers: tuple[Path, Any], backbone: ClipBackbone
) -> None:
    words = [[0, 4, 5, 6, 4, 8, 10, 3, 1], [0, 4, 14, 5, 6, 7, 9, 11, 12, 3, 1], [0, 10, 1]]
    for text, ids in zip(TEXTS, words, strict=True):
        padded = torch.tensor([ids + [1] * (16 - len(ids))])
        expected = F.normalize(towers[1].get_text_features(input_ids=padded).pooler_output, dim=1)
        torch.testing.assert_close(backbone.encode_texts([text]), expected, rtol=1e-5, atol=1e-6)
    together = backbone.encode_texts(TEXTS)
    apart = torch.cat([backbone.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_window_is_the_network_on_its_patches_alone(side: int, backbone: ClipBackbone) -> None:
    """Against keys of all other patches masked out: the definition, with the whole sequence."""
    found = backbone.embed(WIDE, sides=[side], chunk=7).windows[0]
    tokens, grid = backbone._embedded(WIDE)
    prefix = int(backbone.has_class_token)
    for number, own in enumerate(window_places(grid, side=side)):
        kept = [*range(prefix), *(int(place) + prefix for place in own)]
        masked = torch.full((1, 1, 1, tokens.shape[1]), float("-inf"))
        masked[..., kept] = 0.0
        states = tokens
        for block in backbone.trunk.encoder.layers:
            states = block(states, attention_mask=masked.expand(len(WIDE), 1, tokens.shape[1], -1))
        if prefix:
            pooled = backbone.projection(backbone.trunk.post_layernorm(states[:, 0]))
        else:
            pooled = backbone.trunk.head(backbone.trunk.post_layernorm(states[:, kept]))
        torch.testing.assert_close(found[:, number], F.normalize(pooled, dim=1), rtol=1e-3, atol=1e-5)


def test_the_number_of_windows_together_does_not_matter(backbone: ClipBackbone) -> None:
    one, all_ = (backbone.embed(WIDE, sides=[2, 3], chunk=chunk) for chunk in (1, 1000))
    for a, b in zip(one.windows, all_.windows, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_maps_are_the_hidden_states_of_the_library(towers: tuple[Path, Any], backbone: ClipBackbone) -> None:
    vision, prefix = towers[1].vision_model, int(backbone.has_class_token)
    states = vision(normalised(SQUARE), output_hidden_states=True).hidden_states
    for place, found in enumerate(backbone(SQUARE)):
        expected = states[place + 1][:, prefix:].transpose(1, 2).reshape(3, 32, 4, 4)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    normed = ClipBackbone("anything", checkpoint=towers[0], layers=["blocks.1"], norm=True)
    last = vision.post_layernorm(states[2])[:, prefix:].transpose(1, 2).reshape(3, 32, 4, 4)
    torch.testing.assert_close(normed(SQUARE)[0], last, rtol=1e-4, atol=1e-4)
    if prefix:
        torch.testing.assert_close(
            backbone.with_class_token(SQUARE)[1], states[2][:, 0], rtol=1e-4, atol=1e-4
        )
    else:
        with pytest.raises(AdframeError, match="has no class token"):
            backbone.with_class_token(SQUARE)


def test_methods_on_feature_maps_take_it(backbone: ClipBackbone) -> None:
    gaussians = PaDiM(backbone, channels=8)
    gaussians.collect(SQUARE)
    gaussians.finalise()
    assert gaussians(SQUARE).score.isfinite().all()
    if backbone.has_class_token:
        mutual = MuSc(backbone, degrees=[1])
        mutual.collect_test(SQUARE)
        mutual.finalise_test()
        assert mutual(SQUARE).score.isfinite().all()


def test_one_size_fixed_gives_the_same_embeddings(towers: tuple[Path, Any], backbone: ClipBackbone) -> None:
    fixed = ClipBackbone("anything", checkpoint=towers[0])
    fixed.set_input_size((80, 96))
    torch.testing.assert_close(
        fixed.embed(WIDE, sides=[2], chunk=9).whole, backbone.embed(WIDE, sides=[2], chunk=9).whole
    )


def test_bfloat16_changes_embeddings_little(towers: tuple[Path, Any], backbone: ClipBackbone) -> None:
    short = ClipBackbone("anything", checkpoint=towers[0], precision="bfloat16")
    found, exact = (each.embed(WIDE, sides=[2], chunk=9) for each in (short, backbone))
    assert found.whole.dtype == torch.float32
    assert float((found.whole - exact.whole).norm(dim=1).max()) < 0.05


def test_random_weights_are_the_same_every_time() -> None:
    one, other = (ClipBackbone("siglip", source="random") for _ in range(2))
    assert one.digest == other.digest
    assert torch.equal(one.encode_texts(TEXTS), other.encode_texts(TEXTS))
    assert one.digest != ClipBackbone("clip", source="random").digest


def test_without_a_processor_the_published_normalisation_is_taken(
    towers: tuple[Path, Any], tmp_path: Path
) -> None:
    copy = shutil.copytree(towers[0], tmp_path / "copy")
    (copy / "preprocessor_config.json").unlink()
    mean = ClipBackbone("anything", checkpoint=copy).mean.flatten()[0]
    assert float(mean) == pytest.approx(0.48145466 if towers[1].config.model_type == "clip" else 0.5)


def test_what_cannot_be_read_says_why(
    towers: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(match: str, **given: Any) -> None:
        with pytest.raises(AdframeError, match=match) as error:
            ClipBackbone("some/clip", **given)
        assert "\n" not in str(error.value)

    refused(
        "backbone.checkpoint=.* must be a folder in the format of transformers", checkpoint=tmp_path / "no"
    )
    refused("unknown backbone.source .hubb.", source="hubb")
    refused("backbone layer", source="random", layers=["blocks.9"])
    (tmp_path / "empty").mkdir()
    refused("cannot be read: .*timm's CLIP networks have no text tower", checkpoint=tmp_path / "empty")
    other = tmp_path / "other"
    Dinov2Model(
        Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32)
    ).save_pretrained(other)
    refused("it is neither a CLIP nor a SigLIP", checkpoint=other)
    half = shutil.copytree(towers[0], tmp_path / "half")
    state = load_file(half / "model.safetensors")
    vision = {name: tensor for name, tensor in state.items() if "text" not in name}
    save_file(vision, half / "model.safetensors", metadata={"format": "pt"})
    refused(r"lacks \d+ tensors \(text_", checkpoint=half)
    monkeypatch.setattr(clip_towers, "is_reachable", lambda url: False)
    refused("weights of some/clip are not cached here and the hub cannot be reached; .*docs/weights.md")
    untold = tmp_path / "untold"
    write_towers(untold, towers[1].config.model_type, tokenizer=False)
    with pytest.raises(AdframeError, match=r"tokenizer of backbone\.checkpoint="):
        ClipBackbone("some/clip", checkpoint=untold).encode_texts(TEXTS)
    with pytest.raises(AdframeError, match="has 19 tokens, and some/clip takes 16: shorten"):
        ClipBackbone("some/clip", checkpoint=towers[0]).encode_texts([17 * "screw "])
    with pytest.raises(AdframeError, match="nearest that do: image_size=64 or image_size=80"):
        ClipBackbone("some/clip", source="random")(torch.rand(1, 3, 70, 70))
