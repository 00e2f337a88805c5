"""Records in, items of a batch out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as transforms

from adframe.contracts import GEOMETRY, IMAGE, INDEX, RECORD, REGIONS, AdframeError, Geometry, Record, Region
from adframe.data.decode import read_image, read_mask
from adframe.ops.regions import channels, components


class ImageDataset(Dataset[dict[str, Any]]):
    """Decodes, resizes, and brings ground truth along at the size it has on disk.

    Args:
        records: what to read.
        size: (H, W) of the network's view; aspect is not kept.
        truth: whether to read masks; training needs none.
    """

    def __init__(self, records: Sequence[Record], *, size: tuple[int, int], truth: bool) -> None:
        self.records = list(records)
        self.size = size
        self.truth = truth

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        pixels = read_image(record.path)  # (H0, W0, 3)
        original = pixels.shape[0], pixels.shape[1]
        return {
            IMAGE: resize(as_unit(pixels), self.size),  # (3, H, W)
            INDEX: index,
            RECORD: record,
            GEOMETRY: Geometry(original=original, view=(0, 0, *original)),
            REGIONS: regions_of(record, original) if self.truth else None,
        }


def as_unit(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 or uint16 to (3, H, W): uint8 as it is, uint16 as float32 in [0, 1]."""
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if pixels.dtype == np.uint16:
        channels_first = channels_first.astype(np.float32) / 65535
    return torch.from_numpy(channels_first)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H0, W0) uint8 or float to (3, H, W) float32 in [0, 1]; bilinear, antialiased."""
    resized: Tensor = transforms.resize(image, list(size), antialias=True)
    return resized.float() / 255 if resized.dtype == torch.uint8 else resized


def regions_of(record: Record, size: tuple[int, int]) -> list[Region] | None:
    """The annotated defects of an image in its original frame; None where it has no label."""
    if record.label is None:
        return None
    masks = [read_mask(path) for path in record.masks]
    for path, mask in zip(record.masks, masks, strict=True):
        if mask.shape != size:
            raise AdframeError(
                f"mask {path} is {mask.shape[0]}x{mask.shape[1]}, its image {size[0]}x{size[1]}"
            )
    if record.saturations:
        return channels(masks, record.saturations)
    return [region for mask in masks for region in components(mask > 0)]


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stacks images and indices; what is ragged stays a list (see `contracts`)."""
    batch: dict[str, Any] = {key: [item[key] for item in items] for key in (RECORD, GEOMETRY)}
    batch[IMAGE] = torch.stack([item[IMAGE] for item in items])  # (B, 3, H, W)
    batch[INDEX] = torch.tensor([item[INDEX] for item in items])  # (B,)
    truths = [item[REGIONS] for item in items]
    batch[REGIONS] = None if all(truth is None for truth in truths) else truths
    return batch
