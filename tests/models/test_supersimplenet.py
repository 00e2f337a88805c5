"""SuperSimpleNet: adapted features, noise in blobs of them, the two heads, the losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.supersimplenet import Classification, SuperSimpleNet, truncated_l1
from adframe.ops.smoothing import heatmap
from tests.fakes.convolutional import learn, tiny_cnn, tiny_supersimplenet
from tests.fakes.masked import images
from tests.fakes.reconstructed import grey


def test_features_are_means_on_twice_the_grid_and_adapted() -> None:
    model, image = tiny_supersimplenet(), images(1)
    fine, coarse = model.backbone(image)
    wide = [F.interpolate(each, size=(16, 16), mode="bilinear") for each in (fine, coarse)]
    stacked = torch.cat(wide, dim=1)[0].numpy()  # (C, 16, 16)
    with torch.no_grad():
        found = model.adapted(image)[0]
    weight, bias = model.adaptor.weight[:, :, 0, 0].detach().numpy(), model.adaptor.bias.detach().numpy()
    for y, x in ((0, 0), (3, 15), (8, 5)):
        near = stacked[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, y, x], weight @ near + bias, rtol=1e-3, atol=1e-4)


def test_the_truncated_loss_ends_at_the_margin() -> None:
    logits = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    mask = (torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1)) > 0.7).float()
    scores, anomalous = logits.numpy().ravel(), mask.numpy().ravel() > 0
    expected = np.maximum(0, 0.5 + scores[~anomalous]).mean() + np.maximum(0, 0.5 - scores[anomalous]).mean()
    assert float(truncated_l1(logits, mask=mask, margin=0.5)) == pytest.approx(expected, rel=1e-5)
    normal = truncated_l1(logits, mask=torch.zeros_like(mask), margin=0.5)
    assert float(normal) == pytest.approx(np.maximum(0, 0.5 + scores).mean(), rel=1e-5)


def test_focal_losses_are_those_of_the_paper() -> None:
    model, batch = tiny_supersimplenet(gamma=2.0).eval(), grey(2)
    torch.manual_seed(0)
    with torch.no_grad():
        found = model.losses(batch)
        torch.manual_seed(0)
        clean = model.adapted(batch["image"])
        blobs = model._blobs(clean)
        noisy = clean + blobs * torch.randn_like(clean) * model.noise
        logits, whole = model.heads(torch.cat([clean, noisy]))
    mask = torch.cat([torch.zeros_like(blobs), blobs])
    for name, values, truth in (
        ("segmentation", logits, mask),
        ("classification", whole, mask.amax(dim=(1, 2, 3))),
    ):
        probability = 1 / (1 + np.exp(-values.double().numpy().ravel()))
        right = np.where(truth.numpy().ravel() > 0, probability, 1 - probability)
        expected = (-((1 - right) ** 2) * np.log(right)).mean()
        assert float(found[name]) == pytest.approx(expected, rel=1e-4)
    assert float(found["truncated"]) == pytest.approx(float(truncated_l1(logits, mask=mask, margin=0.5)))


def test_labelled_defects_are_anomalous_with_and_without_noise() -> None:
    """The losses by loops over positions, with annotated defects among the images."""
    model, batch = tiny_supersimplenet(noise=0.3, gamma=2.0).eval(), dict(grey(3))
    mask = torch.zeros(3, 1, 64, 64)
    mask[0, :, :40, 8:64] = 1
    mask[2, :, 40, 40] = 1  # less than half of a position
    torch.manual_seed(0)
    with torch.no_grad():
        found = model.losses(batch | {"mask": mask})
        torch.manual_seed(0)
        clean = model.adapted(batch["image"])
        blobs = model._blobs(clean)
        draws = torch.randn_like(clean)
    side = 64 // clean.shape[-1]
    truth = np.zeros((3, 1, *clean.shape[-2:]))
    for image, y, x in np.ndindex(3, *clean.shape[-2:]):
        part = mask[image, 0, side * y : side * (y + 1), side * x : side * (x + 1)].numpy()
        truth[image, 0, y, x] = part.mean() >= 0.5 or (image == 2 and part.any())
    assert truth.sum(axis=(1, 2, 3)).tolist() == [(40 // side) * (56 // side), 0, 1]
    assert (blobs.numpy() * truth).sum() > 0  # some noise would fall on a defect
    outside = torch.from_numpy(np.where(truth > 0, 0, blobs.numpy())).float()
    with torch.no_grad():
        logits, whole = model.heads(torch.cat([clean, clean + outside * draws * 0.3]))
    both = np.concatenate([truth, np.maximum(truth, outside.numpy())])
    scores, anomalous = logits.double().numpy(), both > 0
    expected = np.maximum(0, 0.5 + scores[~anomalous]).mean() + np.maximum(0, 0.5 - scores[anomalous]).mean()
    assert float(found["truncated"]) == pytest.approx(expected, rel=1e-4)
    for name, values, right in (
        ("segmentation", scores.ravel(), anomalous.ravel()),
        ("classification", whole.double().numpy(), both.reshape(6, -1).max(axis=1) > 0),
    ):
        probability = 1 / (1 + np.exp(-np.where(right, values, -values)))
        assert float(found[name]) == pytest.approx(
            (-((1 - probability) ** 2) * np.log(probability)).mean(), rel=1e-4
        )


def test_without_a_labelled_defect_the_losses_are_those_of_normal_images() -> None:
    model, batch = tiny_supersimplenet().eval(), dict(grey(2))
    torch.manual_seed(0)
    plain = model.losses(batch)
    torch.manual_seed(0)
    labelled = model.losses(batch | {"mask": torch.zeros(2, 1, 64, 64)})
    assert all(torch.equal(labelled[name], value) for name, value in plain.items())


def test_noise_is_in_blobs_of_every_size() -> None:
    model, features = tiny_supersimplenet(), torch.zeros(60, 3, 16, 16)
    torch.manual_seed(0)
    blobs = model._blobs(features)
    assert set(blobs.unique().tolist()) == {0.0, 1.0}
    shares = blobs.mean(dim=(1, 2, 3))
    assert 0.1 < shares.mean() < 0.5
    assert shares.std() > 0.05
    torch.manual_seed(0)
    assert torch.equal(model._blobs(features), blobs)
    torch.manual_seed(1)
    assert not torch.equal(model._blobs(features), blobs)
    none = tiny_supersimplenet(threshold=0.99)._blobs(features)
    assert none.sum() == 0


@pytest.mark.parametrize("size", [(16, 16), (8, 64), (9, 12)])
def test_noise_is_never_drawn_where_it_is_zero(size: tuple[int, int]) -> None:
    """Perlin noise is 0 at the corners of its cells, where a lattice as fine as the grid would sample it."""
    torch.manual_seed(0)
    blobs = tiny_supersimplenet(threshold=0.0, scales=(6, 6))._blobs(torch.zeros(40, 3, *size))
    assert (blobs.flatten(1).sum(dim=1) > 0).all()


def test_the_map_has_full_precision_where_training_has_not() -> None:
    model = tiny_supersimplenet().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(images(1)).heatmap
    assert found.dtype == torch.float32
    assert len(found.unique()) > 1000


def test_an_image_is_classified_by_means_and_maxima_of_features_and_map() -> None:
    head = Classification(5).eval()
    features, logits = torch.randn(2, 5, 6, 7), torch.randn(2, 1, 6, 7)
    with torch.no_grad():
        inner = head.convolution(torch.cat([features, logits], dim=1)).numpy()
        pooled = np.concatenate(
            [inner.mean((2, 3)), inner.max((2, 3)), logits.numpy().mean((2, 3)), logits.numpy().max((2, 3))],
            axis=1,
        )
        expected = pooled @ head.linear.weight[0].numpy() + head.linear.bias.numpy()
        np.testing.assert_allclose(head(features, logits), expected, rtol=1e-4, atol=1e-5)
    assert head.convolution[0].kernel_size == (5, 5)


def test_scores_are_logits_of_the_heads() -> None:
    model, image = tiny_supersimplenet(sigma=2.0).eval(), images(2)
    with torch.no_grad():
        logits, whole = model.heads(model.adapted(image))
    prediction = model(image)
    torch.testing.assert_close(prediction.score, whole)
    torch.testing.assert_close(prediction.heatmap, heatmap(logits, size=(64, 64), sigma=2.0))


@pytest.mark.parametrize("stop", [False, True])
def test_the_classification_may_leave_the_other_parts_alone(stop: bool) -> None:
    model = tiny_supersimplenet(stop_gradient=stop).train()
    model.heads(model.adapted(images(2)))[1].sum().backward()
    assert (model.adaptor.weight.grad is None) == stop
    assert (model.segmentation[0].weight.grad is None) == stop
    assert model.classification.linear.weight.grad is not None


def test_the_adaptor_learns_at_its_own_rate() -> None:
    adaptor, heads = tiny_supersimplenet(adaptor_rate=0.25).groups(weight_decay=0.1, layer_decay=1.0)
    assert (adaptor["lr_scale"], heads["lr_scale"]) == (0.25, 1.0)
    assert [each.shape[0] for each in adaptor["params"]] == [240, 240]
    model = tiny_supersimplenet()
    trained = sum(
        each.numel() for group in model.groups(weight_decay=0, layer_decay=1) for each in group["params"]
    )
    assert trained == model.facts()["parameters"]


@pytest.mark.slow
def test_it_learns_to_find_noise_in_features_of_other_images() -> None:
    model = tiny_supersimplenet(noise=0.1)
    losses = learn(model, steps=60, lr=5e-3)
    assert losses[-1] < 0.4 * losses[0]
    model.eval()
    with torch.no_grad():
        clean = model.adapted(grey(4, seed=9)["image"])
        blob = torch.zeros_like(clean[:, :1])
        blob[..., 4:12, 4:12] = 1
        generator = torch.Generator().manual_seed(0)
        noisy = clean + blob * torch.randn(clean.shape, generator=generator) * model.noise
        (before, normal), (after, anomalous) = model.heads(clean), model.heads(noisy)
    assert (anomalous > normal).all()
    assert after[..., 4:12, 4:12].mean() > before[..., 4:12, 4:12].mean() + 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": 0.0},
        {"threshold": 1.0},
        {"scales": (3, 1)},
        {"hidden": 0},
        {"margin": 0.0},
        {"gamma": -1.0},
        {"adaptor_rate": 0.0},
        {"sigma": -1.0},
    ],
)
def test_impossible_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        SuperSimpleNet(tiny_cnn(["layer2"]), **wrong)
