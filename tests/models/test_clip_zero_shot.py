from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from adframe.contracts import Prompted, Reopenable
from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.clip_backbone import ClipBackbone
from adframe.models.clip_zero_shot import ClipZeroShot
from adframe.models.pixel_mean import PixelMean
from adframe.models.prompts import PromptEnsemble
from adframe.models.tiled import Tiling, tiled
from tests.fakes.clip import write_towers

NORMAL = torch.rand(3, 3, 64, 80, generator=torch.Generator().manual_seed(0))
NEW = torch.rand(4, 3, 64, 80, generator=torch.Generator().manual_seed(1))
STATES = {"normal": ["{}", "flawless {}"], "anomalous": ["broken {}", "{} with a defect"]}
TEMPLATES = ["a photo of the {}.", "a dark photo of a {}."]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClipBackbone:
    folder = tmp_path_factory.mktemp(request.param)
    write_towers(folder, request.param)
    return ClipBackbone("anything", checkpoint=folder)


def prompts(**changes: Any) -> PromptEnsemble:
    return PromptEnsemble(**{**STATES, "templates": TEMPLATES, **changes})


def fitted(backbone: ClipBackbone, *, images: torch.Tensor = NORMAL, batch: int = 2, **changes: Any) -> Any:
    model = ClipZeroShot(backbone, prompts(), **changes)
    model.name_categories(["metal_nut"])
    for part in torch.split(images, batch):
        model.collect(part)
    model.finalise()
    return model


def slow_window_map(score: Any, *, side: int) -> torch.Tensor:
    """The definition: the harmonic mean of `score(top, left)` over the windows that cover a patch."""
    found = torch.zeros(4, 5)
    for y in range(4):
        for x in range(5):
            covering = [
                float(score(top, left))
                for top in range(4 - side + 1)
                for left in range(5 - side + 1)
                if top <= y < top + side and left <= x < left + side
            ]
            found[y, x] = len(covering) / sum(1 / each for each in covering)
    return found


def test_texts_are_every_state_in_every_template() -> None:
    normal, anomalous = prompts(objects={"pcb1": "circuit board"}).texts(["pcb1"])
    assert normal == [
        "a photo of the circuit board.",
        "a dark photo of a circuit board.",
        "a photo of the flawless circuit board.",
        "a dark photo of a flawless circuit board.",
    ]
    assert anomalous[2] == "a photo of the circuit board with a defect."
    assert prompts().object_of(["metal_nut"]) == "metal nut"
    assert prompts().object_of(["a", "b"]) == prompts().object_of([]) == "object"
    assert len(prompts()) == 8


def test_the_mean_of_unit_embeddings_stands_for_a_kind(backbone: ClipBackbone) -> None:
    texts = fitted(backbone).texts
    for kind, own in zip(prompts().texts(["metal_nut"]), texts, strict=True):
        unit = torch.stack([backbone.encode_texts([text])[0] for text in kind])
        torch.testing.assert_close(unit.norm(dim=1), torch.ones(4))
        mean = sum(unit) / len(unit)
        torch.testing.assert_close(own, mean / mean.norm(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.07, "learned"])
def test_scores_and_maps_without_references_are_those_of_the_definition(
    temperature: Any, backbone: ClipBackbone
) -> None:
    model = fitted(backbone, temperature=temperature, chunk=3)
    found = model(NEW)
    seen = backbone.embed(NEW, sides=[2, 3], chunk=100)
    scale = backbone.logit_scale if temperature == "learned" else 1 / 0.07
    normal, anomalous = model.texts

    def probability(vector: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scale * torch.stack([vector @ normal, vector @ anomalous]), dim=0)[1]

    for image in range(len(NEW)):
        whole = probability(seen.whole[image])
        torch.testing.assert_close(found.score[image], whole, rtol=1e-4, atol=1e-6)
        maps = [
            slow_window_map(
                lambda top, left, side=side, own=own, image=image: probability(
                    own[image, top * (5 - side + 1) + left]
                ),
                side=side,
            )
            for side, own in zip((2, 3), seen.windows, strict=True)
        ]
        expected = 3 / (1 / whole + 1 / maps[0] + 1 / maps[1])
        large = F.interpolate(expected[None, None], size=(64, 80), mode="bilinear", align_corners=False)
        torch.testing.assert_close(found.heatmap[image : image + 1], large, rtol=1e-3, atol=1e-5)


def test_references_add_the_distance_to_normal_windows_and_patches(backbone: ClipBackbone) -> None:
    plain, model = fitted(backbone), fitted(backbone, references="collected")
    texts, found = plain(NEW), model(NEW)
    known, seen = (backbone.embed(images, sides=[2, 3], chunk=100) for images in (NORMAL, NEW))

    def apart(own: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return (1 - (others.flatten(0, 1) @ own).max()) / 2

    for image in range(len(NEW)):
        parts = [
            slow_window_map(
                lambda top, left, side=side, place=place, image=image: apart(
                    seen.windows[place][image, top * (5 - side + 1) + left], known.windows[place]
                ),
                side=side,
            )
            for place, side in enumerate((2, 3))
        ]
        parts.append(torch.stack([apart(own, known.patches) for own in seen.patches[image]]).view(4, 5))
        distance = torch.stack(parts).mean(0)
        torch.testing.assert_close(
            found.score[image], (texts.score[image] + distance.max()) / 2, rtol=1e-3, atol=1e-5
        )
        large = F.interpolate(distance[None, None], size=(64, 80), mode="bilinear", align_corners=False)
        expected = (texts.heatmap[image : image + 1] + large) / 2
        torch.testing.assert_close(found.heatmap[image : image + 1], expected, rtol=1e-3, atol=1e-4)


def test_normal_images_matter_only_as_references(backbone: ClipBackbone) -> None:
    one, other = fitted(backbone), fitted(backbone, images=NEW)
    assert torch.equal(one(NEW).heatmap, other(NEW).heatmap)
    assert one.zero_shot
    known = fitted(backbone, references="collected")
    assert not known.zero_shot
    assert float(known(NORMAL).score.mean()) < float(known(NEW).score.mean())


@pytest.mark.parametrize("references", ["none", "collected"])
def test_order_and_batches_do_not_change_a_score(references: str, backbone: ClipBackbone) -> None:
    one = fitted(backbone, references=references)
    other = fitted(backbone, images=NORMAL.flip(0), batch=1, references=references)
    torch.testing.assert_close(other(NEW).score, one(NEW).score, rtol=1e-4, atol=1e-5)
    apart = torch.cat([one(part).heatmap for part in torch.split(NEW, 1)])
    torch.testing.assert_close(apart, one(NEW).heatmap, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("references", ["none", "collected"])
def test_a_stored_model_needs_no_text_tower(
    references: str, backbone: ClipBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(backbone, references=references)
    fresh = ClipZeroShot(backbone, prompts(), references=references)
    monkeypatch.setattr(ClipBackbone, "encode_texts", lambda *_: pytest.fail("texts are encoded again"))
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(NEW).score, model(NEW).score)
    assert torch.equal(fresh(NEW).heatmap, model(NEW).heatmap)
    assert fresh.facts() == model.facts()
    if references == "none":
        fresh.finalise()  # nothing is encoded again


def test_more_normal_images_join_the_references(backbone: ClipBackbone) -> None:
    model, whole = (
        fitted(backbone, images=images, references="collected") for images in (NORMAL[:2], NORMAL)
    )
    model.release()
    with pytest.raises(AdframeError, match="collecting more would replace them all"):
        model.collect(NORMAL[2:])
    assert isinstance(model, Reopenable)
    assert model.reopen().startswith("exact: ")
    model.collect(NORMAL[2:])
    model.finalise()
    torch.testing.assert_close(model(NEW).heatmap, whole(NEW).heatmap, rtol=1e-4, atol=1e-5)
    assert model.facts() == whole.facts()
    with pytest.raises(AdframeError, match="references=none uses no normal images"):
        fitted(backbone).reopen()


def test_tiles_are_named_and_scored(backbone: ClipBackbone) -> None:
    model = tiled(ClipZeroShot(backbone, prompts()), Tiling(size=48))
    assert isinstance(model, Prompted)
    assert model.zero_shot
    model.name_categories(["screw"])
    model.finalise()
    assert model(NEW).heatmap.shape == (4, 1, 64, 80)
    plain = tiled(PixelMean(None), Tiling(size=48))
    plain.name_categories(["screw"])  # a method without texts ignores it
    assert not plain.zero_shot


def test_the_general_name_is_taken_where_no_category_is_known(backbone: ClipBackbone) -> None:
    model = ClipZeroShot(backbone, prompts())
    with pytest.raises(RuntimeError, match="no texts are encoded"):
        model(NEW)
    model.finalise()
    other = ClipZeroShot(backbone, prompts())
    other.name_categories(["object"])
    assert torch.equal(model.texts, other.texts)
    with pytest.raises(AdframeError, match="needs normal images, and none was collected"):
        ClipZeroShot(backbone, prompts(), references="collected").finalise()


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows": []},
        {"windows": [2, 2]},
        {"windows": [0]},
        {"temperature": 0.0},
        {"sigma": -1.0},
        {"chunk": 0},
    ],
)
def test_impossible_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}=") as error:
        ClipZeroShot(ClipBackbone("clip", source="random"), prompts(), **wrong)
    assert "\n" not in str(error.value)


def test_what_cannot_work_says_why(tmp_path: Path) -> None:
    random = ClipBackbone("clip", source="random")
    with pytest.raises(AdframeError, match=r"unknown model\.references 'some'"):
        ClipZeroShot(random, prompts(), references="some")  # type: ignore[arg-type]
    timm: Any = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
    with pytest.raises(AdframeError, match="backbone=test_vit has no text tower"):
        ClipZeroShot(timm, prompts())
    with pytest.raises(AdframeError, match=r"model.prompts.normal: 'fine' must have \{\} once"):
        prompts(normal=["fine"])
    with pytest.raises(AdframeError, match=r"model\.prompts\.templates="):
        prompts(templates=[])
    model = ClipZeroShot(random, prompts())
    model.finalise()
    with pytest.raises(AdframeError, match=r"fewer than model\.windows=3 needs"):
        model(torch.rand(1, 3, 32, 64))
