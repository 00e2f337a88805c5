"""10 and 12 bits in the lower part of 16: the same picture as in 8 bits, or a line that says what to set."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from adframe.config.recipe import ConfigRecipe
from adframe.contracts import IMAGE
from adframe.data.datamodule import AnomalyData
from adframe.data.multi_dataset import Several
from adframe.data.mvtec_shift import MvtecShift
from adframe.data.splits import MvtecShiftProtocol
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.transforms.shift.photometric import Brightness
from adframe.transforms.shift.shift import Shift
from tests.e2e.scripts import composed
from tests.fakes.sets import set_up, write_set
from tests.fakes.sources import source


def deepen(base: Path, bits: int, *, peak: float = 1.0, places: tuple[str, ...] = ("train", "test")) -> None:
    """The images of a set as grey of so many bits, right-aligned in 16."""
    for place in places:
        for path in sorted((base / place).rglob("*.png")):
            grey = np.asarray(Image.open(path).convert("L")) / 255 * peak
            grey[0, 0] = peak  # one pixel uses the whole range
            Image.fromarray(np.round(grey * (2**bits - 1)).astype(np.uint16)).save(path)


def batches(data: AnomalyData) -> torch.Tensor:
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_on("part"))
    return torch.cat([batch[IMAGE] for loader in loaders for batch in loader])


@pytest.mark.parametrize(("bits", "said"), [(8, 1), (10, 1), (12, 1), (14, 1), (16, 0)])
def test_right_aligned_bits_are_the_picture_in_16_bits(bits: int, said: int, tmp_path: Path) -> None:
    for name, used in (("full", 16), ("low", bits)):
        deepen(write_set(tmp_path / name), used)
    given = replace(source(tmp_path / "low", "mvtec_ad"), bits=14 if bits == 14 else None)
    low, full = set_up(given), set_up(tmp_path / "full")
    assert (batches(low) - batches(full)).abs().max() < 1 / 2 ** min(bits, 12) + 1e-4
    assert len(low.warnings) == (0 if bits == 14 else said)
    assert all(f"are read as {bits} bits (dataset.bits=16" in line for line in low.warnings)


def test_14_bits_are_a_hint_and_not_a_guess(tmp_path: Path) -> None:
    deepen(write_set(tmp_path), 14)
    data = set_up(tmp_path)
    assert "if the camera gives 14 bits, set dataset.bits=14" in data.warnings[0]
    assert {record.bits for record in data.records} == {16}


def test_what_the_user_sets_wins_without_a_word(tmp_path: Path) -> None:
    deepen(write_set(tmp_path), 10)
    data = set_up(replace(source(tmp_path, "mvtec_ad"), bits=12))
    assert data.warnings == []
    assert 0.2 < batches(data).max() < 0.26  # a quarter of the range


@pytest.mark.parametrize("bits", [None, 12])
def test_a_test_image_above_the_range_stops_the_run(bits: int | None, tmp_path: Path) -> None:
    base = write_set(tmp_path)
    deepen(base, 12)
    path = base / "test/good/g1.png"
    Image.fromarray(np.full((64, 64), 4096, np.uint16)).save(path)
    with pytest.raises(
        AdframeError, match=r"g1\.png has the value 4096, but its samples are read with 12 bits"
    ):
        set_up(replace(source(tmp_path, "mvtec_ad"), bits=bits))


def test_only_training_images_recognise_the_camera(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    deepen(base, 12)
    deepen(base, 12, peak=0.2, places=("test",))  # darker than 10 bits end
    assert {record.bits for record in set_up(tmp_path).records} == {12}


def test_16_bits_in_test_only_are_recognised_by_themselves(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    deepen(base, 12, places=("test",))
    data = set_up(tmp_path)
    assert {(record.split, record.bits) for record in data.records} == {
        ("train", 16), ("val", 16), ("test", 12),
    }  # fmt: skip
    assert "no image has a value above 4095, so they are read as 12 bits" in data.warnings[0]


def test_colour_of_16_bits_is_recognised_as_grey_is(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    plain = read_image(base / "train/good/000.png")
    for path in [*base.glob("train/*/*.png"), *base.glob("test/*/*.png")]:
        cv2.imwrite(
            str(path), (cv2.imread(str(path)).astype(np.float32) / 255 * 4095).round().astype(np.uint16)
        )
    data = set_up(tmp_path)
    found = read_image(base / "train/good/000.png", bits=12)
    assert {record.bits for record in data.records} == {12}
    assert np.abs(found / 65535 - plain / 255).max() < 1 / 4000


def test_a_tiff_that_says_12_bits_is_believed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 900, (20, 30), dtype=np.uint16)  # 10 bits would hold them
    packed = np.stack(
        [values[:, ::2] >> 4, (values[:, ::2] & 15) << 4 | values[:, 1::2] >> 8, values[:, 1::2]], 2
    )
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "x.tif")
    data = packed.astype(np.uint8).tobytes()
    tifffile.imwrite(tmp_path / "x.tif", iter([data]), shape=(20, 30), dtype=np.uint16, bitspersample=12)
    found = read_image(tmp_path / "x.tif")[:, :, 0]
    assert np.abs(found / 65535 - values / 4095).max() < 1e-4


def test_members_of_several_datasets_have_cameras_of_their_own(tmp_path: Path) -> None:
    deepen(write_set(tmp_path / "a"), 12)
    member = replace(source(tmp_path / "a", "mvtec_ad"), bits=14)
    named = {"homepage": "h", "licence": "l", "tree": "t"}
    assert (
        Several(name="several", root=tmp_path, members={"a": member}, **named).read_options("part").bits == 14
    )
    over = Several(name="several", root=tmp_path, members={"a": member}, bits=12, max_megapixels=5, **named)
    assert (over.read_options("part").bits, over.read_options("part").max_megapixels) == (12, 5)


def test_a_shifted_dataset_is_written_at_the_full_range(tmp_path: Path) -> None:
    deepen(write_set(tmp_path / "a"), 12, peak=0.2)
    origin = replace(source(tmp_path / "a", "mvtec_ad"), bits=12)
    shifted = MvtecShift(
        name="mvtec_shift", root=tmp_path / "b", homepage="h", licence="l", tree="t", origin=origin, seed=1,
        shift=Shift({"brightness": Brightness(factor=(1.0, 1.0))}, name="none", seed=0),
        protocol=MvtecShiftProtocol(train=0.6, anomalies=0.4),
    )  # fmt: skip
    shifted.prepare("all")
    pixels = batches(set_up(shifted))
    assert 0.19 < pixels.max() < 0.21  # as dark as it was, not stretched once more


@pytest.mark.parametrize("wrong", [{"bits": 11}, {"bits": True}, {"bits": "12"}, {"bits": 12.0}])
@pytest.mark.parametrize("limit", [None])
def test_bits_that_cannot_be_are_one_line(wrong: dict[str, object], limit: None, tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"dataset\.bits=.* must be null or one of 8, 10, 12, 14, 16"):
        replace(source(tmp_path, "mvtec_ad"), **wrong)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "200"])
def test_a_limit_that_cannot_be_is_one_line(limit: object, tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"dataset\.max_megapixels=.* must be null or a number above 0"):
        replace(source(tmp_path, "mvtec_ad"), max_megapixels=limit)


def learned_under(root: Path, store: Path, *overrides: str) -> Path:
    """Where a training on these images would be kept."""
    cfg = composed("train", "model=sit", "store=disk", f"paths.store={store}", *overrides)
    detector = SimpleNamespace(backbone=SimpleNamespace(digest="d"))
    data = set_up(replace(source(root, "mvtec_ad"), bits=cfg.dataset.bits))
    kept = ConfigRecipe(cfg).stored_training(detector, data)  # type: ignore[arg-type]
    assert kept is not None
    return kept.path


def test_what_was_learned_from_pixels_of_other_bits_is_not_taken(tmp_path: Path) -> None:
    deepen(write_set(tmp_path / "set"), 10)
    paths = [
        learned_under(tmp_path / "set", tmp_path, f"dataset.bits={bits}") for bits in ("null", "10", "12")
    ]
    assert paths[0] == paths[1] != paths[2]
