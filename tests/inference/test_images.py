"""Whatever an image is given as, the network gets the pixels that a file with it would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adframe.errors import AdframeError
from adframe.inference.images import InputImage, input_images

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY16 = np.random.default_rng(1).integers(0, 65536, (6, 8), dtype=np.uint16)


def pixels_of(given: Any, *, bits: int = 16) -> np.ndarray:
    return InputImage("image 0", given).pixels(bits=bits)


@pytest.mark.parametrize(
    "given",
    [RGB, torch.from_numpy(RGB.transpose(2, 0, 1).copy()), Image.fromarray(RGB)],
    ids=["array", "tensor", "pillow"],
)
def test_bytes_stay_as_they_are(given: Any) -> None:
    assert np.array_equal(pixels_of(given), RGB)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_16_bits(dtype: type) -> None:
    scaled = (RGB / 255).astype(dtype)
    found = pixels_of(scaled)
    assert found.dtype == np.uint16
    assert np.abs(found / 65535 - scaled.astype(np.float64)).max() <= 0.5 / 65535
    assert np.array_equal(pixels_of(torch.from_numpy(scaled.transpose(2, 0, 1).copy())), found)


def test_grey_is_repeated_and_a_channel_of_one_is_grey() -> None:
    for given in (RGB[:, :, 0], RGB[:, :, :1], torch.from_numpy(RGB[:, :, 0].copy())):
        found = pixels_of(given)
        assert found.shape == (6, 8, 3)
        assert all(np.array_equal(found[:, :, channel], RGB[:, :, 0]) for channel in range(3))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bit_samples_use_the_bits_that_the_run_found(bits: int, tmp_path: Path) -> None:
    samples = (GREY16 >> (16 - bits)).astype(np.uint16)
    path = tmp_path / "deep.png"
    Image.fromarray(samples).save(path)
    of_file = pixels_of(path, bits=bits)
    assert of_file.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.array_equal(pixels_of(samples, bits=bits), of_file)
    if bits < 16:
        with pytest.raises(AdframeError, match=f"read with {bits} bits"):
            pixels_of(GREY16, bits=bits)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.zeros((4, 4, 4), np.uint8), "remove the alpha channel"),
        (np.zeros((3, 40, 40), np.uint8), "channels last"),
        (np.zeros((4, 4, 2), np.uint8), r"not of shape \(4, 4, 2\)"),
        (np.zeros(4, np.uint8), r"not of shape \(4,\)"),
        (np.zeros((0, 4), np.uint8), r"not of shape \(0, 4\)"),
        (np.zeros((4, 4), np.int64), "not of type int64"),
        (np.zeros((4, 4), bool), "not of type bool"),
        (np.full((4, 4), 255.0), "divide values of 0 to 255 by 255"),
        (np.full((4, 4), np.nan), r"floats must lie in \[0, 1\]"),
        (torch.zeros(4, 5, 6), r"not of shape \(5, 6, 4\)"),
        (Image.new("F", (4, 4)), "floating-point pixels"),
    ],
)
def test_what_is_no_image_is_refused_by_name_with_what_is_taken(given: Any, reason: str) -> None:
    with pytest.raises(AdframeError, match=reason) as error:
        pixels_of(given)
    assert "image 0" in str(error.value)


def test_lists_mix_everything_and_keep_their_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", "a/notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed, single = input_images([np.stack([RGB, RGB]), str(tmp_path), [Image.fromarray(RGB), "no.png"]])
    inside = [(tmp_path / name).as_posix() for name in ("a/c.png", "b.png")]
    assert [image.name for image in listed] == ["image 0", "image 1", *inside, "image 4", "no.png"]
    assert not single


@pytest.mark.parametrize(
    ("given", "single"),
    [
        (RGB, True), (np.stack([RGB]), False), (torch.zeros(3, 4, 4), True), (torch.zeros(1, 3, 4, 4), False),
        ("no.png", True), (Path("no.png"), True), (["no.png"], False), (Image.fromarray(RGB), True),
        (".", False),
    ],
)  # fmt: skip
def test_one_image_is_told_from_a_list(given: Any, single: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(RGB).save("here.png")
    assert input_images(given)[1] == single


@pytest.mark.parametrize("given", [7, None, b"bytes", {"a": 1}, [RGB, 7]])
def test_something_else_is_refused(given: Any) -> None:
    with pytest.raises(AdframeError, match="an image is a path"):
        input_images(given)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="has no image"):
        input_images(tmp_path)
