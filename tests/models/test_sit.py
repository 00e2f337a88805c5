"""Masked reconstruction: what is hidden, what is learned, what is scored."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adframe.contracts import IMAGE, INDEX, Gradient, LeaveOneOut, Previewing
from adframe.errors import AdframeError
from adframe.models.masking import FIXED_STEP, Masking
from adframe.models.scoring import Scoring
from adframe.models.sit import SiT
from tests.fakes.masked import images, settled, tiny_sit, tiny_vit


def batch(count: int = 4, **settings: Any) -> dict[str, Any]:
    return {IMAGE: images(count, **settings), INDEX: torch.arange(count)}


def test_it_keeps_the_protocols() -> None:
    model = tiny_sit()
    for protocol in (Gradient, LeaveOneOut, Previewing):
        assert isinstance(model, protocol)


def test_only_hidden_pixels_of_the_truth_count_in_the_loss() -> None:
    model = tiny_sit(gradient=0.0)
    normal = model.vit.normalise(images(2))
    hidden = model.masking.draw(normal, index=torch.arange(2), step=0)
    rebuilt = torch.zeros_like(normal)

    def loss(truth: torch.Tensor) -> torch.Tensor:
        return model.target.losses(rebuilt, truth, hidden=hidden, vit=model.vit)["l1"]

    assert loss(normal) == loss(normal + 5 * (1 - hidden))
    assert loss(normal) != loss(normal + 5 * hidden)


def test_what_is_hidden_cannot_be_seen() -> None:
    """Two images that differ in hidden pixels only are rebuilt alike."""
    for fill in ("zeros", "noise"):
        masking = Masking(patch=16, ratio=0.5, fill=fill, seed=0)
        image = images(2)
        hidden = masking.draw(image, index=torch.arange(2), step=3)
        changed = image + hidden * images(2, seed=5)
        torch.testing.assert_close(
            masking.filled(image, hidden, step=3), masking.filled(changed, hidden, step=3)
        )


def test_another_image_stands_in_half_of_the_holes() -> None:
    masking = Masking(patch=16, ratio=0.5, fill="image", seed=0)
    image = images(4)
    hidden = masking.draw(image, index=torch.arange(4), step=0)
    filled = masking.filled(image, hidden, step=0)
    holes = hidden.bool().expand(-1, 3, -1, -1)
    assert torch.equal(filled[0][holes[0]], image[3][holes[0]])
    assert not filled[1][holes[1]].any()
    assert not masking.filled(image, hidden, step=FIXED_STEP)[holes].any()  # scoring knows no other image


def test_masks_hang_on_seed_step_and_image_not_on_the_batch() -> None:
    masking = Masking(patch=16, ratio=0.5, fill="zeros", seed=0)
    whole = masking.draw(images(4), index=torch.arange(4), step=7)
    assert torch.equal(whole[2:], masking.draw(images(2), index=torch.tensor([2, 3]), step=7))
    assert not torch.equal(whole, masking.draw(images(4), index=torch.arange(4), step=8))


def test_training_brings_the_held_out_loss_down() -> None:
    model = tiny_sit()
    held_out = {IMAGE: images(4, seed=1) * 0.1 + 0.8, INDEX: torch.arange(4)}
    before = model.check(held_out)["total"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(20):
        optimizer.zero_grad()
        model.loss({IMAGE: images(4) * 0.1 + 0.8, INDEX: torch.arange(4)})["total"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert model.check(held_out)["total"] < 0.7 * before


def test_the_total_is_the_sum_of_the_terms() -> None:
    losses = tiny_sit(contrastive=0.1).loss(batch())
    total = losses.pop("total")
    assert set(losses) == {"l1", "gradient", "contrast"}
    torch.testing.assert_close(total, torch.stack(list(losses.values())).sum())


def test_checks_do_not_move_and_do_not_count_as_steps() -> None:
    model = tiny_sit().eval()
    assert model.check(batch()) == model.check(batch())
    assert model.facts()["steps"] == 0


def test_frozen_features_leave_the_decoder_to_learn() -> None:
    model = tiny_sit(adapt="decoder")
    learning = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"decoder"}
    listed = [p for g in model.groups(weight_decay=0.1, layer_decay=0.5) for p in g["params"]]
    assert {id(p) for p in listed} == {id(p) for p in model.decoder.parameters()}


def test_every_learning_parameter_is_in_one_group_and_early_layers_learn_more_slowly() -> None:
    model = tiny_sit(contrastive=0.1)
    groups = model.groups(weight_decay=0.1, layer_decay=0.5)
    listed = [id(p) for g in groups for p in g["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    scale = {id(p): g["lr_scale"] for g in groups for p in g["params"]}
    first, last = (model.vit.trunk.blocks[i].attn.qkv.weight for i in (0, -1))
    assert scale[id(first)] < scale[id(last)] <= scale[id(model.decoder.layers[0].weight)] == 1


@pytest.mark.parametrize("target", ["pixels", "colour_tokens", "tokens"])
def test_scores_do_not_hang_on_batch_or_chunk(target: Any) -> None:
    model = tiny_sit(target=target)
    if model.needs_preview:
        model.preview(images(4))
        model.finalise_preview()
    settled(model)
    whole = model(images(3))
    object.__setattr__(model.scoring, "chunk", 2)
    parts = [model(image[None]) for image in images(3)]
    torch.testing.assert_close(whole.score, torch.cat([p.score for p in parts]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(whole.heatmap, torch.cat([p.heatmap for p in parts]), rtol=1e-3, atol=1e-3)


def test_stitched_tokens_are_those_of_the_mask_that_hid_them() -> None:
    model = tiny_sit().eval()
    normal = model.vit.normalise(images(2))
    (masks,) = Scoring(blocks=[1], masks=2).covers((4, 4))
    with torch.no_grad():
        (rebuilt,) = model._rebuilt(normal, [masks])
        for mask in masks:
            hidden = model.masking.pixels(mask[None]).float()
            alone = model.decoder(model.vit.patches(model.vit(normal * (1 - hidden))), grid=(4, 4))
            torch.testing.assert_close(rebuilt * hidden, alone * hidden, rtol=1e-4, atol=1e-4)


def test_a_strange_patch_stands_out_once_it_has_learned() -> None:
    model = tiny_sit()
    plain = images(8, seed=3) * 0.05 + 0.5
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(15):
        optimizer.zero_grad()
        model.loss({IMAGE: plain, INDEX: torch.arange(8)})["total"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval().collect_held_out(images(6, seed=4) * 0.05 + 0.5)
    model.finalise_held_out()
    strange = images(1, seed=5) * 0.05 + 0.5
    strange[:, :, 16:32, 32:48] = 1.0
    said = model(torch.cat([images(1, seed=6) * 0.05 + 0.5, strange]))
    assert said.score[1] > 2 * said.score[0].abs()
    row, column = divmod(int(said.heatmap[1, 0].argmax()), 64)
    assert 12 <= row < 36
    assert 28 <= column < 52


def test_an_observed_image_is_held_against_the_others() -> None:
    """As if it had never been observed."""
    four, scoring = images(4, seed=9), Scoring(normalisation="per_pixel")
    model = settled(tiny_sit(scoring=scoring))
    judged = model.score_leave_one_out(four[:1])
    other = tiny_sit(scoring=scoring).eval()
    other.collect_held_out(four[1:])
    other.finalise_held_out()
    torch.testing.assert_close(judged.heatmap, other(four[:1]).heatmap, rtol=1e-3, atol=1e-3)
    assert judged.score > model(four[:1]).score


@pytest.mark.parametrize("normalisation", ["per_pixel", "global", "none"])
def test_what_was_observed_comes_back_from_a_file(normalisation: Any) -> None:
    scoring = Scoring(normalisation=normalisation)
    model = settled(tiny_sit(scoring=scoring))
    again = tiny_sit(scoring=scoring).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(images(2)).heatmap, model(images(2)).heatmap)


def test_the_palette_comes_back_from_a_file() -> None:
    model = tiny_sit(target="colour_tokens", colours=8)
    model.preview(images(4))
    model.finalise_preview()
    assert not model.needs_preview
    again = tiny_sit(target="colour_tokens", colours=8)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.target.palette, model.target.palette)  # type: ignore[arg-type]


def test_images_of_fewer_colours_than_the_palette_have_finite_errors() -> None:
    model = tiny_sit(target="colour_tokens", colours=8)
    flat = torch.full((2, 3, 64, 64), 0.5)
    model.preview(flat)
    model.finalise_preview()
    assert torch.isfinite(model.errors(flat)).all()
    assert torch.isfinite(model.picture(flat)["rebuilt"]).all()


@pytest.mark.parametrize("network", ["adapted", "starting"])
def test_token_distance_is_a_further_error(network: Any) -> None:
    scoring = Scoring(l1=0.0, gradient=0.0, tokens=1.0, token_blocks=[1], token_network=network)
    model = settled(tiny_sit(scoring=scoring))
    assert list(model.weights) == ["tokens"]
    assert (model.errors(images(1)) >= 0).all()


def test_the_starting_network_stays_as_it_was() -> None:
    scoring = Scoring(tokens=1.0, token_blocks=[1], token_network="starting")
    model = tiny_sit(scoring=scoring)
    assert model.starting is not None
    assert not any(p.requires_grad for p in model.starting.parameters())
    listed = {id(p) for g in model.groups(weight_decay=0, layer_decay=1) for p in g["params"]}
    assert not listed & {id(p) for p in model.starting.parameters()}


def test_the_teacher_follows_slowly_and_does_not_learn() -> None:
    model = tiny_sit(contrastive=0.1)
    assert model.contrast is not None
    before = [p.clone() for p in model.contrast.teacher.parameters()]
    with torch.no_grad():
        for p in model.vit.parameters():
            p.add_(1.0)
    model.step += 1
    model.loss(batch())
    for old, new in zip(before, model.contrast.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.004, rtol=1e-3, atol=1e-4)
        assert not new.requires_grad


def test_any_multiple_of_the_patch_will_do() -> None:
    model = settled(tiny_sit(), size=(32, 96))
    assert model(images(1, size=(32, 96))).heatmap.shape == (1, 1, 32, 96)
    with pytest.raises(AdframeError, match="nearest that do: image_size=48 or image_size=64"):
        model(images(1, size=(50, 50)))


def test_hidden_tokens_are_compared_with_those_of_the_network_before_training() -> None:
    model = tiny_sit(target="tokens", target_blocks=[1, 4]).eval()
    normal = model.vit.normalise(images(2))
    rebuilt = torch.randn(2, 2 * model.vit.width, 4, 4)
    hidden = torch.zeros(2, 1, 64, 64)
    hidden[:, :, :16, 16:48] = 1.0
    found = model.target.losses(rebuilt, normal, hidden=hidden, vit=model.vit)["features"]
    (error,) = model.target.errors(rebuilt, normal, vit=model.vit)
    expected = []
    for image in range(2):
        for column in (1, 2):
            for part, block in enumerate((1, 4)):
                truth = tiny_vit().eval().at(normal, blocks=[block])[0][image, column]
                truth = (truth - truth.mean()) / truth.std(correction=0)
                own = rebuilt[image, part * model.vit.width :][: model.vit.width, 0, column]
                expected.append(1 - torch.cosine_similarity(own, truth, dim=0))
    assert found.item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-4)
    assert error.shape == (2, 1, 64, 64)


def test_the_network_before_training_stays_and_is_not_learned() -> None:
    model = tiny_sit(target="tokens")
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append(model.loss(batch())["total"])
        losses[-1].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses[-1] < losses[0]
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith("starting.") for name in changed | model.learned().keys())
    assert any(name.startswith("vit.") for name in changed)


@pytest.mark.parametrize("target", ["pixels", "tokens"])
def test_pictures_are_what_a_person_can_look_at(target: Any) -> None:
    pictures = tiny_sit(target=target).eval().picture(images(2))
    assert list(pictures) == ["input", "hidden", "rebuilt", "error"]
    for picture in pictures.values():
        assert picture.shape == (2, 3, 64, 64)
        assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 must be between 0 and 1"),
        ({"gradient": -1.0}, "model.gradient=-1.0"),
        ({"target": "colour_tokens", "cell": 5}, "model.cell=5 must divide the patch of 16"),
        (
            {"target": "tokens", "target_blocks": [99]},
            r"model.target_blocks=\[99\] must name different blocks from 0 to 5",
        ),
        (
            {"target": "tokens", "target_blocks": [3, 3]},
            r"model.target_blocks=\[3, 3\] must name different blocks from 0 to 5",
        ),
        (
            {"target": "tokens", "scoring": Scoring(tokens=1.0, token_blocks=[1])},
            "set it to 0 with model.target=tokens",
        ),
        ({"scoring": Scoring(tokens=1.0, token_blocks=[99])}, "has blocks 0 to"),
    ],
)
def test_impossible_settings_are_one_line(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AdframeError, match=text):
        SiT(tiny_vit(), **({"scoring": Scoring()} | settings))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"blocks": []}, "blocks must be"),
        ({"masks": 1}, "masks must be 2 or more"),
        ({"tokens": 1.0}, "token_blocks must name"),
        ({"top_share": 2.0}, "top_share"),
        ({"l1": -1.0}, "weights"),
    ],
)
def test_impossible_scorings_are_one_line(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AdframeError, match=text):
        Scoring(**settings)


def test_too_few_held_out_images_are_an_error() -> None:
    model = tiny_sit()
    model.collect_held_out(images(2))
    with pytest.raises(AdframeError, match="2 held-out normal images are too few"):
        model.finalise_held_out()


def test_blocks_as_large_as_the_grid_hide_everything() -> None:
    with pytest.raises(AdframeError, match="hide everything on a grid of 4x4"):
        Scoring(blocks=[4]).covers((4, 4))
