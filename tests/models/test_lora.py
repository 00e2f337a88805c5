"""Adapters in the attention: what learns, what stays, what is stored."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch.utils.checkpoint import checkpoint

from adframe.contracts import IMAGE, Collector, Gradient, LeaveOneOut
from adframe.errors import AdframeError
from adframe.models.dino_lora import DinoLora
from adframe.models.hf_vit import TransformersVit, open_vit
from adframe.models.lora import Lora, merged_weights, unadapted
from adframe.models.token_scores import TokenScoring
from tests.fakes.adapted import calibrated, spoilt, tiny_lora
from tests.fakes.masked import images, tiny_vit

SCORES = ("decoder", "mahalanobis", "memory", "fused")


def trained(**settings: Any) -> Any:
    model = tiny_lora(**settings)
    optimizer = torch.optim.AdamW(model.groups(weight_decay=0.0, layer_decay=1.0)[0]["params"], lr=5e-3)
    for _ in range(30):
        optimizer.zero_grad()
        model.loss(spoilt())["total"].backward()
        optimizer.step()
    return model


def test_it_keeps_the_protocols() -> None:
    for protocol in (Gradient, LeaveOneOut, Collector):
        assert isinstance(tiny_lora(), protocol)


def test_nothing_has_changed_before_it_learns() -> None:
    vit = tiny_vit().eval()
    normal = vit.normalise(images(2))
    with torch.no_grad():
        before = vit(normal)
        Lora().adapt(vit)
        torch.testing.assert_close(vit(normal), before)


@pytest.mark.parametrize("targets", [["q"], ["q", "v"], ["o"], ["q", "k", "v", "o"]])
@pytest.mark.parametrize("dora", [True, False])
def test_only_the_attention_of_the_last_blocks_is_adapted(targets: list[str], dora: bool) -> None:
    vit = tiny_vit()
    Lora(rank=2, targets=targets, blocks=2, dora=dora).adapt(vit)
    learning = [name for name, p in vit.named_parameters() if p.requires_grad]
    assert {name.split(".")[2] for name in learning} == {"4", "5"}
    parts = {"proj" if "proj" in name else "qkv" for name in learning}
    assert parts == ({"proj"} if "o" in targets else set()) | ({"qkv"} if set(targets) - {"o"} else set())


def test_normed_tokens_are_those_of_a_backbone_with_norm_and_leave_the_training_alone() -> None:
    plain, normed = tiny_lora(score="memory"), tiny_lora(score="memory", norm=True)
    for model in (plain, normed):
        with torch.no_grad():  # a LayerNorm that changes something
            model.vit.trunk.norm.weight.copy_(torch.linspace(0.5, 2, model.vit.width))
    image = images(2)
    for raw, found in zip(plain.feature_reader()(image), normed.feature_reader()(image), strict=True):
        rows = raw.permute(0, 2, 3, 1)
        expected = (rows - rows.mean(3, keepdim=True)) / (
            rows.var(3, correction=0, keepdim=True) + 1e-6
        ) ** 0.5
        expected = expected * normed.vit.trunk.norm.weight + normed.vit.trunk.norm.bias
        torch.testing.assert_close(found, expected.permute(0, 3, 1, 2), rtol=1e-3, atol=1e-4)
    assert torch.equal(
        normed.token_maps(image, adapted=True), torch.cat(normed.feature_reader()(image), dim=1)
    )
    losses = [model.loss(spoilt())["total"] for model in (plain, normed)]
    assert torch.equal(losses[0], losses[1])


def test_transformers_networks_are_adapted_by_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.VIT_SHAPES", {"small": (32, 3, 2)})
    for repository in ("facebook/dinov2-small", "facebook/dinov2-with-registers-small"):
        vit = open_vit(repository, source="random")
        assert isinstance(vit, TransformersVit)
        Lora(rank=2, targets=["q", "o"], blocks=1).adapt(vit)
        learning = {name for name, p in vit.named_parameters() if p.requires_grad}
        assert {name.split("attention.")[1].split(".")[0] for name in learning} == {"q_proj", "o_proj"}
        assert all("layer.2." in name for name in learning)
        final, found = vit.both(vit.normalise(images(2, size=(56, 70))), blocks=[0, 2])
        assert [each.shape for each in found] == [(2, 20, 32)] * 2
        assert final.shape[1] == 20 + (5 if "registers" in repository else 1)


def test_blocks_of_transformers_are_checkpointed_where_gradients_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.VIT_SHAPES", {"small": (32, 3, 2)})
    calls: list[Any] = []

    def counted(forward: Any, *args: Any, **options: Any) -> Any:
        calls.append(forward)
        return checkpoint(forward, *args, **options)

    monkeypatch.setattr("adframe.models.hf_vit.recomputed", counted)
    batch = {key: each[..., :56, :56] if each.ndim == 4 else each for key, each in spoilt().items()}
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        vit = open_vit("facebook/dinov2-small", source="random", gradient_checkpointing=checkpointing)
        model = DinoLora(vit, lora=Lora(rank=2, dropout=0.5), scoring=TokenScoring(score="decoder"))
        assert not vit.trunk.training
        model.loss(batch)["total"].backward()
        assert len(calls) == (3 if checkpointing else 0)
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        calls.clear()
    assert any("lora_B" in name for name in found[0])
    torch.testing.assert_close(found[1], found[0])


def test_a_repository_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("adframe.models.hf_vit.cached_commit", lambda *_, **__: None)
    with pytest.raises(AdframeError, match="are not cached here and the hub cannot be reached"):
        open_vit("facebook/dinov2-base")
    with pytest.raises(AdframeError, match="facebook/dinov2-huge"):
        open_vit("facebook/dinov2-huge")


def test_merged_weights_are_a_plain_network_that_says_the_same() -> None:
    model = trained().eval()
    plain = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True).eval()
    plain.load_state_dict(merged_weights(model.vit), strict=True)
    normal = model.vit.normalise(images(2))
    with torch.no_grad():
        torch.testing.assert_close(plain.forward_features(normal), model.vit(normal), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(plain.forward_features(normal), tiny_vit().eval()(normal), atol=1e-3)


def test_the_network_before_it_was_adapted_is_still_there() -> None:
    model, before = trained().eval(), tiny_vit().eval()
    normal = before.normalise(images(2))
    with torch.no_grad():
        with unadapted(model.vit):
            torch.testing.assert_close(model.vit(normal), before(normal))
        assert not torch.allclose(model.vit(normal), before(normal), atol=1e-3)


def test_dropout_depends_on_the_step_only() -> None:
    def build() -> Any:
        model = tiny_lora(lora=Lora(rank=2, dropout=0.5)).train()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.1)
        return model

    first, second = build(), build()
    state = torch.get_rng_state()
    losses = [first.loss(spoilt())["total"] for _ in range(2)]
    assert losses[0] != losses[1]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)  # another use of the generator, such as a loader's
    assert torch.equal(second.loss(spoilt())["total"], losses[0])
    resumed = build()
    resumed.load_learned(second.learned())
    assert torch.equal(resumed.loss(spoilt())["total"], losses[1])
    assert torch.equal(first.eval().check(spoilt())["total"], second.eval().check(spoilt())["total"])
    assert "step" not in tiny_lora().learned()  # earlier trainings without dropout can be loaded


@pytest.mark.parametrize("head", ["dense", "token"])
@pytest.mark.parametrize("loss", ["focal_dice", "confidence"])
def test_it_learns_where_the_anomaly_is(head: Any, loss: Any) -> None:
    said = calibrated(trained(head=head, loss=loss))(spoilt(2, seed=3)[IMAGE])
    assert said.score[1] > said.score[0]
    spoilt_map = said.heatmap[1, 0]
    assert spoilt_map[16:32, 32:48].mean() > spoilt_map.mean() + spoilt_map.std()


@pytest.mark.parametrize("extra", [{"multi_scale": [8, 16]}, {"guided": True}])
def test_the_studys_extras_start_as_nothing_and_learn(extra: dict[str, Any]) -> None:
    plain, model = calibrated(tiny_lora()), tiny_lora(**extra).eval()
    own = {**model.state_dict(), **plain.state_dict()}
    model.load_state_dict(own)
    torch.testing.assert_close(model(images(1)).heatmap, plain(images(1)).heatmap)
    before = {n: p.clone() for n, p in model.named_parameters() if n.startswith(("bottlenecks", "guide"))}
    assert before
    learned = dict(trained(**extra).named_parameters())
    assert any(not torch.equal(learned[name], value) for name, value in before.items())


@pytest.mark.parametrize("score", SCORES)
def test_scores_do_not_hang_on_the_batch(score: str) -> None:
    model = calibrated(trained(score=score))
    image = spoilt()[IMAGE]
    whole, parts = model(image), [model(each[None]) for each in image]
    torch.testing.assert_close(whole.score, torch.cat([p.score for p in parts]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(whole.heatmap, torch.cat([p.heatmap for p in parts]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("score", SCORES)
def test_a_reload_scores_the_same_without_the_backbones_weights(score: str) -> None:
    model = calibrated(trained(score=score))
    stored = {name: t for name, t in model.state_dict().items() if name not in model.frozen}
    assert not any("patch_embed" in name or ".mlp." in name for name in stored)
    again = tiny_lora(score=score).eval()
    known = {name: t for name, t in again.state_dict().items() if name in again.frozen}
    again.load_state_dict(known | stored, strict=True)
    assert torch.equal(again(images(2)).heatmap, model(images(2)).heatmap)


def test_the_fused_score_is_the_mean_in_units_of_held_out_normals() -> None:
    fused = calibrated(trained(score="fused"))
    image, seen = spoilt()[IMAGE], images(6, seed=9) * 0.1 + 0.4
    single = {score: tiny_lora(score=score) for score in SCORES[:3]}
    for model in single.values():
        model.load_learned(fused.learned())
    held = {s: calibrated(m).score_leave_one_out(seen).score for s, m in single.items()}
    usual = {s: (v.mean(), v.std(correction=0) * (1 + 0.1**2) ** 0.5) for s, v in held.items()}
    expected = torch.stack([(m(image).score - usual[s][0]) / usual[s][1] for s, m in single.items()]).mean(0)
    torch.testing.assert_close(fused(image).score, expected, rtol=1e-2, atol=1e-2)


def test_an_observed_image_is_left_out_of_what_it_is_held_against() -> None:
    model = calibrated(trained(score="mahalanobis"))
    seen = images(6, seed=9) * 0.1 + 0.4
    assert (model.score_leave_one_out(seen).score > model(seen).score).all()


@pytest.mark.parametrize("score", ["mahalanobis", "fused"])
def test_calibrating_again_forgets_the_first_time(score: str) -> None:
    model = calibrated(trained(score=score))
    first = model(images(2)).score
    again = True
    while again:
        model.collect_held_out(images(4, seed=11))
        again = model.finalise_held_out()
    assert not torch.allclose(model(images(2)).score, first)
    again = True
    while again:
        model.collect_held_out(images(6, seed=9) * 0.1 + 0.4)
        again = model.finalise_held_out()
    torch.testing.assert_close(model(images(2)).score, first)


def test_what_was_learned_serves_another_score() -> None:
    model, other = trained(score="decoder"), tiny_lora(score="memory")
    other.load_learned(model.learned())
    torch.testing.assert_close(
        other.logits(other.tokens(images(1)), grid=(4, 4)), model.logits(model.tokens(images(1)), grid=(4, 4))
    )


def test_scores_follow_the_weights() -> None:
    model, image = calibrated(tiny_lora()), images(2)
    before = model(image).score
    model.load_learned(trained().learned())
    assert not torch.allclose(model(image).score, before)


def test_ranks_may_hang_on_the_category() -> None:
    ranks = {"default": 2, "can": 6}
    for category, rank in (("can", 6), ("vial", 2)):
        vit = tiny_vit()
        Lora(rank=ranks, category=category).adapt(vit)
        widths = {p.shape[0] for name, p in vit.named_parameters() if "lora_A" in name}
        assert widths == {rank}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"targets": ["x"]}, "must be some of q, k, v, o"),
        ({"rank": 0}, "model.lora.rank=0 must be above 0"),
        ({"rank": {"can": 3}}, "require one for default"),
        ({"blocks": 0}, "model.lora.blocks=0"),
    ],
)
def test_impossible_settings_are_one_line(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AdframeError, match=text):
        Lora(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"blocks": []}, r"model.blocks=\[\] must name different blocks from 0 to 5 of test_vit"),
        ({"blocks": [3, 3]}, r"model.blocks=\[3, 3\] must name different blocks from 0 to 5"),
        ({"blocks": [-1]}, r"model.blocks=\[-1\] must name different blocks from 0 to 5"),
        ({"temperature": 0.0}, "model.temperature=0.0 must be above 0"),
    ],
)
def test_impossible_settings_of_the_method_are_one_line(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AdframeError, match=text):
        tiny_lora(**settings)
