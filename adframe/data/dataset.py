"""The dataset class: it turns records into items of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as transforms

from adframe.contracts import GEOMETRY, IMAGE, INDEX, RECORD, REGIONS, SHIFT, Geometry, Record, Region
from adframe.data.auto_roi import AutoRoi
from adframe.data.masks import read_truth
from adframe.data.roi import Roi, fill_outside
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.ops.regions import channels, components
from adframe.transforms.preprocess import PREPROCESSES
from adframe.transforms.shift.shift import Shift
from adframe.transforms.shift.transform import Params


@dataclass(frozen=True, kw_only=True)
class View:
    """How an image is resized for the network.

    Attributes:
        size: (H, W) in pixels; None keeps the size of the image, times `scale`.
        keep_aspect: whether to fit the image into `size` and repeat its edge around it, instead of
            stretching it.
        preprocess: a name of `PREPROCESSES`, applied at native resolution after a domain shift.
        scale: factor of the image's own size where `size` is None.
        roi: the part of an image that is inspected; None for the whole image.
    """

    size: tuple[int, int] | None
    keep_aspect: bool = False
    preprocess: str = "none"
    scale: float = 1.0
    roi: Roi | AutoRoi | None = None

    def of(self, image: tuple[int, int]) -> tuple[int, int]:
        """Returns the size of the network's input for an image.

        Args:
            image: (H, W) in pixels.
        """
        return self.size or (max(1, round(image[0] * self.scale)), max(1, round(image[1] * self.scale)))


class ImageDataset(Dataset[dict[str, Any]]):
    """Decodes, shifts, preprocesses and resizes images; ground truth keeps the size that it has on disk.

    Args:
        records: the images to read.
        view: how an image is resized for the network.
        truth: whether to read masks; training needs none.
        shift: a domain shift, for records of the splits that it names.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 48)).save("plate.png")
        >>> record = Record(path=Path("plate.png"), category="plate", split="train")
        >>> item = ImageDataset([record], view=View(size=(32, 32)), truth=True)[0]
        >>> item["image"].shape, item["geometry"].original, item["regions"]
        (torch.Size([3, 32, 32]), (48, 64), [])
    """

    def __init__(
        self, records: Sequence[Record], *, view: View, truth: bool, shift: Shift | None = None
    ) -> None:
        self.records = list(records)
        self.view = view
        self.truth = truth
        self.shift = shift

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        pixels = read_image(record.path, bits=record.bits)  # (H0, W0, 3)
        original = (pixels.shape[0], pixels.shape[1])
        masks = read_truth(record, size=original) if self.truth else []  # (H0, W0) each
        drawn: Params = {}
        if self.shift is not None and record.split in self.shift.splits:
            pixels, masks, drawn = self.shift(pixels, masks, index=record.place)
        image, geometry = to_view(pixels, self.view, category=record.category)
        return {
            IMAGE: image,  # (3, H, W)
            INDEX: index,
            RECORD: record,
            GEOMETRY: geometry,
            REGIONS: regions_of(record, masks) if self.truth else None,
            SHIFT: drawn,
        }


def to_view(pixels: np.ndarray, view: View, *, category: str) -> tuple[Tensor, Geometry]:
    """Preprocesses and resizes an image as the network takes it, grey outside of the region of interest.

    Args:
        pixels: (H0, W0, 3) uint8 or uint16.
        view: the size to resize to, the preprocessing, and the region of interest.
        category: of the image, which may have a region of its own.

    Returns:
        (3, H, W) float32 in [0, 1], and the place of it in the original frame.

    Raises:
        AdframeError: the region of interest has no pixel in the image, or its mask has another size.
    """
    original = (pixels.shape[0], pixels.shape[1])
    shown = PREPROCESSES[view.preprocess](pixels)
    inside = None if view.roi is None else view.roi.inside(category, original)
    if inside is not None:
        shown = fill_outside(shown, inside)
    tensor, box = resize_to_view(as_unit(shown), view)
    return tensor, Geometry(original=original, view=box, inside=inside)


def as_unit(pixels: np.ndarray) -> Tensor:
    """Moves the channels to the front and scales 16-bit values to [0, 1].

    Args:
        pixels: (H, W, 3) uint8 or uint16.

    Returns:
        (3, H, W): uint8 unchanged, because `resize` works on bytes; uint16 as float32 in [0, 1].
    """
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if pixels.dtype == np.uint16:
        channels_first = channels_first.astype(np.float32) / 65535
    return torch.from_numpy(channels_first)


def resize_to_view(image: Tensor, view: View) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Resizes an image for the network.

    Where the aspect is kept, the edge is repeated around the image, so that no dark frame is learned
    as part of the product; the covered box then reaches over the edge of the original.

    Args:
        image: (3, H0, W0) uint8, or float in [0, 1].
        view: the size to resize to.

    Returns:
        (3, H, W) float32 in [0, 1], and the (top, left, height, width) that it covers of the original, in
        original pixels.
    """
    height, width = image.shape[-2:]
    if view.size is None or not view.keep_aspect:
        return resize(image, view.of((height, width))), (0, 0, height, width)
    scale = min(view.size[0] / height, view.size[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (view.size[0] - inner[0]) // 2, (view.size[1] - inner[1]) // 2
    sides = (left, view.size[1] - inner[1] - left, top, view.size[0] - inner[0] - top)
    padded = F.pad(resize(image, inner)[None], sides, mode="replicate")[0]
    # A pixel of the view covers `tall` x `wide` pixels of the original; the padding is part of the box.
    tall, wide = height / inner[0], width / inner[1]
    box = (-top * tall, -left * wide, view.size[0] * tall, view.size[1] * wide)
    return padded, (round(box[0]), round(box[1]), round(box[2]), round(box[3]))


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes an image with bilinear interpolation and antialiasing.

    Args:
        image: (3, H0, W0) uint8, or float in [0, 1].
        size: (H, W) in pixels.

    Returns:
        (3, H, W) float32 in [0, 1].
    """
    resized: Tensor = transforms.resize(image, list(size), antialias=True)
    return resized.float() / 255 if resized.dtype == torch.uint8 else resized


def regions_of(record: Record, masks: Sequence[np.ndarray]) -> list[Region] | None:
    """Splits the ground truth of an image into its annotated defects.

    Args:
        record: the image.
        masks: its decoded masks, (H0, W0) each.

    Returns:
        The defects in the original frame, [] for a normal image; None where no ground truth is available.

    Raises:
        AdframeError: if a mask value has no saturation in `defects_config.json` (MVTec LOCO AD).
    """
    if record.saturations:
        try:
            return channels([mask for mask in masks if mask.any()], record.saturations)
        except AdframeError as error:
            raise AdframeError(f"masks of {record.path}: {error}") from error
    if record.label is None or (record.label == 1 and not record.masks):
        return None
    return [region for mask in masks for region in components(mask > 0)]


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stacks the items of a dataset to a batch.

    Args:
        items: B items of `ImageDataset`.

    Returns:
        A batch as `adframe.contracts` describes it: images and indices are stacked, the rest are lists.

    Raises:
        AdframeError: if the images have several sizes.
    """
    batch: dict[str, Any] = {key: [item[key] for item in items] for key in (RECORD, GEOMETRY, SHIFT)}
    sizes = {tuple(item[IMAGE].shape[-2:]) for item in items}
    if len(sizes) > 1:
        raise mixed_sizes_error(len(sizes))
    batch[IMAGE] = torch.stack([item[IMAGE] for item in items])  # (B, 3, H, W)
    batch[INDEX] = torch.tensor([item[INDEX] for item in items])  # (B,)
    truths = [item[REGIONS] for item in items]
    batch[REGIONS] = None if all(truth is None for truth in truths) else truths
    return batch


def mixed_sizes_error(count: int) -> AdframeError:
    """Returns the error for images that cannot be stacked.

    Args:
        count: number of different sizes.
    """
    return AdframeError(
        f"images of {count} sizes cannot share a batch; image_size=null needs batch_size=1 here"
    )
