"""The network's view: aspect, native size, preprocessing; and heatmaps back where they belong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adframe.contracts import GEOMETRY, IMAGE, Geometry, Record
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import ImageDataset, View, as_unit, collate, resize_to_view
from adframe.data.splits import Holdout
from adframe.errors import AdframeError
from adframe.ops.geometry import restore
from tests.covering import pairwise
from tests.fakes.pictures import draw
from tests.fakes.sources import source

SIZES = [(64, 64), (200, 40), (40, 200), (97, 61), (61, 97), (30, 31), (300, 7)]


def with_a_dot(size: tuple[int, int], dot: tuple[int, int]) -> torch.Tensor:
    pixels = np.zeros((*size, 3), np.uint8)
    reach = max(1, max(size) // 40)
    pixels[max(0, dot[0] - reach) : dot[0] + reach + 1, max(0, dot[1] - reach) : dot[1] + reach + 1] = 255
    return as_unit(pixels)


@pytest.mark.parametrize(
    ("size", "where", "keep"),
    pairwise(SIZES[:-1], [(0.1, 0.2), (0.5, 0.5), (0.8, 0.9)], [True, False]),
)
def test_a_peak_comes_back_to_its_pixel(size: tuple[int, int], where: tuple, keep: bool) -> None:
    dot = int(where[0] * size[0]), int(where[1] * size[1])
    image, view = resize_to_view(with_a_dot(size, dot), View(size=(64, 96), keep_aspect=keep))
    assert image.shape == (3, 64, 96)
    heat = restore(image.mean(dim=0).numpy(), Geometry(original=size, view=view))
    assert heat.shape == size
    weight = np.where(heat > 0.5 * heat.max(), heat, 0)
    rows, columns = np.indices(size)
    found = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
    assert np.hypot(found[0] - dot[0], found[1] - dot[1]) < 2.0


def test_kept_aspect_scales_both_sides_alike_and_covers_the_whole_image() -> None:
    for size in SIZES:
        image, (top, left, height, width) = resize_to_view(
            torch.zeros(3, *size).byte(), View(size=(64, 64), keep_aspect=True)
        )
        assert image.shape == (3, 64, 64), size
        assert max(top, left) <= 0, size
        assert top + height >= size[0] - 1, size
        assert left + width >= size[1] - 1, size
        rounding = 1 + 0.02 * max(size) if min(size) > 7 else 150  # to whole pixels
        assert abs(height - width) <= rounding, size


def test_the_edge_is_repeated_around_the_image() -> None:
    pixels = np.zeros((20, 80, 3), np.uint8)
    pixels[0], pixels[-1], pixels[1:-1] = 200, 100, 30
    image, _ = resize_to_view(
        as_unit(np.repeat(np.repeat(pixels, 4, 0), 4, 1)), View(size=(64, 64), keep_aspect=True)
    )
    assert (image[:, :20] - 200 / 255).abs().max() < 0.3
    assert torch.equal(image[:, 0], image[:, 20])
    assert torch.equal(image[:, 63], image[:, 43])
    assert image.min() > 0.05  # no black frame


def records(folder: Path, *sizes: tuple[int, int]) -> list[Record]:
    paths = [draw(folder / f"{i}.png", size=size) for i, size in enumerate(sizes)]
    return [Record(path=path, category="c", split="train") for path in paths]


def test_native_size_stacks_where_sizes_are_equal_and_height_comes_first(tmp_path: Path) -> None:
    equal = ImageDataset(records(tmp_path, *[(40, 72)] * 3), view=View(size=None), truth=False)
    batch = collate(list(equal))
    assert batch[IMAGE].shape == (3, 3, 40, 72)
    assert all(g == Geometry(original=(40, 72), view=(0, 0, 40, 72)) for g in batch[GEOMETRY])
    exact = np.asarray(Image.open(tmp_path / "0.png"), np.float32).transpose(2, 0, 1) / 255
    assert np.array_equal(batch[IMAGE][0].numpy(), exact)
    other = ImageDataset(equal.records, view=View(size=(32, 48)), truth=False)
    assert collate(list(other))[IMAGE].shape == (3, 3, 32, 48)


def test_native_sizes_that_differ_need_batches_of_one(tmp_path: Path) -> None:
    dataset = ImageDataset(records(tmp_path, (40, 72), (72, 40)), view=View(size=None), truth=False)
    with pytest.raises(AdframeError, match=r"images of 2 sizes cannot share a batch.*batch_size=1"):
        collate(list(dataset))
    assert collate([dataset[1]])[IMAGE].shape == (1, 3, 72, 40)


@pytest.mark.parametrize("batch", [1, 2])
def test_sizes_that_differ_show_before_any_work(batch: int, tmp_path: Path) -> None:
    for i in range(4):
        draw(tmp_path / "c/train/good" / f"{i}.png", size=(40 + 8 * (i == 3), 40))
    draw(tmp_path / "c/test/good/0.png", size=(40, 40))
    kept = {"categories": ["c"], "view": View(size=None), "protocol": Holdout(0.5), "seed": 0}
    data = AnomalyData(source(tmp_path, "mvtec_ad"), batch_size=batch, num_workers=0, **kept)
    if batch == 1:
        data.setup()
        assert data.sizes == {(40, 40), (48, 40)}
    else:
        with pytest.raises(AdframeError, match="images of 2 sizes cannot share a batch"):
            data.setup()


@pytest.mark.parametrize("name", ["grey_world", "max_rgb", "homomorphic"])
def test_preprocessing_changes_the_image_and_not_its_place(name: str, tmp_path: Path) -> None:
    images = records(tmp_path, (64, 96))
    warm = np.asarray(Image.open(images[0].path)) * np.linspace(0.6, 1, 96)[:, None] * [1.2, 1.0, 0.7]
    Image.fromarray(warm.astype(np.uint8)).save(images[0].path)  # a warm lamp on the right
    plain = ImageDataset(images, view=View(size=(48, 48)), truth=True)[0]
    changed = ImageDataset(images, view=View(size=(48, 48), preprocess=name), truth=True)[0]
    assert (changed[IMAGE] - plain[IMAGE]).abs().max() > 0.05
    assert changed[IMAGE].shape == plain[IMAGE].shape
    assert changed[GEOMETRY] == plain[GEOMETRY]
    if name == "grey_world":
        means = changed[IMAGE].mean(dim=(1, 2))
        assert means.max() - means.min() < 0.02


def test_an_unknown_preprocessing_is_refused_where_the_dataset_is_made(toy_ad: Source) -> None:
    with pytest.raises(AdframeError, match=r"unknown dataset\.preprocess 'grayworld'; did you mean"):
        replace(toy_ad, preprocess="grayworld")
