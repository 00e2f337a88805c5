"""Normal images with synthetic anomalies in them: a training set, and a validation set without a real defect.

Beside the keys of `contracts` a batch has

====== ========================  ==========================================================
mask   (B, 1, H, W) float32      1 where the anomaly is, at the network's view
label  (B,) float32              1 where any of it was
family list of B str             which kind of anomaly was drawn; `good` for none
====== ========================  ==========================================================

and its `regions` are None: they speak of the original frame, which has no anomaly.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from adframe.contracts import FAMILY, IMAGE, INDEX, LABEL, MASK, RECORD, Record
from adframe.data.dataset import ImageDataset, View, collate
from adframe.data.sampling import Cached, Shuffled
from adframe.errors import AdframeError
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis, Synthesised, untouched

Position = int | tuple[int, int]  # in the dataset; or (epoch, position), as `EpochSampler` gives it


class SyntheticDataset(Dataset[dict[str, Any]]):
    """Decodes normal images as `ImageDataset` does, then spoils some of them at the network's view.

    Args:
        records: normal images.
        view: how an image becomes the network's view.
        synthesis: what is put into them.
        donors: normal training images that pieces are borrowed from, those of an image's own category,
            and never the image itself.
        purpose: `train`: each image once, with or without an anomaly, drawn again in every epoch. `val`:
            each image twice, as it is and then with its one anomaly, so that both are there with few images.
        shift: a domain shift, for records of the splits it names; drawn before an anomaly.
        cache_mb: memory in which decoded images stay for the next epoch, for loading without workers.

    Raises:
        AdframeError: a record is not normal, or its category has no other image to borrow from.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        view: View,
        synthesis: Synthesis,
        donors: Sequence[Record],
        purpose: Literal["train", "val"],
        shift: Shift | None = None,
        cache_mb: int = 0,
    ) -> None:
        self.records, self.lenders = list(records), list(donors)
        every = [*self.records, *self.lenders] if self.records != self.lenders else self.records
        images = ImageDataset(every, view=view, truth=False, shift=shift)
        self.images = Cached(images, limit_mb=cache_mb) if cache_mb else images
        self.first = len(every) - len(self.lenders)  # of the donors
        self.synthesis, self.purpose = synthesis, purpose
        self.pools: dict[str, list[int]] = defaultdict(list)
        for place in {
            (donor.category, donor.path): place for place, donor in enumerate(self.lenders)
        }.values():
            self.pools[self.lenders[place].category].append(place)
        self.repeats = 2 if purpose == "val" else 1
        self._check()

    def __len__(self) -> int:
        return self.repeats * len(self.records)

    def __getitem__(self, index: Position) -> dict[str, Any]:
        epoch, position = index if isinstance(index, tuple) else (0, index)
        item = self.images[position // self.repeats]
        drawn = self._drawn(item, epoch=epoch, anomalous=position % self.repeats == 1)
        return {
            **item,
            IMAGE: torch.from_numpy(np.ascontiguousarray(drawn.image.transpose(2, 0, 1))),  # (3, H, W)
            INDEX: position,
            MASK: torch.from_numpy(drawn.mask[None]),  # (1, H, W) bool
            LABEL: float(drawn.anomalous),
            FAMILY: drawn.family,
        }

    def example(self, position: int, *, family: str) -> tuple[np.ndarray, Synthesised]:
        """An image (H, W, 3) float32 as it is, and with an anomaly of one family, to be looked at."""
        item = self.images[position]
        image, record = _pixels(item), item[RECORD]
        donor = partial(self._donor, record, image.shape)
        return image, self.synthesis.example(image, family=family, donor=donor, index=_key(record))

    def _drawn(self, item: dict[str, Any], *, epoch: int, anomalous: bool) -> Synthesised:
        image, record = _pixels(item), item[RECORD]
        donor = partial(self._donor, record, image.shape)
        if self.purpose == "train":
            return self.synthesis.training(image, donor=donor, index=_key(record), epoch=epoch)
        if anomalous:
            return self.synthesis.validation(image, donor=donor, index=_key(record))
        return untouched(image)

    def _donor(
        self, record: Record, shape: tuple[int, int, int], generator: np.random.Generator
    ) -> np.ndarray:
        """Another image of the record's category, (H, W, 3) float32 of the shape that is asked for."""
        pool = self.pools[record.category]
        start = int(generator.integers(len(pool)))
        if self.lenders[pool[start]].path == record.path:
            start = (start + 1) % len(pool)  # each path is there once
        pixels = _pixels(self.images[self.first + pool[start]])
        if pixels.shape != shape:  # each image keeps its own size
            return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        return pixels

    def _check(self) -> None:
        for record in (*self.records, *self.lenders):
            if record.label != 0:
                raise AdframeError(f"{record.path} is not known to be normal, as synthesis needs it")
        for record in self.records:
            others = (self.lenders[place].path != record.path for place in self.pools[record.category])
            if not any(others):
                raise AdframeError(
                    f"{record.category} has no other normal image to borrow from; synthesis needs two"
                )


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffles, and tells the dataset which epoch it is: also workers that live on from epoch to epoch.

    A worker has a copy of the dataset, in which nothing can be set from outside; positions are all that
    reaches it. Lightning calls `set_epoch`, also when a stopped run goes on.

    Args:
        count: images in the dataset.
        seed: draws the order, together with the epoch.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.order = Shuffled(count, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.order.epoch  # as it is now: another may be set while this one is read
        return ((epoch, position) for position in iter(self.order))


def collate_synthetic(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`collate`, and what is synthetic about the images stacked along."""
    batch = collate(items)
    batch[MASK] = torch.stack([item[MASK] for item in items]).float()  # (B, 1, H, W)
    batch[LABEL] = torch.tensor([item[LABEL] for item in items])  # (B,)
    batch[FAMILY] = [item[FAMILY] for item in items]
    return batch


def _pixels(item: dict[str, Any]) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1] of an item of `ImageDataset`."""
    return np.ascontiguousarray(item[IMAGE].numpy().transpose(1, 2, 0))


def _key(record: Record) -> int:
    """What is random about an image: its place, which is counted again in each category, and the category."""
    return (zlib.crc32(record.category.encode()) << 32) + record.place
