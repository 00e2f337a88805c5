"""What Dinomaly and INP-Former have in common: the frozen encoder, the loss, the map, what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adframe.contracts import Gradient
from adframe.errors import AdframeError
from adframe.models.dinomaly import Dinomaly
from adframe.models.hf_vit import open_vit
from adframe.models.token_reconstruction import (
    MapScoring,
    TokenReconstruction,
    layer_groups,
    reconstruction_loss,
)
from adframe.models.vit import Vit
from adframe.ops.smoothing import heatmap
from tests.fakes.masked import images, tiny_vit
from tests.fakes.reconstructed import grey, learn, tiny_dinomaly, tiny_inp_former

MODELS = [tiny_dinomaly, tiny_inp_former]
each_model = pytest.mark.parametrize("build", MODELS, ids=["dinomaly", "inp_former"])
Build = Callable[..., TokenReconstruction]


def tokens(count: int, *, seed: int = 0) -> Tensor:
    return torch.randn(count, 6, 8, generator=torch.Generator().manual_seed(seed))


def cosine(one: np.ndarray, two: np.ndarray) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(two)
    # A token of INP-Former is 0 before training where no prototype has a positive cosine.
    return float((one * two).sum() / lengths) if lengths else 0.0


def test_the_loss_is_one_minus_the_cosine_of_flattened_maps() -> None:
    target, rebuilt = tokens(3), tokens(3, seed=1)
    found = reconstruction_loss(target, rebuilt, factors=torch.ones_like)
    expected = np.mean(
        [1 - cosine(a.flatten(), b.flatten()) for a, b in zip(target.numpy(), rebuilt.numpy(), strict=True)]
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_factors_scale_the_gradient_of_points_and_nothing_else() -> None:
    target, values = tokens(2), tokens(2, seed=1)
    weights = torch.rand(2, 6, generator=torch.Generator().manual_seed(2))
    found = {}
    for name, factors in (("plain", torch.ones_like), ("scaled", lambda _: weights)):
        rebuilt = values.clone().requires_grad_()
        loss = reconstruction_loss(target, rebuilt * 1.0, factors=factors)
        loss.backward()
        found[name] = (float(loss.detach()), rebuilt.grad)
    assert found["plain"][0] == found["scaled"][0]
    torch.testing.assert_close(found["scaled"][1], found["plain"][1] * weights[..., None])


@each_model
@pytest.mark.parametrize("groups", [1, 2, "each"])
def test_maps_are_mean_distances_of_the_groups_means(build: Build, groups: Any) -> None:
    model = build(groups=groups, scoring=MapScoring(sigma=2.0, top_share=0.1)).eval()
    image = images(2)
    targets = model.encode(image)
    with torch.no_grad():
        rebuilt, _ = model.reconstruct(targets)
    expected = np.zeros((2, 16))
    parts = layer_groups(len(model.blocks), groups)
    for part in parts:
        one = np.mean([targets[i].numpy() for i in part], axis=0)
        two = np.mean([rebuilt[i].numpy() for i in part], axis=0)
        for place in np.ndindex(2, 16):
            expected[place] += (1 - cosine(one[place], two[place])) / len(parts)
    maps = heatmap(torch.from_numpy(expected).float().view(2, 1, 4, 4), size=(64, 64), sigma=2.0)
    prediction = model(image)
    torch.testing.assert_close(prediction.heatmap, maps, atol=1e-5, rtol=1e-4)
    highest = np.sort(prediction.heatmap.numpy().reshape(2, -1))[:, -410:].mean(axis=1)
    np.testing.assert_allclose(prediction.score, highest, rtol=1e-5)


@each_model
def test_tokens_of_all_blocks_come_from_the_frozen_encoder(build: Build) -> None:
    model, vit = build(), tiny_vit().eval()
    with torch.no_grad():
        expected = vit.at(vit.normalise(images(2)), blocks=model.blocks)
    torch.testing.assert_close(model.train().encode(images(2)), expected)
    assert not model.vit.training
    before = {name: tensor.clone() for name, tensor in model.vit.state_dict().items()}
    learn(model, steps=2)
    torch.testing.assert_close(dict(model.vit.state_dict()), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.vit.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


@each_model
def test_recentred_tokens_are_layer_normed_differences_from_the_class_token(build: Build) -> None:
    model, vit = build(recentre=True), tiny_vit().eval()
    with torch.no_grad():
        final, patches = vit.trunk.forward_intermediates(
            vit.normalise(images(2)), indices=model.blocks, output_fmt="NLC", return_prefix_tokens=True
        )
    assert final is not None
    for own, (patch, prefix) in zip(model.encode(images(2)), patches, strict=True):
        apart = (patch - prefix[:, :1]).numpy()
        expected = (apart - apart.mean(2, keepdims=True)) / np.sqrt(apart.var(2, keepdims=True) + 1e-5)
        np.testing.assert_allclose(own, expected, atol=1e-4)


def test_a_network_without_class_token_cannot_be_recentred() -> None:
    vit = Vit("test_vit2", source="random")  # it has a register token only
    with torch.no_grad():
        (whole, patches), *_ = vit.with_class(vit.normalise(images(2)), blocks=[1, 4])
    assert (whole.shape, patches.shape) == ((2, 0, 64), (2, 16, 64))
    with pytest.raises(AdframeError, match=r"test_vit2 has no class token; set model\.recentre=false"):
        Dinomaly(vit, scoring=MapScoring(), recentre=True)
    assert Dinomaly(vit, scoring=MapScoring())(images(1)).heatmap.isfinite().all()


def test_networks_of_transformers_are_read_as_those_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.VIT_SHAPES", {"small": (32, 3, 2)})
    vit = open_vit("facebook/dinov2-with-registers-small", source="random")
    normal = vit.normalise(torch.rand(2, 3, 28, 42))
    with torch.no_grad():
        found = vit.with_class(normal, blocks=[0, 2])
        final, patches = vit.both(normal, blocks=[0, 2])
    assert [(whole.shape, patch.shape) for whole, patch in found] == [((2, 1, 32), (2, 6, 32))] * 2
    torch.testing.assert_close([patch for _, patch in found], patches)
    torch.testing.assert_close(vit.trunk.layernorm(found[1][0])[:, 0], final[:, 0])


@each_model
def test_it_keeps_the_protocol_and_learns(build: Build) -> None:
    model = build()
    assert isinstance(model, Gradient)
    losses = learn(model, steps=30)
    assert losses[-1] < 0.4 * losses[0]
    assert model.facts()["steps"] == 30
    model.eval()
    image = grey(2, seed=7)["image"]
    image[1, :, 16:32, 32:48] = 1.0
    prediction = model(image)
    inside = prediction.heatmap[1, 0, 16:32, 32:48].mean()
    assert inside > 2 * prediction.heatmap[0].max()
    assert prediction.score[1] > prediction.score[0]


@each_model
def test_scores_do_not_depend_on_the_batch(build: Build) -> None:
    model, image = build().eval(), images(3)
    whole = model(image)
    alone = [model(image[i : i + 1]) for i in (2, 1, 0)][::-1]
    torch.testing.assert_close(whole.score, torch.cat([each.score for each in alone]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        whole.heatmap, torch.cat([each.heatmap for each in alone]), rtol=1e-5, atol=1e-6
    )


@each_model
def test_draws_of_a_step_depend_on_the_step_only(build: Build) -> None:
    first, second = build().train(), build().train()
    state = torch.get_rng_state()
    losses = [first.loss(grey())["total"] for _ in range(2)]
    torch.testing.assert_close(torch.get_rng_state(), state)
    torch.rand(3)  # another use of the generator
    second.step.fill_(1)
    torch.testing.assert_close(second.loss(grey())["total"], losses[1], rtol=0, atol=0)
    assert isinstance(first, type(tiny_inp_former())) or losses[0] != losses[1]


@each_model
def test_held_out_losses_repeat(build: Build) -> None:
    model = build().eval()
    one, two = model.check(grey()), model.check(grey())
    assert one == two
    assert float(one["total"]) == pytest.approx(sum(float(v) for k, v in one.items() if k != "total"))
    assert int(model.step) == 0


@each_model
def test_what_was_learned_is_stored_without_the_encoder(build: Build) -> None:
    model, other = build(), build()
    learn(model, steps=2)
    state = model.learned()
    assert not any(name.startswith("vit.") for name in state)
    other.load_learned(state)
    torch.testing.assert_close(other.eval()(images(2)).heatmap, model.eval()(images(2)).heatmap)
    state.pop("step")
    with pytest.raises(RuntimeError, match="step"):
        other.load_learned(state)


@each_model
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": []}, r"model\.blocks=\[\] must name blocks from 0 to 5"),
        ({"blocks": [3, 1]}, "in ascending order"),
        ({"blocks": [6]}, "must name blocks from 0 to 5"),
        ({"groups": 7}, "model.groups=7 must be each, or from 1 to 4"),
    ],
)
def test_impossible_settings_are_one_line(build: Build, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AdframeError, match=message) as error:
        build(**settings)
    assert "\n" not in str(error.value)


def test_impossible_scoring_is_one_line() -> None:
    for wrong in ({"sigma": -1.0}, {"top_share": 2.0}):
        with pytest.raises(AdframeError, match=f"model.scoring.{next(iter(wrong))}"):
            MapScoring(**wrong)
