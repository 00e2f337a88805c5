import pytest
import torch

from adframe.contracts import GEOMETRY, IMAGE, INDEX, RECORD, REGIONS
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from tests.fakes.sources import TRAIN, VALIDATION


def data_of(source: Source, **changes: object) -> AnomalyData:
    settings = {"categories": ["tray"], "view": View(size=(32, 48)), "batch_size": 4, "num_workers": 0}
    data = AnomalyData(source, **{**settings, "protocol": Holdout(0.34), "seed": 1, **changes})
    data.prepare_data()
    data.setup()
    return data


def paths(loader) -> list[str]:
    return [str(record.path) for batch in loader for record in batch[RECORD]]


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader"])
def test_workers_change_no_batch(toy_ad: Source, loader: str) -> None:
    alone, helped = (list(getattr(data_of(toy_ad, num_workers=n), loader)()) for n in (0, 2))
    assert len(alone) == len(helped)
    for left, right in zip(alone, helped, strict=True):
        assert torch.equal(left[IMAGE], right[IMAGE])
        assert torch.equal(left[INDEX], right[INDEX])
        assert left[RECORD] == right[RECORD]
        assert left[GEOMETRY] == right[GEOMETRY]
        assert (left[REGIONS] is None) == (right[REGIONS] is None) == (loader == "train_dataloader")


def test_train_validation_and_test_share_no_image(toy_ad: Source) -> None:
    data = data_of(toy_ad)
    train, val = paths(data.train_dataloader()), paths(data.val_dataloader())
    test = paths(data.test_on("tray"))
    assert len(train) + len(val) == TRAIN
    assert len(val) == 2
    assert data.held_out
    assert len({*train, *val, *test}) == len(data.records) == len(train) + len(val) + len(test)
    assert all("/train/good/" in path for path in train + val)


def test_the_datasets_own_validation_is_used(toy_loco: Source) -> None:
    data = data_of(toy_loco)
    assert not data.held_out
    assert len(paths(data.train_dataloader())) == TRAIN
    assert [("/validation/good/" in path) for path in paths(data.val_dataloader())] == [True] * VALIDATION


def test_a_pool_trains_on_all_and_tests_one_by_one(toy_ad: Source) -> None:
    pool = data_of(toy_ad, categories=["tray", "weave"])
    alone = data_of(toy_ad, categories=["weave"])
    assert len(paths(pool.train_dataloader())) == 2 * len(paths(alone.train_dataloader()))
    assert paths(pool.test_on("weave")) == paths(alone.test_on("weave"))
    assert set(paths(alone.train_dataloader())) < set(paths(pool.train_dataloader()))


def test_setup_twice_is_setup_once(toy_ad: Source) -> None:
    data = data_of(toy_ad)
    before = list(data.records)
    data.setup("fit")
    assert data.records == before
