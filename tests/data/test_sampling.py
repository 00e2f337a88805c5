"""Order and memory of training images."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from adframe.contracts import IMAGE
from adframe.data.sampling import Cached, Shuffled


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
