"""A shift on the fly: which splits, the same pictures however they are loaded, masks along."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adframe.contracts import IMAGE, RECORD, REGIONS, SHIFT
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import ImageDataset, View, collate
from adframe.data.splits import Holdout
from adframe.ops.regions import union
from adframe.transforms.shift.geometric import Rotation, Translation
from adframe.transforms.shift.photometric import Noise
from adframe.transforms.shift.shift import Shift

PARTS = {"rotation": Rotation(degrees=[5, 10]), "noise": Noise(sigma=[0.03, 0.05])}


def data_of(source: Source, shift: Shift | None = None, *, workers: int = 0, batch: int = 3) -> AnomalyData:
    settings = {"view": View(size=(64, 64)), "protocol": Holdout(0.34), "seed": 1, "categories": ["tray"]}
    data = AnomalyData(source, batch_size=batch, num_workers=workers, shift=shift, **settings)
    data.setup()
    return data


def shift(*splits: str) -> Shift:
    return Shift(PARTS, name="s", seed=0, splits=splits or ("test",))


def images(data: AnomalyData) -> dict[str, dict[Path, tuple[torch.Tensor, dict]]]:
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_on("tray")}
    return {
        name: {
            r.path: (i, s)
            for b in loader
            for r, i, s in zip(b[RECORD], b[IMAGE], b[SHIFT], strict=True)
        }
        for name, loader in loaders.items()
    }  # fmt: skip


@pytest.mark.parametrize("splits", [("test",), ("train", "val", "test"), ("val",)])
def test_only_the_splits_named_are_shifted(splits: tuple[str, ...], toy_ad: Source) -> None:
    plain, moved = images(data_of(toy_ad)), images(data_of(toy_ad, shift(*splits)))
    for split in ("train", "val", "test"):
        for path, (image, drawn) in moved[split].items():
            assert torch.equal(image, plain[split][path][0]) == (split not in splits)
            assert bool(drawn) == (split in splits)


def test_workers_and_batches_change_no_pixel(toy_ad: Source) -> None:
    alone = images(data_of(toy_ad, shift("train", "val", "test")))
    helped = images(data_of(toy_ad, shift("train", "val", "test"), workers=2, batch=2))
    for split, found in alone.items():
        for path, (image, drawn) in found.items():
            assert torch.equal(image, helped[split][path][0])
            assert drawn == helped[split][path][1]


def test_order_and_which_others_are_read_change_no_pixel(toy_ad: Source) -> None:
    records = [record for record in data_of(toy_ad).records if record.split == "test"]
    forth = ImageDataset(records, view=View(size=(64, 64)), truth=True, shift=shift())
    back = ImageDataset(records[::-2], view=View(size=(64, 64)), truth=True, shift=shift())
    there = {item[RECORD].path: item[IMAGE] for item in forth}
    assert all(torch.equal(there[item[RECORD].path], item[IMAGE]) for item in back)


def test_a_split_that_is_drawn_otherwise_changes_no_pixel(toy_ad: Source) -> None:
    one, other = data_of(toy_ad), data_of(toy_ad)
    other.records, other.protocol = [], Holdout(0.6)
    other.setup()
    assert {r.path: r.place for r in one.records} == {r.path: r.place for r in other.records}
    assert [r.split for r in one.records] != [r.split for r in other.records]


def test_masks_go_with_the_image(toy_ad: Source) -> None:
    right = Shift({"translation": Translation(share=[0.25, 0.25])}, name="right", seed=0)
    bad = [record for record in data_of(toy_ad).records if record.label]
    plain = ImageDataset(bad, view=View(size=(64, 64)), truth=True)
    moved = ImageDataset(bad, view=View(size=(64, 64)), truth=True, shift=right)
    for before, after in zip(plain, moved, strict=True):
        expected = np.zeros((64, 64), bool)
        expected[16:, 16:] = union(before[REGIONS], (64, 64))[:-16, :-16]
        assert np.array_equal(union(after[REGIONS], (64, 64)), expected)
        assert (after[IMAGE][:, 16:, 16:] - before[IMAGE][:, :-16, :-16]).abs().max() < 0.02


def test_masks_of_the_unlabelled_stay_unknown(toy_ad: Source) -> None:
    records = [replace(r, label=None, masks=()) for r in data_of(toy_ad).records if r.split == "test"]
    items = list(ImageDataset(records, view=View(size=(64, 64)), truth=True, shift=shift()))
    assert collate(items)[REGIONS] is None
    assert all(item[SHIFT] for item in items)
