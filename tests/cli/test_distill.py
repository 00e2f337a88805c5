"""`adframe distill`: a teacher that other code can read, the same one for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F
from typer.testing import CliRunner

from adframe.cli.app import app
from adframe.errors import AdframeError
from adframe.io.picture_folder import PictureFolder
from adframe.models.backbones import TimmBackbone
from adframe.models.distillation_target import DistillationTarget
from adframe.models.patch_description import Teacher
from adframe.runs.distillation import Distillation
from tests.fakes.convolutional import tiny_cnn
from tests.fakes.masked import images
from tests.fakes.pictures import draw


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(6):
        draw(folder / f"{n % 2}" / f"{n}.png", size=(80, 100))
    (folder / "notes.txt").write_text("no picture")
    return folder


def call(pictures: Path, out: Path, *more: str) -> tuple[str, BaseException | None]:
    given = [
        "--backbone",
        "efficientnet_lite0",
        "--images",
        str(pictures),
        "--out",
        str(out),
        "--batch-size",
        "2",
    ]
    done = CliRunner().invoke(app, ["distill", *given, "--image-size", "64", "--device", "cpu", *more])
    return done.output, done.exception


def test_a_teacher_is_written_and_repeats(pictures: Path, tmp_path: Path) -> None:
    said, error = call(pictures, tmp_path / "one.safetensors", "--steps", "4")
    assert error is None
    assert "step 4 of 4: loss " in said
    assert "PDN small from efficientnet_lite0, 6 pictures, last loss " in said
    teacher = Teacher(tmp_path / "one.safetensors")
    assert (teacher.name, teacher.network.features) == ("pdn_small", 384)
    with safe_open(tmp_path / "one.safetensors", "pt") as file:
        facts = file.metadata()
    assert (facts["backbone"], facts["pictures"], facts["steps"]) == ("efficientnet_lite0", "6", "4")
    call(pictures, tmp_path / "two.safetensors", "--steps", "4", "--threads", "1")
    assert Teacher(tmp_path / "two.safetensors").digest == teacher.digest
    call(pictures, tmp_path / "three.safetensors", "--steps", "1", "--seed", "7")
    assert Teacher(tmp_path / "three.safetensors").digest != teacher.digest


def test_the_loss_falls(tmp_path: Path) -> None:
    draw(tmp_path / "one.png", size=(80, 100))
    losses: list[float] = []
    settings = Distillation(steps=12, batch_size=2, image_size=64, lr=1e-3, grey=0.0)
    settings.run(
        DistillationTarget(tiny_cnn()),
        PictureFolder(tmp_path, setting="--images"),
        device=torch.device("cpu"),
        report=lambda step, loss: losses.append(loss),
    )
    assert len(losses) == 12
    assert losses[0] == pytest.approx(1.0, abs=0.4)  # a network that knows nothing predicts about the mean
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def pooled_slowly(maps: np.ndarray, channels: int) -> np.ndarray:
    """(B, C, h, w) to another number of channels, each the mean of those that it overlaps."""
    ends = [(n * maps.shape[1] // channels, -(-(n + 1) * maps.shape[1] // channels)) for n in range(channels)]
    return np.stack([maps[:, first:last].mean(axis=1) for first, last in ends], axis=1)


def test_targets_are_patch_features_of_the_middle_of_the_image() -> None:
    backbone = tiny_cnn()
    image = images(2, size=(128, 128))
    found = DistillationTarget(backbone)(image)
    _, fine, coarse = backbone(image)
    averaged = [F.avg_pool2d(F.pad(m, (1, 1, 1, 1)), 3, stride=1) for m in (fine, coarse)]
    averaged[1] = F.interpolate(averaged[1], size=(16, 16), mode="bilinear")
    layers = [pooled_slowly(each.numpy(), 1024) for each in averaged]  # of 48 and 192 channels
    expected = pooled_slowly(np.concatenate(layers, axis=1), 384)
    # The outermost positions average zeros here, and they are cut off.
    np.testing.assert_allclose(found[..., 1:-1, 1:-1], expected[..., 5:-5, 5:-5], atol=1e-4)
    assert found.shape == (2, 384, 8, 8)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("--image-size", "60"), "--image-size 60 must be a multiple of 8, 64 or more"),
        (("--out", "teacher.pth"), "--out teacher.pth must end in .safetensors"),
        (("--images", "gone"), "--images gone is not a folder"),
        (("--backbone", "resnet19"), "unknown timm model 'resnet19'"),
    ],
)
def test_what_cannot_work_is_one_line(
    pictures: Path, tmp_path: Path, given: tuple[str, ...], text: str
) -> None:
    _, error = call(pictures, tmp_path / "teacher.safetensors", "--steps", "1", *given)
    assert isinstance(error, AdframeError)
    assert text in str(error)
    (tmp_path / "there.safetensors").touch()
    _, error = call(pictures, tmp_path / "there.safetensors")
    assert "exists; choose another name, or give --overwrite" in str(error)


def test_a_transformer_is_no_network_to_learn_from() -> None:
    vit = TimmBackbone("test_vit", layers="pyramid", source="random")
    with pytest.raises(AdframeError, match="--backbone test_vit has no layers of strides 4, 8 and 16"):
        DistillationTarget(vit)
