"""Reverse distillation: the embedding, the mirrored decoder, the loss, the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adframe.errors import AdframeError
from adframe.models.residual_stages import ResidualStage, stages_of
from adframe.models.reverse_distillation import ReverseDistillation
from adframe.ops.smoothing import heatmap
from tests.fakes.convolutional import learn, tiny_cnn, tiny_reverse_distillation
from tests.fakes.masked import images
from tests.fakes.reconstructed import grey


def distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(1 - (one * two).sum() / (np.linalg.norm(one) * np.linalg.norm(two)))


def test_the_loss_is_the_sum_of_the_levels_distances_of_whole_maps() -> None:
    model, batch = tiny_reverse_distillation().eval(), grey(3)
    with torch.no_grad():
        targets = model.backbone(batch["image"])
        rebuilt = model.reconstruct(targets)
        found = model.losses(batch)
    expected = [
        np.mean([distance(a.flatten(), b.flatten()) for a, b in zip(one.numpy(), two.numpy(), strict=True)])
        for one, two in zip(targets, rebuilt, strict=True)
    ]
    assert [float(found[f"stride_{n}"]) for n in (4, 8, 16)] == pytest.approx(expected, rel=1e-5)
    assert sum(map(float, found.values())) == pytest.approx(sum(expected), rel=1e-5)


def test_an_image_that_leaves_nothing_to_normalise_is_one_line() -> None:
    model = tiny_reverse_distillation().train()
    with pytest.raises(AdframeError, match=r"a single image of 32x32 pixels has one position.*image_size=48"):
        model.loss(grey(1, size=(32, 32)))
    for count, size in ((2, (32, 32)), (1, (48, 32)), (1, (48, 48))):
        assert model.loss(grey(count, size=size))["total"].isfinite()
    assert model.eval().check(grey(1, size=(32, 32)))["total"].isfinite()


def test_maps_are_sums_of_the_levels_distances_at_each_position() -> None:
    model, image = tiny_reverse_distillation(sigma=2.0, top_share=0.1).eval(), images(2)
    with torch.no_grad():
        targets = model.backbone(image)
        rebuilt = model.reconstruct(targets)
    expected = torch.zeros(2, 1, 64, 64)
    for one, two in zip(targets, rebuilt, strict=True):
        grid = torch.zeros(2, 1, *one.shape[2:])
        for n, y, x in np.ndindex(2, *one.shape[2:]):
            grid[n, 0, y, x] = distance(one[n, :, y, x].numpy(), two[n, :, y, x].numpy())
        expected += heatmap(grid, size=(64, 64), sigma=2.0)
    prediction = model(image)
    torch.testing.assert_close(prediction.heatmap, expected, atol=1e-5, rtol=1e-4)
    highest = np.sort(prediction.heatmap.numpy().reshape(2, -1))[:, -410:].mean(axis=1)
    np.testing.assert_allclose(prediction.score, highest, rtol=1e-5)
    plain = tiny_reverse_distillation(sigma=2.0).eval()(image)
    torch.testing.assert_close(plain.score, plain.heatmap.amax(dim=(1, 2, 3)))


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", [(256, 2, None), (128, 2, None), (64, 2, None)]),
        ("resnet50", [(1024, 6, 256), (512, 4, 128), (256, 3, 64)]),
        ("tf_efficientnet_lite0", [(112, 3, None), (40, 2, None), (24, 2, None)]),
    ],
)
def test_the_decoder_mirrors_the_teacher(name: str, stages: list[tuple[int, int, int | None]]) -> None:
    teacher = tiny_cnn(model=name)
    found = stages_of(teacher.trunk, teacher.layers, name=name)
    assert [(each.width, each.blocks, each.inner) for each in found[::-1]] == stages
    model = ReverseDistillation(teacher).eval()
    for (width, blocks, inner), stage in zip(stages, model.decoder.stages, strict=True):
        assert len(stage) == blocks
        assert stage[0].convolutions[-1].num_features == width
        assert stage[0].convolutions[0].out_channels == (inner or width)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (50, 90)])
def test_odd_grids_are_restored_in_their_size(size: tuple[int, int]) -> None:
    model = tiny_reverse_distillation().eval()
    targets = model.backbone(images(1, size=size))
    with torch.no_grad():
        rebuilt = model.reconstruct(targets)
    assert [each.shape for each in rebuilt] == [each.shape for each in targets]
    assert model(images(1, size=size)).heatmap.shape == (1, 1, *size)


def test_a_bottleneck_adds_three_convolutions_to_its_input() -> None:
    block = ResidualStage(4, 4, blocks=1, inner=2, resize="keep").eval()[0]
    features = torch.randn(1, 4, 5, 5)
    first, second, third = (each for each in block.convolutions if isinstance(each, nn.Conv2d))
    assert [each.kernel_size for each in (first, second, third)] == [(1, 1), (3, 3), (1, 1)]
    scale = (1 + 1e-5) ** -0.5  # of a BatchNorm that has seen nothing
    with torch.no_grad():
        inner = torch.relu(scale * second(torch.relu(scale * first(features))))
        expected = torch.relu(features + scale * third(inner))
        torch.testing.assert_close(block(features), expected)


def test_running_statistics_are_those_of_training_and_are_stored() -> None:
    model = tiny_reverse_distillation()
    learn(model, steps=2, lr=1e-3)
    norms = {name for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)}
    norms = {name for name in norms if not name.startswith("backbone.")}
    state = model.learned()
    assert norms
    assert all((state[f"{name}.running_mean"] != 0).any() for name in norms)
    assert {int(state[f"{name}.num_batches_tracked"]) for name in norms} == {2}


def test_it_learns_normal_images_and_finds_another_patch() -> None:
    model = tiny_reverse_distillation()
    losses = learn(model, steps=60, lr=5e-3)
    assert losses[-1] < 0.4 * losses[0]
    image = grey(2, seed=7)["image"]
    image[1, :, 16:32, 32:48] = 1.0
    prediction = model.eval()(image)
    assert prediction.score[1] > prediction.score[0]
    assert prediction.heatmap[1, 0, 16:32, 32:48].mean() > 1.5 * prediction.heatmap[0].max()


@pytest.mark.parametrize(
    ("backbone", "settings", "message"),
    [
        ({"layers": ["layer2", "layer3"]}, {}, r"those of backbone=test_resnet are \[8, 16\]"),
        ({"model": "test_vit"}, {}, "set backbone.layers=pyramid, or choose backbone=resnet18"),
        ({}, {"sigma": -1.0}, "model.sigma=-1.0 must be 0 or more"),
        ({}, {"top_share": 2.0}, "model.top_share=2.0 from 0 to 1"),
    ],
)
def test_impossible_settings_are_one_line(
    backbone: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(AdframeError, match=message) as error:
        ReverseDistillation(tiny_cnn(**backbone), **settings)
    assert "\n" not in str(error.value)
