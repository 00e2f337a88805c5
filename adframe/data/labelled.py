"""Images with the ground-truth masks of their defects, for methods that are trained on labelled defects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from adframe.contracts import GEOMETRY, IMAGE, LABEL, MASK, REGIONS, Geometry, Record, Region
from adframe.data.dataset import ImageDataset, View, collate, resize_to_view
from adframe.transforms.shift.shift import Shift


class LabelledDataset(Dataset[dict[str, Any]]):
    """Decodes images like `ImageDataset`, and resizes their masks as the network sees them.

    Args:
        records: normal images, and defective ones with masks.
        view: how an image is resized for the network.
        shift: a domain shift, for records of the splits that it names; masks are moved with their image.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 64)).save("plate.png")
        >>> record = Record(path=Path("plate.png"), category="plate", split="train")
        >>> item = LabelledDataset([record], view=View(size=(32, 32)))[0]
        >>> item["mask"].shape, item["label"]
        (torch.Size([1, 32, 32]), 0.0)
    """

    def __init__(self, records: Sequence[Record], *, view: View, shift: Shift | None = None) -> None:
        self.images = ImageDataset(records, view=view, truth=True, shift=shift)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.images[index]
        size = (item[IMAGE].shape[-2], item[IMAGE].shape[-1])
        mask = _mask_of(item[REGIONS] or [], item[GEOMETRY], size=size, view=self.images.view)
        # A defect outside of the region of interest is not in the image that the network sees.
        return item | {MASK: mask, LABEL: float(mask.any())}


def mask_in_view(mask: Tensor, view: View) -> Tensor:
    """Resizes the mask of an anomaly for the network.

    Args:
        mask: (1, H0, W0) bool, in the original frame.
        view: how the image is resized.

    Returns:
        (1, H, W) bool: pixels of which the anomaly covers at least half; where it covers no pixel so far,
        every pixel that it touches, so that an anomalous image never has an empty mask.
    """
    covered, _ = resize_to_view(mask.expand(3, -1, -1).float(), view)
    half = covered[:1] >= 0.5
    return half if half.any() else covered[:1] > 0


def collate_labelled(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stacks items that have a mask and a label to a batch.

    Args:
        items: B items.

    Returns:
        A batch as `collate` makes it, with mask (B, 1, H, W) float32 in {0, 1} and label (B,).
    """
    batch = collate(items)
    batch[MASK] = torch.stack([item[MASK] for item in items]).float()  # (B, 1, H, W)
    batch[LABEL] = torch.tensor([item[LABEL] for item in items])  # (B,)
    return batch


def collate_images(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stacks items to a batch, with their masks and labels where they have them.

    Args:
        items: B items of one dataset.

    Returns:
        A batch as `collate_labelled` or `collate` makes it.
    """
    return collate_labelled(items) if MASK in items[0] else collate(items)


def _mask_of(regions: Sequence[Region], geometry: Geometry, *, size: tuple[int, int], view: View) -> Tensor:
    """Returns (1, H, W) bool, the union of the regions as the network sees it."""
    if not regions:
        return torch.zeros(1, *size, dtype=torch.bool)
    whole = np.zeros(geometry.original, dtype=bool)
    for region in regions:
        height, width = region.mask.shape
        whole[region.top : region.top + height, region.left : region.left + width] |= region.mask
    if geometry.inside is not None:
        whole &= geometry.inside
    return mask_in_view(torch.from_numpy(whole[None]), view)
