"""Looks at every file before any work: what is broken must stop a run at its start, not an hour in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.consistency import also_in_train, check_shared, doubtful_masks
from adframe.data.depth import with_bits
from adframe.data.listing import few
from adframe.data.masks import ADVICE, MASK_KINDS
from adframe.data.splits import shared_group
from adframe.errors import AdframeError
from adframe.io.image_files import check_kind
from adframe.io.images import Header, read_header

WHOLE = "whole:"  # begins a fingerprint of whole files; older ones read the ends of PNG files only
THREADS = 4


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a category's files once all of them are looked at."""

    records: list[Record]  # with the bits of their samples
    sizes: set[tuple[int, int]]  # (H, W) that images have
    warnings: list[str]  # what a report should say of them


def examine(
    source: Source, category: str, records: Sequence[Record], *, training: Collection[Path]
) -> Examined:
    """Everything that can be wrong with the files of a category, and what is doubtful about them.

    Args:
        source: the dataset.
        category: one of its categories.
        records: its images that are used.
        training: the images by which the bits of a camera are recognised.

    Raises:
        AdframeError: one line that names the file.
    """
    reading, folder = source.reading(category), Path(source.root) / category
    root = folder if folder.is_dir() else Path(source.root)
    headers, turned = check_files(records, max_megapixels=reading.max_megapixels)
    found, notes = with_bits(records, training=training, bits=reading.bits)
    sizes = {path: header.size for path, header in headers.items()}
    if turned:
        notes.append(
            f"{category}: masks that follow the stored pixels, not the picture as EXIF turns it, are turned "
            f"with their images: {len(turned)} ({few(turned, root=root)})"
        )
    good = {image: mask for image, mask in source.good_masks(category).items() if image in sizes}
    notes += doubtful_masks(records, sizes=sizes, good=good, root=root)
    notes += also_in_train(records, root=root) + source.notes(category)
    return Examined(found, set(sizes.values()), notes)


def check_files(
    records: Iterable[Record], *, max_megapixels: float | None = None
) -> tuple[dict[Path, Header], list[Path]]:
    """Every image whole and of a readable kind, every mask as large as its image and of one image only.

    Args:
        records: whose files.
        max_megapixels: images with more pixels are refused.

    Returns:
        Every image's header, and the masks whose size is that of the stored pixels of an image which EXIF
        turns.
    """
    headers, turned, checked = {}, [], list(records)
    check_shared(checked)
    for record in checked:
        header = headers[record.path] = read_header(record.path, max_megapixels=max_megapixels)
        check_kind(record.path, header.kind)
        for mask in record.masks:
            found = read_header(mask, max_megapixels=max_megapixels)
            check_kind(mask, found.kind, known=MASK_KINDS, advice=ADVICE)
            _check_size(mask, found.size, record.path, header)
            if found.size != header.size:
                turned.append(mask)
    return headers, turned


def _check_size(mask: Path, size: tuple[int, int], path: Path, image: Header) -> None:
    if size not in (image.size, image.stored):
        raise AdframeError(
            f"mask {mask} is {size[0]}x{size[1]} (height x width) but its image {path} is "
            f"{image.size[0]}x{image.size[1]}; masks must have their image's size"
        )


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
