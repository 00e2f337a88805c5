"""The order of training images, and a cache that keeps them between epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from adframe.contracts import IMAGE


class Shuffled(Sampler[int]):
    """Draws another order in every epoch, which depends on the seed and the epoch alone.

    Lightning calls `set_epoch`; a training that was stopped continues in the order that it would have had.

    Args:
        count: number of images.
        seed: seed of the run.

    Example:
        >>> order = Shuffled(4, seed=0)
        >>> sorted(order)
        [0, 1, 2, 3]
        >>> list(order) == list(order)
        True
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the next epoch.

        Args:
            epoch: counted from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        # The factor is prime and larger than any number of epochs, so (seed, epoch) pairs do not collide.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return iter(torch.randperm(self.count, generator=generator).tolist())


class Cached(Dataset[dict[str, Any]]):
    """Keeps the decoded items of a dataset in memory, as long as the budget lasts.

    Images whose values are multiples of 1/255 are kept as bytes, which loses nothing; others as
    they are. Meant for loading in the main process: worker processes share no memory.

    Args:
        items: gives dicts with an `image` (3, H, W) in [0, 1].
        limit_mb: largest memory for images in MiB; further images are decoded every time.

    Example:
        >>> items = [{"image": torch.zeros(3, 8, 8)}]
        >>> cached = Cached(items, limit_mb=1)
        >>> cached[0]["image"] is items[0]["image"], len(cached)
        (False, 1)
    """

    def __init__(self, items: Dataset[dict[str, Any]], *, limit_mb: int) -> None:
        self.items, self._room = items, limit_mb * 2**20
        self._kept: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        kept = self._kept.get(index)
        if kept is None:
            item = self.items[index]
            kept = item | {IMAGE: _compact(item[IMAGE])}
            size = sum(value.nbytes for value in kept.values() if isinstance(value, Tensor))  # with a mask
            if size <= self._room:
                self._room -= size
                self._kept[index] = kept
        image = kept[IMAGE]
        return kept | {IMAGE: image.float() / 255 if image.dtype == torch.uint8 else image}


def _compact(image: Tensor) -> Tensor:
    as_bytes = (image * 255).round().to(torch.uint8)
    return as_bytes if torch.equal(as_bytes.float() / 255, image) else image
