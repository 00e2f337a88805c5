from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from adframe.contracts import GEOMETRY, IMAGE, INDEX, RECORD, REGIONS, Record
from adframe.data.base import Source
from adframe.data.dataset import ImageDataset, View, as_unit, collate, resize
from adframe.data.masks import read_mask
from adframe.errors import AdframeError
from adframe.ops.regions import union


def records_to_test(source: Source) -> list[Record]:
    return [record for record in source.scan("tray") if record.split == "test"]


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (100, 40)])
def test_images_are_unit_floats_of_the_size_asked_for(toy_ad: Source, size: tuple[int, int]) -> None:
    batch = collate(list(ImageDataset(records_to_test(toy_ad), view=View(size=size), truth=True)))
    count = len(records_to_test(toy_ad))
    assert batch[IMAGE].shape == (count, 3, *size)
    assert batch[IMAGE].dtype == torch.float32
    assert 0 <= batch[IMAGE].min() < 0.3 < 0.7 < batch[IMAGE].max() <= 1
    assert batch[INDEX].tolist() == list(range(count))
    assert batch[RECORD] == records_to_test(toy_ad)
    assert all(g.original == (64, 64) and g.view == (0, 0, 64, 64) for g in batch[GEOMETRY])


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_regions_stay_at_the_size_on_disk(toy_ad: Source, size: tuple[int, int]) -> None:
    for item in ImageDataset(records_to_test(toy_ad), view=View(size=size), truth=True):
        masks = [read_mask(path) > 0 for path in item[RECORD].masks]
        expected = masks[0] if masks else np.zeros((64, 64), bool)
        np.testing.assert_array_equal(union(item[REGIONS], (64, 64)), expected)


def test_a_loco_region_is_a_channel_with_its_saturation(toy_loco: Source) -> None:
    items = [
        item
        for item in ImageDataset(records_to_test(toy_loco), view=View(size=(64, 64)), truth=True)
        if item[RECORD].masks
    ]
    for item in items:
        rules = {rule.pixel_value: rule for rule in item[RECORD].saturations}
        for region, path in zip(item[REGIONS], item[RECORD].masks, strict=True):
            rule, area = rules[int(read_mask(path).max())], int(region.mask.sum())
            assert region.saturation == (area if rule.relative else min(rule.threshold, area))
    assert {len(item[REGIONS]) for item in items} > {1}


def test_training_reads_no_mask_and_the_unlabelled_have_none(toy_ad: Source) -> None:
    records = records_to_test(toy_ad)
    assert collate([ImageDataset(records, view=View(size=(32, 32)), truth=False)[0]])[REGIONS] is None
    unknown = [replace(record, label=None, masks=()) for record in records]
    assert collate([ImageDataset(unknown, view=View(size=(32, 32)), truth=True)[0]])[REGIONS] is None


def test_a_mask_of_another_size_is_refused(toy_ad: Source, tmp_path: Path) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "mask.png")
    record = replace(records_to_test(toy_ad)[-1], masks=(tmp_path / "mask.png",))
    with pytest.raises(AdframeError, match=r"mask\.png is 20x30, its image 64x64"):
        ImageDataset([record], view=View(size=(64, 64)), truth=True)[0]


def test_16_bits_and_8_bits_give_the_same_image_after_resizing(tmp_path: Path) -> None:
    pixels = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 65536, (50, 70), dtype=np.uint16), (0, 0), 3
    )
    cv2.imwrite(str(tmp_path / "16.png"), pixels)
    cv2.imwrite(str(tmp_path / "8.png"), (pixels / 257).round().astype(np.uint8))
    records = [Record(path=tmp_path / name, category="c", split="train") for name in ("16.png", "8.png")]
    wide, narrow = (item[IMAGE] for item in ImageDataset(records, view=View(size=(32, 40)), truth=False))
    assert wide.dtype == narrow.dtype == torch.float32
    assert (wide - narrow).abs().max() < 1.5 / 255


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 255
    small = resize(as_unit(stripes), (16, 16))
    assert (small - 0.25).abs().max() < 0.1
