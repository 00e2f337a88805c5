"""What is possible and seldom meant: masks that contradict labels, images that are on two sides."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from adframe.contracts import Record
from adframe.data.dataset import regions_of
from adframe.data.listing import few
from adframe.data.masks import read_mask, read_truth
from adframe.errors import AdframeError

_BORDER = 0.9  # share of the outermost pixels that an inverted mask has at least


def doubtful_masks(
    records: Sequence[Record], *, sizes: Mapping[Path, tuple[int, int]], good: Mapping[Path, Path], root: Path
) -> list[str]:
    """Lines about masks that contradict their image's label, each with the first names and the count.

    Args:
        records: of one category; every mask is decoded.
        sizes: (H, W) of each image.
        good: masks of images that are normal.
        root: what names are given from.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for record in records:
        if record.label == 1 and record.masks:
            inside = np.zeros(sizes[record.path], bool)
            masks = read_truth(record, size=sizes[record.path])
            regions_of(record, masks)  # an error where LOCO's values have no saturation
            for mask in masks:
                inside |= mask > 0
            if what := _doubt(inside):
                found[what].append(record.path)
    for image, path in good.items():
        if read_mask(path).any():
            found["good images with a mask that is not empty, which are measured as good"].append(image)
    category = records[0].category
    return [f"{category}: {what}: {len(paths)} ({few(paths, root=root)})" for what, paths in found.items()]


def _doubt(inside: np.ndarray) -> str:
    """What is doubtful about the (H, W) defect of an anomalous image; "" for nothing."""
    if not inside.any():
        return "anomalous images with an empty mask, whose pixels count as normal"
    if inside.all():
        return "images with a mask that covers everything"
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if inside.mean() > 0.5 and border.mean() >= _BORDER:
        return "images with a mask that looks inverted, as it covers more than half and the border"
    return ""


def check_shared(records: Sequence[Record]) -> None:
    """One mask file for two images is an error: one of them is measured with the other's defect."""
    taken: dict[Path, Path] = {}
    for record in records:
        for mask in record.masks:
            other = taken.setdefault(mask, record.path)
            if other != record.path:
                raise AdframeError(
                    f"the mask {mask} belongs to two images, {other} and {record.path}; give each its own"
                )


def also_in_train(records: Sequence[Record], *, root: Path) -> list[str]:
    """Lines about measured images outside train whose file is equal, byte by byte, to one in train."""
    by_size: dict[int, list[Record]] = defaultdict(list)
    for record in (record for record in records if record.label is not None):
        by_size[record.path.stat().st_size].append(record)
    lines = []
    for split in ("val", "test"):
        again = [
            record.path
            for group in by_size.values()
            if {"train", split} <= {record.split for record in group}
            for record in _repeated(group, split)
        ]
        if again:
            lines.append(
                f"{records[0].category}: {split} images that are also in train, byte by byte: "
                f"{len(again)} ({few(again, root=root)})"
            )
    return lines


def _repeated(group: Sequence[Record], split: str) -> list[Record]:
    digests = {record.path: hashlib.blake2b(record.path.read_bytes()).digest() for record in group}
    known = {digests[record.path] for record in group if record.split == "train"}
    return [record for record in group if record.split == split and digests[record.path] in known]
