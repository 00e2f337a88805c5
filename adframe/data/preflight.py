"""Looks at every file before any work: what is broken must stop a run at its start, not an hour in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from adframe.contracts import AdframeError, Record
from adframe.data.decode import read_size
from adframe.data.splits import shared_group


def check_files(records: Iterable[Record]) -> set[tuple[int, int]]:
    """Every image whole, every mask as large as its image; reads headers, decodes only where in doubt.

    Returns:
        The sizes (H, W) that images have.
    """
    sizes = set()
    for record in records:
        sizes.add(size := read_size(record.path))
        for mask in record.masks:
            if (found := read_size(mask)) != size:
                raise AdframeError(
                    f"mask {mask} is {found[0]}x{found[1]} (height x width) but its image {record.path} is "
                    f"{size[0]}x{size[1]}; masks must have their image's size"
                )
    return sizes


def check_splits(records: Sequence[Record], *, category: str) -> None:
    """Something to train on, something to calibrate on, something to test; and nothing on two sides."""
    present = {record.split for record in records}
    for split in ("train", "val", "test"):
        if split not in present:
            raise AdframeError(f"category {category} has no {split} images; found only {sorted(present)}")
    if any(record.label for record in records if record.split == "train"):
        raise AdframeError(f"category {category} has anomalous training images; train on normal ones only")
    if group := shared_group(records):
        sides = sorted({record.split for record in records if record.group == group})
        raise AdframeError(
            f"category {category} has pictures of one part, {group}, in {' and in '.join(sides)}"
        )


def fingerprint(records: Iterable[Record], *, root: Path) -> str:
    """SHA-256 over names and contents of all files; a PNG's size and last bytes hold a checksum."""
    digest = hashlib.sha256()
    for path in sorted({p for record in records for p in (record.path, *record.masks)}):
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 64) if path.suffix.lower() == ".png" else 0)
            digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode() + file.read())
    return digest.hexdigest()
