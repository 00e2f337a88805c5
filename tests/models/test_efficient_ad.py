"""EfficientAD: the networks, the losses, the scales of its maps, the teacher's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from adframe.contracts import HeldOut, Previewing
from adframe.errors import AdframeError
from adframe.models.efficient_ad import EfficientAD, mean_of_hardest
from adframe.models.efficient_autoencoder import Autoencoder
from adframe.models.patch_description import PatchDescription, Size, Teacher
from adframe.ops.smoothing import heatmap
from tests.fakes.convolutional import tiny_efficient_ad, tiny_teacher
from tests.fakes.masked import images
from tests.fakes.pictures import draw
from tests.fakes.reconstructed import grey

SIZE = (256, 256)


@pytest.mark.parametrize(
    ("size", "names", "parameters"),
    # 3, 128, 256, 256, 384 channels, and 3, 256, 512, 512, 512, 384, 384.
    [("small", [0, 3, 6, 8], 2_694_144), ("medium", [0, 3, 6, 8, 10, 12], 8_026_624)],
)
def test_the_networks_are_those_of_the_paper(size: Size, names: list[int], parameters: int) -> None:
    network = PatchDescription(size)
    assert list(network.state_dict()) == [f"{n}.{kind}" for n in names for kind in ("weight", "bias")]
    assert sum(each.numel() for each in network.parameters()) == parameters
    narrow = PatchDescription(size, features=6, width=4)
    for side in (64, 200, 256, 264):
        assert narrow(torch.rand(1, 3, side, side)).shape[-1] == side // 4 - 8


def test_an_output_sees_33_pixels() -> None:
    for size in ("small", "medium"):
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        network = PatchDescription(size, features=6, width=4)
        for parameter in network.parameters():
            parameter.data.abs_()  # so that no ReLU hides a pixel
        network(image)[..., 2, 5].sum().backward()
        assert image.grad is not None
        down, across = image.grad.abs().sum(dim=(0, 1)).nonzero().T
        assert down.min() >= 8
        assert down.max() <= 8 + 32
        assert across.min() >= 20
        assert across.max() <= 20 + 32


def test_the_autoencoder_has_one_vector_of_an_image_of_256_pixels() -> None:
    network, grids = Autoencoder(features=384).eval(), []
    for layer in network.decoder:
        layer.register_forward_pre_hook(lambda _, given: grids.append(given[0].shape[-1]))
    with torch.no_grad():
        assert network.encoder(images(1, size=SIZE)).shape == (1, 64, 1, 1)
        assert network(images(1, size=SIZE), size=(56, 56)).shape == (1, 384, 56, 56)
    assert grids == [3, 8, 15, 32, 63, 127]
    assert sum(isinstance(each, nn.Dropout) for each in network.modules()) == 6
    with pytest.raises(AdframeError, match=r"images of 256 pixels or more, and this one has 128x256; set"):
        network(images(1, size=(128, 256)), size=(24, 56))


def test_the_hardest_errors_are_those_above_the_quantile() -> None:
    errors = torch.rand(2, 5, 100, 7, generator=torch.Generator().manual_seed(0))
    values = errors.numpy().ravel()
    for quantile in (0.0, 0.9, 0.999):
        expected = values[values >= np.quantile(values, quantile)].mean()
        assert float(mean_of_hardest(errors, quantile=quantile)) == pytest.approx(expected, rel=1e-3)


def test_the_teachers_channels_are_normalised_over_all_training_images(tmp_path: Path) -> None:
    model = tiny_efficient_ad(tmp_path)
    assert isinstance(model, Previewing)
    whole = images(5, size=SIZE)
    features = model.teacher(whole).double().transpose(0, 1).flatten(1)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        for part in torch.tensor(order).split(2):
            model.preview(whole[part])
        model.finalise_preview()
        torch.testing.assert_close(model.mean.flatten().double(), features.mean(dim=1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            model.std.flatten().double(), features.std(dim=1, correction=0), rtol=1e-4, atol=1e-6
        )
    described = model.describe(whole).transpose(0, 1).flatten(1)
    torch.testing.assert_close(described.mean(dim=1), torch.zeros(6), atol=1e-4, rtol=0)


def test_losses_are_those_of_the_paper(tmp_path: Path) -> None:
    # Without augmentation and dropout every term can be computed from the outputs.
    model = tiny_efficient_ad(tmp_path, augmentation=0.0, hard_quantile=0.9).eval()
    batch = grey(2, size=SIZE)
    with torch.no_grad():
        found = model.losses(batch)
        normal = (batch["image"] - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
            [0.229, 0.224, 0.225]
        ).view(3, 1, 1)
        target = model.teacher.network(normal)
        first, second = model.student(normal)[:, :6], model.student(normal)[:, 6:]
        predicted = model.autoencoder(normal, size=(56, 56))
    errors = (target - first).square().numpy().ravel()
    assert float(found["student"]) == pytest.approx(np.sort(errors)[-len(errors) // 10 :].mean(), rel=1e-3)
    assert float(found["autoencoder"]) == pytest.approx(float((target - predicted).square().mean()), rel=1e-4)
    assert float(found["student_autoencoder"]) == pytest.approx(
        float((second - predicted).square().mean()), rel=1e-4
    )


def test_the_penalty_is_the_students_answer_to_other_pictures(tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "one.png", size=(300, 200))
    model = tiny_efficient_ad(tmp_path, penalty_images=tmp_path / "pictures", penalty_grey=1.0).eval()
    assert model.cautions == []
    picture = model._draw_pictures(images(1, size=SIZE))
    assert picture.shape == (1, 3, *SIZE)
    torch.testing.assert_close(picture[:, 0], picture[:, 2])
    coloured = tiny_efficient_ad(tmp_path, penalty_images=tmp_path / "pictures", penalty_grey=0.0).eval()
    picture = coloured._draw_pictures(images(1, size=SIZE))
    assert (picture[:, 0] != picture[:, 2]).any()
    with torch.no_grad():
        outputs = coloured.student((picture - _imagenet()[0]) / _imagenet()[1])[:, :6]
        found = coloured.losses(grey(1, size=SIZE))
    assert float(found["penalty"]) == pytest.approx(float(outputs.square().mean()), rel=1e-4)
    plain = tiny_efficient_ad(tmp_path).eval()
    assert "penalty" not in plain.check(grey(1, size=SIZE))
    assert "is left out" in plain.cautions[0]


def _imagenet() -> list[torch.Tensor]:
    return [torch.tensor(c).view(1, 3, 1, 1) for c in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]


def test_one_of_three_changes_is_applied_to_each_image(tmp_path: Path) -> None:
    model, image = tiny_efficient_ad(tmp_path), torch.full((40, 3, 8, 8), 0.5)
    image[:, 0, ::2] = 0.3
    torch.manual_seed(0)
    changed = model._augment(image)
    ratios = (changed / image)[:, 2, 0, 0]
    assert ((changed != image).flatten(1).any(dim=1)).all()
    bright = [n for n in range(40) if torch.allclose(changed[n], image[n] * ratios[n], atol=1e-6)]
    assert 5 < len(bright) < 25  # the others have another contrast or saturation
    assert ratios[bright].min() >= 0.8
    assert ratios[bright].max() <= 1.2


def test_maps_are_scaled_by_quantiles_of_held_out_images(tmp_path: Path) -> None:
    model = tiny_efficient_ad(tmp_path, quantiles=(0.5, 0.9)).eval()
    assert isinstance(model, HeldOut)
    held_out, image = images(3, size=SIZE, seed=4), images(2, size=SIZE)
    for part in held_out.split(2):
        model.collect_held_out(part)
    model.finalise_held_out()
    expected = torch.zeros(2, 1, *SIZE)
    for raw, known in zip(model.maps(image), model.maps(held_out), strict=True):
        low, high = np.quantile(known.numpy(), [0.5, 0.9])
        expected += 0.5 * 0.1 * (raw - low) / (high - low)
    prediction = model(image)
    torch.testing.assert_close(prediction.heatmap, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(prediction.score, prediction.heatmap.amax(dim=(1, 2, 3)))
    with pytest.raises(AdframeError, match="needs normal validation images"):
        model.finalise_held_out()


def test_limits_are_fitted_as_images_are_scored(tmp_path: Path) -> None:
    """Validation runs in the training's precision, which may be half of it."""
    limits, image = [], images(1, size=SIZE)
    for half in (False, True):
        torch.manual_seed(0)
        model = tiny_efficient_ad(tmp_path).eval()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            model.collect_held_out(image)
        model.finalise_held_out()
        limits.append(model.limits)
    assert torch.equal(*limits)


def test_a_map_is_a_mean_over_channels_at_the_place_of_the_output(tmp_path: Path) -> None:
    model, image = tiny_efficient_ad(tmp_path).eval(), images(1, size=SIZE)
    with torch.no_grad():
        normal = (image - _imagenet()[0]) / _imagenet()[1]
        difference = (model.describe(image) - model.student(normal)[:, :6]).square().mean(1, keepdim=True)
    padded = torch.from_numpy(np.pad(difference.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="edge"))
    torch.testing.assert_close(model.maps(image)[0], heatmap(padded, size=SIZE, sigma=0))


@pytest.mark.slow
def test_it_learns_normal_images_and_finds_another_patch(tmp_path: Path) -> None:
    pattern = F.interpolate(images(1, size=(6, 6)), size=SIZE, mode="bicubic").clamp(0.2, 0.8)
    normal = [pattern + 0.1 * (images(2, size=SIZE, seed=n) - 0.5) for n in range(4)]
    model = tiny_efficient_ad(tmp_path)
    model.preview(torch.cat(normal[:3]))
    model.finalise_preview()
    optimizer = torch.optim.Adam(model.groups(weight_decay=0.0, layer_decay=1.0)[0]["params"], lr=5e-3)
    losses = []
    for step in range(40):
        optimizer.zero_grad()
        total = model.loss({"image": normal[step % 3]})["total"]
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.7 * losses[0]
    model.eval().collect_held_out(normal[2])
    model.finalise_held_out()
    image = normal[3].clone()
    image[1, :, 64:128, 128:192] = 1.0
    prediction = model(image)
    assert prediction.score[1] > 3 * prediction.score[0]
    inside, below = prediction.heatmap[1, 0, 64:128, 128:192], prediction.heatmap[1, 0, 192:]
    assert inside.mean() > below.flatten().quantile(0.99)


@pytest.mark.parametrize("size", ["small", "medium"])
def test_a_teachers_file_decides_on_its_size(size: Size, tmp_path: Path) -> None:
    path = tiny_teacher(tmp_path / "teacher.safetensors", size=size)
    teacher = Teacher(path)
    assert (teacher.name, teacher.network.size, teacher.network.features) == (f"pdn_{size}", size, 6)
    torch.save(load_file(path), tmp_path / "teacher.pth")  # as they are published
    assert Teacher(tmp_path / "teacher.pth").digest == teacher.digest
    assert not teacher.train().training
    assert EfficientAD(path, autoencoder_width=4).student.features == 12


def test_another_file_is_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"model\.teacher=.*gone\.pth does not exist"):
        Teacher(tmp_path / "gone.pth")
    path = tmp_path / "other.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(AdframeError, match=r"holds no patch description network.*adframe distill"):
        Teacher(path)
    state = load_file(tiny_teacher(tmp_path / "teacher.safetensors"))
    save_file(state | {"6.weight": torch.zeros(1, 1, 3, 3)}, path)
    with pytest.raises(AdframeError, match=r"1 of another shape \(6\.weight\)"):
        Teacher(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hard_quantile": 1.0},
        {"augmentation": 1.5},
        {"penalty_grey": -0.1},
        {"quantiles": [0.9]},
        {"quantiles": [0.9, 0.5]},
        {"dropout": 1.0},
    ],
)
def test_impossible_settings_are_one_line(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        tiny_efficient_ad(tmp_path, **wrong)
    with pytest.raises(AdframeError, match=r"model\.autoencoder_width=3 must be an even number"):
        EfficientAD(tmp_path / "teacher.safetensors", autoencoder_width=3)


def test_a_folder_without_pictures_stops_before_training(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, text in (("empty", "has no picture"), ("gone", "is not a folder")):
        model = tiny_efficient_ad(tmp_path, penalty_images=tmp_path / name)
        with pytest.raises(AdframeError, match=rf"model\.penalty_images .*{name} {text}"):
            model.preview(grey(1, size=SIZE)["image"])
