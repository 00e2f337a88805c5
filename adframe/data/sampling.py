"""The order of training images, the shares of several processes, and a cache between epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from adframe.contracts import IMAGE
from adframe.io.processes import Processes


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


class SharedBatches(Sampler[list[Any]]):
    """Gives each process its share of the batches that one process would have.

    All processes make equally many steps, because they exchange values in each step. Where the images do not
    suffice, a process gets an image a second time, as a stand-in of weight 0.

    Args:
        order: the positions of all images, the same in every process.
        batch_size: images of a whole batch.
        processes: who shares.
        divided: True divides every batch, as a training needs, in which the processes make one step together;
            False deals whole batches in turn, so that every image is computed in the batch in which one
            process would have computed it.

    Example:
        >>> own = SharedBatches(range(5), batch_size=2, processes=Processes(1, 2), divided=False)
        >>> list(own), own.weight(0), own.weight(1)
        ([[2, 3], [0, 1]], 1.0, 0.0)
        >>> own = SharedBatches(range(5), batch_size=2, processes=Processes(1, 2), divided=True)
        >>> list(own), own.weight(0), own.weight(2)
        ([[1], [3], [4]], 1.0, 0.0)
    """

    def __init__(self, order: Any, *, batch_size: int, processes: Processes, divided: bool) -> None:
        self.sampler = order  # Lightning tells a sampler of this name the epoch
        self.batch_size, self.processes, self.divided = batch_size, processes, divided

    def __len__(self) -> int:
        batches = -(-len(self.sampler) // self.batch_size)
        return batches if self.divided else -(-batches // self.processes.count)

    def __iter__(self) -> Iterator[list[Any]]:
        rank, count, order = self.processes.rank, self.processes.count, list(self.sampler)
        starts = range(0, len(order), self.batch_size)
        batches = [order[start : start + self.batch_size] for start in starts]
        if self.divided:
            yield from (batch[rank::count] or batch[:1] for batch in batches)
            return
        yield from batches[rank::count]
        if rank >= len(batches) % count > 0:  # the last turn has no batch for this process
            yield batches[0]

    def weight(self, number: int) -> float:
        """Returns what this process counts in the mean over the processes.

        Args:
            number: the step, counted from 0.

        Returns:
            1 for an equal share; 0 for a stand-in.
        """
        rank, count = self.processes.rank, self.processes.count
        if not self.divided:
            return float((number * count + rank) * self.batch_size < len(self.sampler))
        size = min(self.batch_size, len(self.sampler) - number * self.batch_size)
        return len(range(rank, size, count)) * count / size


def weight_of(loader: Any, number: int) -> float:
    """Returns the weight of this process in a step of a loader; 1 where it has all images.

    Args:
        loader: a loader, shared or not.
        number: the step, counted from 0.
    """
    shares = getattr(loader, "batch_sampler", None)
    return shares.weight(number) if isinstance(shares, SharedBatches) else 1.0


def whole(loader: Any) -> Any:
    """Returns a loader of all images, in every process, in the batches of one process.

    Args:
        loader: a loader, shared or not.
    """
    shares = getattr(loader, "batch_sampler", None)
    if not isinstance(shares, SharedBatches):
        return loader
    return DataLoader(
        loader.dataset,
        batch_size=shares.batch_size,
        num_workers=loader.num_workers,
        sampler=shares.sampler,
        collate_fn=loader.collate_fn,
    )


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
