"""Checks for contradictions in a dataset: masks against labels, and images that are in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from adframe.contracts import Record
from adframe.data.dataset import regions_of
from adframe.data.listing import first_names
from adframe.data.masks import read_mask, read_truth
from adframe.errors import AdframeError

_BORDER = 0.9  # smallest share of the outermost pixels that an inverted mask covers


def doubtful_masks(
    records: Sequence[Record], *, sizes: Mapping[Path, tuple[int, int]], good: Mapping[Path, Path], root: Path
) -> list[str]:
    """Reports masks that contradict the label of their image.

    Args:
        records: of one category; every mask is decoded.
        sizes: (H, W) of each image in pixels.
        good: path of a normal image, mapped to the path of its mask.
        root: names in the lines are relative to it.

    Returns:
        One line per kind of contradiction, with the number of images and the first names.

    Raises:
        AdframeError: if a mask cannot be read or has another size than its image.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for record in records:
        if record.label == 1 and record.masks:
            inside = np.zeros(sizes[record.path], bool)
            masks = read_truth(record, size=sizes[record.path])
            regions_of(record, masks)  # an error where LOCO's values have no saturation
            for mask in masks:
                inside |= mask > 0
            if what := _contradiction(inside):
                found[what].append(record.path)
    for image, path in good.items():
        if read_mask(path).any():
            found["good images with a mask that is not empty, which are measured as good"].append(image)
    category = records[0].category
    return [
        f"{category}: {what}: {len(paths)} ({first_names(paths, root=root)})" for what, paths in found.items()
    ]


def _contradiction(inside: np.ndarray) -> str:
    """Describes what is doubtful about the (H, W) defect area of an anomalous image; "" for nothing."""
    if not inside.any():
        return "anomalous images with an empty mask, whose pixels count as normal"
    if inside.all():
        return "images with a mask that covers everything"
    # An object in the middle of the frame leaves the border free, so an inverted mask covers the border.
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if inside.mean() > 0.5 and border.mean() >= _BORDER:
        return "images with a mask that looks inverted, as it covers more than half and the border"
    return ""


def check_shared(records: Sequence[Record]) -> None:
    """Checks that no mask file belongs to two images.

    Args:
        records: of one category.

    Raises:
        AdframeError: if two images share a mask: one of them would be evaluated with the other's defect.
    """
    taken: dict[Path, Path] = {}
    for record in records:
        for mask in record.masks:
            other = taken.setdefault(mask, record.path)
            if other != record.path:
                raise AdframeError(
                    f"the mask {mask} belongs to two images, {other} and {record.path}; give each its own"
                )


def also_in_train(records: Sequence[Record], *, root: Path) -> list[str]:
    """Reports validation and test images whose file is identical, byte by byte, to a training image.

    Args:
        records: of one category; unlabelled images are skipped.
        root: names in the lines are relative to it.

    Returns:
        At most one line for validation and one for test.
    """
    # Only files of equal size can be equal, so few files are read at all.
    by_size: dict[int, list[Record]] = defaultdict(list)
    for record in (record for record in records if record.label is not None):
        by_size[record.path.stat().st_size].append(record)
    lines = []
    for split in ("val", "test"):
        copies: list[Path] = []
        for group in by_size.values():
            if not {"train", split} <= {record.split for record in group}:
                continue
            digests = {record.path: hashlib.blake2b(record.path.read_bytes()).digest() for record in group}
            trained = {digests[record.path] for record in group if record.split == "train"}
            copies += [r.path for r in group if r.split == split and digests[r.path] in trained]
        if copies:
            lines.append(
                f"{records[0].category}: {split} images that are also in train, byte by byte: "
                f"{len(copies)} ({first_names(copies, root=root)})"
            )
    return lines
