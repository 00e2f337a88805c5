"""A survey of patches says what is there, whatever the batch size, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Geometry, Record, Region
from adframe.diagnostics.patch_survey import PatchSurvey
from adframe.errors import AdframeError
from adframe.results.patch_samples import ANOMALOUS, NORMAL, TRAIN, PatchSample
from tests.fakes.backbones import PixelBackbone

SIDE, CELL = 32, 8


def record(place: int, *, split: str, bad: bool, category: str = "c") -> Record:
    kind = "dot" if bad else "good"
    return Record(Path(f"{split}/{place}.png"), category, split, defect=kind, subset=kind, label=int(bad))


def batches(split: str, *, batch: int, others: bool = False) -> list[dict[str, Any]]:
    """Grey images; every second test image has a bright cell, and a half-bright one beside it."""
    count, generator = 12, torch.Generator().manual_seed(len(split))
    image = 0.4 + 0.05 * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    records, regions = [], []
    for place in range(count):
        bad = split == "test" and place % 2 == 1
        if bad:
            image[place, :, 8:16, 8:19] = 1.0
        records.append(
            record(place, split=split, bad=bad, category="d" if others and place % 3 == 0 else "c")
        )
        regions.append([Region(8, 8, np.ones((8, 11), bool), 1.0)] if bad else [])
    whole = Geometry((SIDE, SIDE), (0, 0, SIDE, SIDE))
    return [
        {
            IMAGE: image[part],
            RECORD: [records[i] for i in part],
            REGIONS: None if split == "train" else [regions[i] for i in part],
            GEOMETRY: [whole for _ in part],
        }
        for part in torch.arange(count).split(batch)
    ]


def surveyed(*, count: int = 40, batch: int = 4, others: bool = False, **settings: Any) -> PatchSample:
    return PatchSurvey(count=count, **settings).survey(
        PixelBackbone(stride=CELL),
        train=batches("train", batch=batch),
        test=batches("test", batch=batch, others=others),
        category="c",
        backbone="pixels",
        seed=3,
        device=torch.device("cpu"),
    )


def test_the_sample_does_not_hang_on_the_batch_size() -> None:
    one, many = surveyed(batch=1).layers[0], surveyed(batch=5).layers[0]
    np.testing.assert_array_equal(one.features, many.features)
    np.testing.assert_array_equal(one.cells, many.cells)
    assert (one.image_auroc, one.patch_auroc) == (many.image_auroc, many.patch_auroc)


def test_each_patch_is_what_its_image_shows_where_it_says() -> None:
    sample = surveyed()
    (layer,) = sample.layers
    images = torch.cat([batch[IMAGE] for split in ("train", "test") for batch in batches(split, batch=4)])
    for row, image, (y, x) in zip(layer.features, layer.images, layer.cells, strict=True):
        cell = images[image][:, CELL * y : CELL * (y + 1), CELL * x : CELL * (x + 1)]
        np.testing.assert_allclose(row, cell.mean((1, 2)), atol=1e-5)
    paths = [sample.paths[image] for image in layer.images]
    assert {path.split("/")[0] for path, kind in zip(paths, layer.kinds, strict=True) if kind == TRAIN} == {
        "train"
    }
    assert {sample.defects[i] for i in layer.images[layer.kinds == ANOMALOUS]} == {"dot"}


def test_a_cell_is_anomalous_from_the_share_on_that_is_asked_for() -> None:
    (half,), (any_,) = surveyed(count=999).layers, surveyed(count=999, covered=0.3).layers
    assert {tuple(cell) for cell in half.cells[half.kinds == ANOMALOUS].tolist()} == {(1, 1)}
    assert {tuple(cell) for cell in any_.cells[any_.kinds == ANOMALOUS].tolist()} == {(1, 1), (1, 2)}
    normal = {tuple(cell) for cell in half.cells[half.kinds == NORMAL].tolist()}
    assert (1, 2) in normal  # of good images
    beside = half.cells[(half.kinds == NORMAL) & (half.images % 2 == 1)].tolist()
    assert [1, 2] not in beside  # neither normal nor anomalous


def test_each_kind_is_bounded_and_a_perfect_layer_is_told() -> None:
    (layer,) = surveyed(count=5).layers
    assert [int((layer.kinds == kind).sum()) for kind in (TRAIN, NORMAL, ANOMALOUS)] == [5, 5, 5]
    for value, low, high in (layer.image_auroc, layer.patch_auroc):
        assert 0.5 < low < value == high == 1
    assert layer.reached == 6


def test_other_categories_of_a_pool_are_passed_over() -> None:
    sample = surveyed(others=True)
    assert (sample.tested, sample.anomalous) == (8, 4)
    assert "test/3.png" not in sample.paths


@pytest.mark.parametrize("wrong", [{"count": -1}, {"covered": 0.0}, {"rollouts": -2}])
def test_impossible_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=r"callbacks\.patches"):
        PatchSurvey(**wrong)
