"""Order and memory of training images."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from adframe.contracts import IMAGE
from adframe.data.sampling import Cached, SharedBatches, Shuffled, weight_of, whole
from adframe.io.processes import Processes


class Counting(Dataset[dict[str, torch.Tensor]]):
    def __init__(self, images: list[torch.Tensor]) -> None:
        self.images, self.asked = images, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        self.asked += 1
        return {IMAGE: self.images[index]}


def test_every_epoch_has_every_image_in_its_own_order() -> None:
    sampler, orders = Shuffled(50, seed=3), []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] != orders[1] != orders[2]


def test_an_epochs_order_follows_from_seed_and_epoch() -> None:
    first, later = Shuffled(50, seed=3), Shuffled(50, seed=3)
    first.set_epoch(1)
    list(first)
    first.set_epoch(7)
    later.set_epoch(7)
    assert list(first) == list(later)
    assert list(Shuffled(50, seed=4)) != list(Shuffled(50, seed=3))


def test_a_kept_image_is_the_image() -> None:
    grey = torch.randint(0, 256, (3, 8, 8)).float() / 255
    fine = torch.rand(3, 8, 8)
    source = Counting([grey, fine])
    cached = Cached(source, limit_mb=1)
    for _ in range(3):
        assert torch.equal(cached[0][IMAGE], grey)
        assert torch.equal(cached[1][IMAGE], fine)
    assert source.asked == 2


def test_what_does_not_fit_is_decoded_again() -> None:
    large = torch.rand(3, 300, 300)  # 1.08 MB
    source = Counting([large, large])
    cached = Cached(source, limit_mb=1)
    assert torch.equal(cached[0][IMAGE], cached[0][IMAGE])
    assert source.asked == 2


@pytest.mark.parametrize("divided", [True, False])
@pytest.mark.parametrize("images", [1, 4, 9, 12, 13])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_every_image_exactly_once(images: int, count: int, divided: bool) -> None:
    seen: list[int] = []
    shares = [
        SharedBatches(range(images), batch_size=4, processes=Processes(rank, count), divided=divided)
        for rank in range(count)
    ]
    assert len({len(share) for share in shares}) == 1
    for share in shares:
        batches = list(share)
        assert len(batches) == len(share)
        assert all(batches)
        seen += [i for number, batch in enumerate(batches) if share.weight(number) for i in batch]
    assert sorted(seen) == list(range(images))


def test_dealt_batches_are_those_of_one_process_in_order() -> None:
    shares = [
        list(SharedBatches(range(10), batch_size=4, processes=Processes(r, 2), divided=False)) for r in (0, 1)
    ]
    assert [shares[0][0], shares[1][0], shares[0][1]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("images", [5, 7, 8])
def test_weights_make_the_mean_over_processes_the_mean_over_images(images: int) -> None:
    values, count = torch.rand(images, dtype=torch.float64), 3
    shares = [
        SharedBatches(range(images), batch_size=4, processes=Processes(r, count), divided=True)
        for r in range(count)
    ]
    for number, batches in enumerate(zip(*shares, strict=True)):
        own = [
            values[batch].mean() * share.weight(number) for share, batch in zip(shares, batches, strict=True)
        ]
        expected = values[number * 4 : number * 4 + 4].mean()
        torch.testing.assert_close(torch.stack(own).mean(), expected)


def test_a_loader_of_all_images_is_made_of_a_shared_one() -> None:
    images = Counting([torch.zeros(1)] * 5)
    shares = SharedBatches(range(5), batch_size=2, processes=Processes(1, 2), divided=False)
    loader = DataLoader(images, batch_sampler=shares)
    assert [len(batch[IMAGE]) for batch in loader] == [2, 2]
    assert [len(batch[IMAGE]) for batch in whole(loader)] == [2, 2, 1]
    assert (weight_of(loader, 0), weight_of(loader, 1), weight_of(whole(loader), 1)) == (1.0, 0.0, 1.0)
