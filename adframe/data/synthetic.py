"""Normal images with synthetic anomalies, for training and for validation without a real defect.

In addition to the keys of `contracts` a batch has

====== ========================  ==========================================================
mask   (B, 1, H, W) float32      1 where the anomaly is, in the network's view
label  (B,) float32              1 where the image has an anomaly
family list of B str             the kind of anomaly; `good` for none
====== ========================  ==========================================================

Its `regions` refer to the original frame: they are the anomaly where `synthesis.frame=original` draws it
there, and None where it is drawn in the network's view, because the original frame has no anomaly then.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from adframe.contracts import (
    FAMILY,
    GEOMETRY,
    IMAGE,
    INDEX,
    LABEL,
    MASK,
    RECORD,
    REGIONS,
    Geometry,
    Record,
)
from adframe.data.dataset import ImageDataset, View, resize_to_view
from adframe.data.labelled import collate_labelled, mask_in_view
from adframe.data.sampling import Cached, Shuffled
from adframe.errors import AdframeError
from adframe.ops.regions import components
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis, Synthesised, untouched

Position = int | tuple[int, int]  # in the dataset; or (epoch, position), as `EpochSampler` gives it


class SyntheticDataset(Dataset[dict[str, Any]]):
    """Decodes normal images like `ImageDataset` and adds anomalies to some.

    Args:
        records: normal images.
        view: how an image is resized for the network.
        synthesis: draws the anomalies.
        donors: normal training images from which pieces are cut: those of an image's own category,
            and never the image itself.
        purpose: `train`: each image once, with or without an anomaly, drawn again in every epoch. `val`:
            each image unchanged and then with each of its anomalies (`Synthesis.draws`), so that few
            images give both.
        shift: a domain shift, for records of the splits that it names; applied before an anomaly.
        cache_mb: memory in MiB for decoded images, for loading without workers; 0 keeps none.

    Raises:
        AdframeError: if a record is not normal, or its category has no other image to take pieces from.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from adframe.transforms.synthesis.patches import Scar
        >>> for name in ("a", "b"):
        ...     Image.new("RGB", (64, 64), "gray").save(f"{name}.png")
        >>> records = [Record(path=Path(f"{name}.png"), category="c", split="val") for name in ("a", "b")]
        >>> scar = Scar(length=(0.2, 0.3), width=(0.1, 0.1), degrees=(-90, 90), jitter=0.2)
        >>> synthesis = Synthesis({"scar": scar}, name="scar", seed=0, normal_share=0.5)
        >>> dataset = SyntheticDataset(records, view=View(size=None), synthesis=synthesis, donors=records,
        ...                            purpose="val")
        >>> len(dataset), dataset[0]["label"], dataset[0]["mask"].shape
        (4, 0.0, torch.Size([1, 64, 64]))
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
        self.records, self.donors, self.view = list(records), list(donors), view
        if synthesis.frame == "original":  # the image is resized after the anomaly is drawn
            view = replace(view, size=None, scale=1.0)
        every = [*self.records, *self.donors] if self.records != self.donors else self.records
        images = ImageDataset(every, view=view, truth=False, shift=shift)
        self.images = Cached(images, limit_mb=cache_mb) if cache_mb else images
        self.first = len(every) - len(self.donors)  # of the donors
        self.synthesis, self.purpose = synthesis, purpose
        self.donors_by_category: dict[str, list[int]] = defaultdict(list)
        # An image may be listed twice; the dict keeps its last place, so that each path can lend only once.
        for place in {
            (donor.category, donor.path): place for place, donor in enumerate(self.donors)
        }.values():
            self.donors_by_category[self.donors[place].category].append(place)
        self.repeats = 1 + synthesis.draws if purpose == "val" else 1
        self._check()

    def __len__(self) -> int:
        return self.repeats * len(self.records)

    def __getitem__(self, index: Position) -> dict[str, Any]:
        epoch, position = index if isinstance(index, tuple) else (0, index)
        item = self.images[position // self.repeats]
        drawn = self._synthesise(item, epoch=epoch, copy=position % self.repeats)
        image = torch.from_numpy(np.ascontiguousarray(drawn.image.transpose(2, 0, 1)))  # (3, H, W)
        mask = torch.from_numpy(drawn.mask[None])  # (1, H, W) bool
        if self.synthesis.frame == "original":
            image, box = resize_to_view(image, self.view)
            mask = mask_in_view(mask, self.view)
            item = {
                **item,
                GEOMETRY: replace(item[GEOMETRY], view=box),
                REGIONS: components(drawn.mask),
            }
        return {
            **item,
            IMAGE: image,
            INDEX: position,
            MASK: mask,
            LABEL: float(drawn.anomalous),
            FAMILY: drawn.family,
        }

    def example(self, position: int, *, family: str) -> tuple[np.ndarray, Synthesised]:
        """Draws an anomaly of one family into an image, for display.

        Args:
            position: index of the image in `records`.
            family: name of the family.

        Returns:
            The unchanged image (H, W, 3) float32 in [0, 1], and the one with the anomaly.
        """
        item = self.images[position]
        image, record = _to_numpy(item), item[RECORD]
        donor = partial(self._donor, record, image.shape)
        return image, self.synthesis.example(image, family=family, donor=donor, index=_random_key(record))

    def _synthesise(self, item: dict[str, Any], *, epoch: int, copy: int) -> Synthesised:
        """Draws an anomaly; for validation copy 0 of an image stays as it is."""
        image, record = _to_numpy(item), item[RECORD]
        donor = partial(self._donor, record, image.shape)
        if self.purpose == "train":
            drawn = self.synthesis.training(image, donor=donor, index=_random_key(record), epoch=epoch)
        elif copy:
            drawn = self.synthesis.validation(image, donor=donor, index=_random_key(record), draw=copy - 1)
        else:
            drawn = untouched(image)
        return _within(drawn, image, item[GEOMETRY])

    def _donor(
        self, record: Record, shape: tuple[int, int, int], generator: np.random.Generator
    ) -> np.ndarray:
        """Returns another image of the record's category, (H, W, 3) float32, resized to `shape`."""
        pool = self.donors_by_category[record.category]
        start = int(generator.integers(len(pool)))
        if self.donors[pool[start]].path == record.path:
            start = (start + 1) % len(pool)  # each path is listed once, so the next one is another image
        pixels = _to_numpy(self.images[self.first + pool[start]])
        if pixels.shape != shape:  # each image keeps its own size
            return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        return pixels

    def _check(self) -> None:
        for record in (*self.records, *self.donors):
            if record.label != 0:
                raise AdframeError(f"{record.path} is not known to be normal, which synthesis requires")
        for record in self.records:
            others = (
                self.donors[place].path != record.path for place in self.donors_by_category[record.category]
            )
            if not any(others):
                raise AdframeError(
                    f"{record.category} has no other normal image to borrow from; synthesis needs two"
                )


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffles, and passes the epoch to the dataset together with each position.

    A worker that survives from epoch to epoch has a copy of the dataset that cannot be changed from outside;
    only positions reach it. Lightning calls `set_epoch`, also when a stopped run continues.

    Args:
        count: number of images in the dataset.
        seed: seed of the order, together with the epoch.

    Example:
        >>> sampler = EpochSampler(2, seed=0)
        >>> sampler.set_epoch(3)
        >>> sorted(sampler)
        [(3, 0), (3, 1)]
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.order = Shuffled(count, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        """Sets the next epoch.

        Args:
            epoch: counted from 0.
        """
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # Read once, because another epoch may be set while this one is still iterated.
        epoch = self.order.epoch
        return ((epoch, position) for position in iter(self.order))


def collate_synthetic(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stacks the items of a `SyntheticDataset` to a batch.

    Args:
        items: B items.

    Returns:
        A batch as `collate` makes it, with mask (B, 1, H, W), label (B,) and family.
    """
    return collate_labelled(items) | {FAMILY: [item[FAMILY] for item in items]}


def _within(drawn: Synthesised, image: np.ndarray, geometry: Geometry) -> Synthesised:
    """Removes what was drawn outside of the region of interest; without the rest it is a normal image."""
    if geometry.inside is None or not drawn.anomalous:
        return drawn
    inside = _inside_of_view(geometry, (image.shape[0], image.shape[1]))
    mask = drawn.mask & inside
    if not mask.any():
        return untouched(image)
    return replace(drawn, image=np.where(inside[:, :, None], drawn.image, image), mask=mask)


def _inside_of_view(geometry: Geometry, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels of the network's view whose centres lie in the region of interest."""
    assert geometry.inside is not None
    top, left, height, width = geometry.view
    rows = (top + (np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = (left + (np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    rows = np.clip(rows, 0, geometry.original[0] - 1)
    columns = np.clip(columns, 0, geometry.original[1] - 1)
    return np.asarray(geometry.inside[np.ix_(rows, columns)])


def _to_numpy(item: dict[str, Any]) -> np.ndarray:
    """Returns the image of an item, (H, W, 3) float32 in [0, 1]."""
    return np.ascontiguousarray(item[IMAGE].numpy().transpose(1, 2, 0))


def _random_key(record: Record) -> int:
    """Returns the seed of an image: its place, which is counted in each category, and the category."""
    return (zlib.crc32(record.category.encode()) << 32) + record.place
