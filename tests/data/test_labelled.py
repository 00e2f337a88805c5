"""Labelled defects: their masks as the network sees them, and which loaders have them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adframe.contracts import Record
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.labelled import LabelledDataset, mask_in_view
from adframe.data.roi import Roi
from adframe.data.splits import Holdout
from adframe.data.toy_source import Toy
from adframe.data.training_set import TrainingSet


def plate(folder: Path, *, box: tuple[int, int, int, int] | None, name: str = "plate") -> Record:
    """A grey image of 48 x 64 pixels with a defect at (top, left, height, width)."""
    mask = np.zeros((48, 64), np.uint8)
    if box is not None:
        mask[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = 255
    cv2.imwrite(str(folder / f"{name}.png"), np.full((48, 64, 3), 128, np.uint8))
    cv2.imwrite(str(folder / f"{name}_mask.png"), mask)
    label = int(box is not None)
    masks = (folder / f"{name}_mask.png",) if label else ()
    return Record(folder / f"{name}.png", "plate", "train", label=label, masks=masks)


def test_a_mask_is_resized_with_its_image(tmp_path: Path) -> None:
    records = [plate(tmp_path, box=(12, 16, 24, 16)), plate(tmp_path, box=None, name="good")]
    defect, normal = LabelledDataset(records, view=View(size=(24, 32)))
    expected = torch.zeros(1, 24, 32, dtype=torch.bool)
    expected[0, 6:18, 8:16] = True
    assert torch.equal(defect["mask"], expected)
    assert (defect["label"], normal["label"]) == (1.0, 0.0)
    assert normal["mask"].shape == (1, 24, 32)
    assert not normal["mask"].any()


def test_a_defect_outside_of_the_region_of_interest_is_none(tmp_path: Path) -> None:
    record = plate(tmp_path, box=(0, 40, 8, 8))
    for boxes, label in (([[0, 0, 32, 48]], 0.0), ([[32, 0, 64, 48]], 1.0)):
        item = LabelledDataset([record], view=View(size=(48, 64), roi=Roi(boxes=boxes)))[0]
        assert item["label"] == float(item["mask"].any()) == label


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AnomalyData:
    root = tmp_path_factory.mktemp("labelled") / "toy"
    source = Toy(root=root, products=["bracket"], size=64, train=8, test_good=2, test_bad=24)
    found = AnomalyData(
        source, categories=["bracket"], view=View(size=(32, 32)), batch_size=4, num_workers=0,
        protocol=Holdout(0.25), seed=0, training=TrainingSet(labelled=1), shuffle=True, cache_mb=8,
    )  # fmt: skip
    found.prepare_data()
    found.setup()
    return found


def test_only_training_batches_have_labelled_defects(data: AnomalyData) -> None:
    for _ in range(2):  # decoded, then from the cache
        batches = list(data.train_dataloader())
        labels = torch.cat([batch["label"] for batch in batches])
        masks = torch.cat([batch["mask"] for batch in batches])
        types = {record.defect for batch in batches for record in batch["record"]} - {"good"}
        assert labels.sum() == len(types) > 1
        assert torch.equal(masks.flatten(1).amax(1), labels)
    for loader in (data.plain_dataloader(), data.val_dataloader()):
        assert all("mask" not in batch for batch in loader)
        assert {record.label for batch in loader for record in batch["record"]} == {0}
    tested = {record.path for batch in data.test_dataloader() for record in batch["record"]}
    assert not tested & {record.path for record in data.records if record.split == "train"}


def test_a_mask_in_the_view_is_what_the_anomaly_covers_by_half() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, :4, :4] = True
    assert mask_in_view(mask, View(size=(2, 2))).tolist() == [[[True, False], [False, False]]]
    hairline = torch.zeros(1, 64, 64, dtype=torch.bool)
    hairline[0, 30, 5:20] = True
    assert mask_in_view(hairline, View(size=(8, 8))).any()
