"""Looks at every file before any work: what is broken must stop a run at its start, not an hour in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from adframe.contracts import AdframeError, Record
from adframe.data.decode import read_size
from adframe.data.splits import shared_group

WHOLE = "whole:"  # begins a fingerprint of whole files; older ones read the ends of PNG files only
THREADS = 4


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
    """SHA-256 over names and whole contents of all files: two files that change places change it.

    A disk is read once; a file that has not been written since in this process is not read again.
    """
    paths = sorted({p for record in records for p in (record.path, *record.masks)})
    digest = hashlib.sha256()
    with ThreadPoolExecutor(max_workers=THREADS) as threads:  # hashing and reading release the lock
        for path, content in zip(paths, threads.map(_content, paths), strict=True):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"{WHOLE}{digest.hexdigest()}"


def _content(path: Path) -> str:
    found = path.stat()
    return _content_of(path, found.st_ino, found.st_size, found.st_mtime_ns)


@cache
def _content_of(path: Path, *state: int) -> str:
    """SHA-256 of a file in a state."""
    del state
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
