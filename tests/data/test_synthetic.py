"""Synthetic anomalies on the fly: the same ones however images are loaded, and another set every epoch."""

from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from adframe.contracts import GEOMETRY, GOOD, IMAGE, INDEX, RECORD, REGIONS, Record
from adframe.data.base import Source
from adframe.data.dataset import ImageDataset, View, resize_to_view
from adframe.data.synthetic import (
    FAMILY,
    LABEL,
    MASK,
    EpochSampler,
    SyntheticDataset,
    collate_synthetic,
)
from adframe.errors import AdframeError
from adframe.transforms.shift.geometric import Rotation
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.family import VISIBLE_CHANGE
from tests.transforms.synthesis_scenes import synthesis

VIEW = View(size=(48, 64))


def normal(source: Source, category: str = "tray") -> list[Record]:
    scanned = [replace(r, place=i) for i, r in enumerate(source.scan(category))]
    return [record for record in scanned if record.split == "train"]


def dataset(source: Source, *overrides: str, name: str = "default", **changed: object) -> SyntheticDataset:
    records = normal(source)
    given: dict = {"records": records, "view": VIEW, "donors": records, "purpose": "train", **changed}
    return SyntheticDataset(synthesis=synthesis(name, *overrides), **given)


def loader(images: SyntheticDataset, *, workers: int = 0, batch: int = 4) -> DataLoader:
    return DataLoader(
        images,
        batch_size=batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=EpochSampler(len(images), seed=1),
        collate_fn=collate_synthetic,
    )


def epoch(loading: DataLoader, number: int) -> dict[int, tuple[Tensor, Tensor, str]]:
    loading.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return {
        int(index): (image, mask, family)
        for b in loading
        for index, image, mask, family in zip(b[INDEX], b[IMAGE], b[MASK], b[FAMILY], strict=True)
    }


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[k][0], other[k][0]) and torch.equal(one[k][1], other[k][1]) for k in one
    )


def test_a_batch_has_the_usual_keys_and_the_truth(toy_ad: Source) -> None:
    images = dataset(toy_ad, "synthesis.normal_share=0.3")
    batch = next(iter(loader(images, batch=len(images))))
    assert {*ImageDataset(normal(toy_ad), view=VIEW, truth=False)[0], MASK, LABEL, FAMILY} == set(batch)
    count = len(images)
    assert (batch[IMAGE].shape, batch[MASK].shape) == ((count, 3, 48, 64), (count, 1, 48, 64))
    assert (batch[IMAGE].dtype, batch[MASK].dtype, batch[REGIONS]) == (torch.float32, torch.float32, None)
    assert batch[MASK].flatten(1).amax(1).tolist() == batch[LABEL].tolist()
    assert [float(family != GOOD) for family in batch[FAMILY]] == batch[LABEL].tolist()
    assert [images.records[i].path for i in batch[INDEX]] == [record.path for record in batch[RECORD]]


def test_workers_that_live_on_see_every_epoch(toy_ad: Source) -> None:
    images = dataset(toy_ad, "synthesis.normal_share=0")
    alone, helped = loader(images), loader(images, workers=2, batch=2)
    epochs = [epoch(helped, number) for number in (0, 1, 0, 5)]
    assert same(epochs[0], epoch(alone, 0))
    assert same(epochs[1], epoch(alone, 1))
    assert same(epochs[2], epochs[0])
    assert not any(torch.equal(epochs[0][k][0], epochs[1][k][0]) for k in epochs[0])
    assert same(epochs[3], epoch(loader(images), 5))  # as if one had begun there


def test_order_and_which_others_are_read_change_no_pixel(toy_ad: Source) -> None:
    records = normal(toy_ad)
    forth = dataset(toy_ad, "synthesis.normal_share=0", name="structural")
    back = dataset(toy_ad, "synthesis.normal_share=0", name="structural", records=records[::-2])
    there = {forth[(3, i)][RECORD].path: forth[(3, i)][IMAGE] for i in range(len(forth))}
    assert all(torch.equal(there[back[(3, i)][RECORD].path], back[(3, i)][IMAGE]) for i in range(len(back)))


def test_outside_the_mask_is_the_image(toy_ad: Source) -> None:
    plain = ImageDataset(normal(toy_ad), view=VIEW, truth=False)
    for item in dataset(toy_ad, "synthesis.normal_share=0.2"):
        change = (item[IMAGE] - plain[item[INDEX]][IMAGE]).abs().amax(0)
        assert change[~item[MASK][0]].max() <= VISIBLE_CHANGE
        assert (change.max() > VISIBLE_CHANGE) == bool(item[LABEL])


def test_validation_shows_each_image_as_it_is_and_with_what_was_held_out(toy_ad: Source) -> None:
    plain = ImageDataset(normal(toy_ad), view=VIEW, truth=False)
    items = list(dataset(toy_ad, purpose="val"))
    assert len(items) == 2 * len(plain)
    for place, (before, after) in enumerate(zip(items[::2], items[1::2], strict=True)):
        assert torch.equal(before[IMAGE], plain[place][IMAGE])
        assert (before[FAMILY], after[FAMILY]) == (GOOD, "scar")
        assert before[RECORD] == after[RECORD] == plain[place][RECORD]
    again = list(dataset(toy_ad, purpose="val"))
    assert all(torch.equal(one[IMAGE], other[IMAGE]) for one, other in zip(items, again, strict=True))


def test_donors_are_other_images_of_the_same_category(
    toy_ad: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [*normal(toy_ad), *normal(toy_ad, "weave")]
    images = dataset(toy_ad, "synthesis.normal_share=0", name="nsa", records=records, donors=records)
    read: list[Record] = []
    whole = ImageDataset.__getitem__

    def noted(self: ImageDataset, index: int) -> dict:
        read.append(self.records[index])
        return whole(self, index)

    monkeypatch.setattr(ImageDataset, "__getitem__", noted)
    seen = set()
    for position, record in enumerate(records):
        for number in range(12):
            read.clear()
            images[(number, position)]
            own, *borrowed = read
            assert own == record
            assert borrowed
            assert all(b.category == record.category and b.path != record.path for b in borrowed)
            seen |= {b.path for b in borrowed}
    assert seen == {record.path for record in records}


def test_twins_do_not_draw_alike(toy_ad: Source) -> None:
    first = normal(toy_ad)[0]
    pool = [first, replace(first, place=99), replace(first, category="other")]
    donors = [*normal(toy_ad), *(replace(r, category="other") for r in normal(toy_ad))]
    images = dataset(toy_ad, "synthesis.normal_share=0", name="texture", records=pool, donors=donors)
    assert len({images[i][IMAGE].numpy().tobytes() for i in range(3)}) == 3


def test_donors_may_be_other_images_than_those_that_are_spoilt(toy_ad: Source) -> None:
    records, donors = normal(toy_ad)[:2], normal(toy_ad)[2:]
    images = dataset(toy_ad, name="nsa", records=records, donors=donors, purpose="val")
    generator = np.random.default_rng(0)
    lent = {images._donor(records[0], (48, 64, 3), generator).tobytes() for _ in range(40)}
    plain = ImageDataset(donors, view=VIEW, truth=False)
    assert lent == {plain[i][IMAGE].numpy().transpose(1, 2, 0).tobytes() for i in range(len(donors))}


def test_images_of_their_own_sizes_borrow_from_each_other(toy_ad: Source, tmp_path: Path) -> None:
    from PIL import Image

    records = normal(toy_ad)[:2]
    Image.open(records[1].path).resize((80, 50)).save(tmp_path / "wide.png")
    pair = [records[0], replace(records[1], path=tmp_path / "wide.png")]
    images = dataset(
        toy_ad, "synthesis.normal_share=0", name="contextual", records=pair, donors=pair, view=View(size=None)
    )
    assert [tuple(item[MASK].shape) for item in images] == [(1, 64, 64), (1, 50, 80)]


def test_a_cache_and_a_shift_change_what_they_should(toy_ad: Source) -> None:
    plain, kept = (dataset(toy_ad, "synthesis.normal_share=0", cache_mb=mb) for mb in (0, 8))
    for _ in range(2):
        assert all(
            (plain[i][IMAGE] - kept[i][IMAGE]).abs().mean() < 1e-3 and plain[i][FAMILY] == kept[i][FAMILY]
            for i in range(len(plain))
        )
    turn = Shift({"rotation": Rotation(degrees=30)}, name="s", seed=0, splits=["train"])
    moved = dataset(toy_ad, name="none", shift=turn)
    expected = ImageDataset(normal(toy_ad), view=VIEW, truth=False, shift=turn)
    assert all(torch.equal(moved[i][IMAGE], expected[i][IMAGE]) for i in range(len(moved)))


class Noting(L.LightningModule):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.shown: list[list[float]] = []

    def transfer_batch_to_device(self, batch: dict, device: torch.device, dataloader_idx: int) -> dict:
        return batch  # records are frozen, as the house's systems know

    def on_train_epoch_start(self) -> None:
        self.shown.append([])

    def training_step(self, batch: dict) -> Tensor:
        self.shown[-1].append(float(batch[IMAGE].double().sum()))
        return self.layer(batch[LABEL][:, None]).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(loading: DataLoader, *, epochs: int, path: Path | None = None, save: Path | None = None) -> Noting:
    module = Noting()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loading, ckpt_path=path)
    if save is not None:
        trainer.save_checkpoint(save)
    return module


def test_lightning_tells_the_epoch_and_a_stopped_run_goes_on(toy_ad: Source, tmp_path: Path) -> None:
    images = dataset(toy_ad, "synthesis.normal_share=0")
    whole = fit(loader(images), epochs=3).shown
    assert len({sum(shown) for shown in whole}) == 3
    assert fit(loader(images, workers=1), epochs=2, save=tmp_path / "c.ckpt").shown == whole[:2]
    assert fit(loader(images), epochs=3, path=tmp_path / "c.ckpt").shown == whole[2:]


def test_what_cannot_be_is_one_line(toy_ad: Source) -> None:
    records = normal(toy_ad)
    bad = [replace(records[0], label=1), *records[1:]]
    with pytest.raises(AdframeError, match=r"is not known to be normal") as caught:
        dataset(toy_ad, records=bad)
    assert "\n" not in str(caught.value)
    with pytest.raises(AdframeError, match=r"^tray has no other normal image to borrow from"):
        dataset(toy_ad, records=records[:1], donors=records[:1])
    with pytest.raises(AdframeError, match=r"^weave has no other normal image"):
        dataset(toy_ad, records=normal(toy_ad, "weave"))
    assert len(dataset(toy_ad, records=records[:1], donors=records[1:2])) == 1


def test_the_sampler_keeps_its_epoch_while_it_is_read() -> None:
    sampler = EpochSampler(5, seed=0)
    order = iter(sampler)
    sampler.set_epoch(4)
    assert {number for number, _ in order} == {0}
    assert [number for number, _ in sampler] == [4] * 5
    orders = [[place for _, place in EpochSampler(50, seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(np.arange(50))


def test_an_anomaly_in_the_original_frame_is_one_anomaly_at_every_resolution(toy_ad: Source) -> None:
    given = {"purpose": "val", "name": "any_size"}
    full = dataset(toy_ad, view=View(size=None), **given)
    half = dataset(toy_ad, view=View(size=None, scale=0.5), **given)
    small = dataset(toy_ad, view=View(size=(24, 24)), **given)
    assert len(full) == (1 + full.synthesis.draws) * len(full.records)
    for position in range(2 * (1 + full.synthesis.draws)):
        whole, halved, tiny = full[position], half[position], small[position]
        assert whole[FAMILY] == halved[FAMILY] == tiny[FAMILY]
        regions = [[int(region.mask.sum()) for region in item[REGIONS]] for item in (whole, halved, tiny)]
        assert regions[0] == regions[1] == regions[2]
        assert sum(regions[0]) == int(whole[MASK].sum())
        assert bool(tiny[MASK].any()) == bool(whole[MASK].any())  # the smallest anomaly still has a pixel
        assert tiny[IMAGE].shape == (3, 24, 24)
        assert tiny[GEOMETRY].original == tuple(whole[IMAGE].shape[1:])
        expected = resize_to_view(whole[IMAGE], View(size=(24, 24)))[0]
        assert torch.equal(tiny[IMAGE], expected)


def test_copies_of_a_validation_image_differ(toy_ad: Source) -> None:
    images = dataset(toy_ad, purpose="val", name="any_size", view=View(size=None))
    masks = [images[copy][MASK] for copy in range(1 + images.synthesis.draws)]
    assert not masks[0].any()
    drawn = [mask for mask in masks[1:] if mask.any()]
    assert len(drawn) > 1
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])
