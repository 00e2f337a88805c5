"""Checks every file before any work, so that a broken file stops a run at its start, not an hour later."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.consistency import also_in_train, check_shared, doubtful_masks
from adframe.data.depth import with_bits
from adframe.data.listing import first_names, relative_name
from adframe.data.masks import MASK_ADVICE, MASK_KINDS
from adframe.data.splits import shared_group
from adframe.errors import AdframeError
from adframe.io.image_files import check_kind
from adframe.io.images import Header, read_header

# Begins a fingerprint of whole files; older runs hashed only the ends of PNG files.
FINGERPRINT_PREFIX = "whole:"
HASH_THREADS = 4


def examine(
    source: Source, category: str, records: Sequence[Record], *, training: Collection[Path]
) -> tuple[list[Record], set[tuple[int, int]], list[str]]:
    """Checks all files of a category, and collects doubts about them.

    Args:
        source: the dataset.
        category: one of its categories.
        records: the images of the category that are used.
        training: paths of the images by which the bits of a camera are recognised.

    Returns:
        The records with the bits of their samples, the (H, W) of all images, and lines for the report.

    Raises:
        AdframeError: if a file is broken; the message names it.
    """
    options, folder = source.read_options(category), Path(source.root) / category
    root = folder if folder.is_dir() else Path(source.root)
    headers, turned = check_files(records, max_megapixels=options.max_megapixels)
    found, notes = with_bits(records, training=training, bits=options.bits)
    sizes = {path: header.size for path, header in headers.items()}
    if turned:
        notes.append(
            f"{category}: masks in the orientation of the stored pixels are turned with their images, as "
            f"EXIF says: {len(turned)} ({first_names(turned, root=root)})"
        )
    good = {image: mask for image, mask in source.good_masks(category).items() if image in sizes}
    notes += doubtful_masks(records, sizes=sizes, good=good, root=root)
    notes += also_in_train(records, root=root) + source.notes(category)
    return found, set(sizes.values()), notes


def check_files(
    records: Iterable[Record], *, max_megapixels: float | None = None
) -> tuple[dict[Path, Header], list[Path]]:
    """Checks that images are complete and readable, and that masks have the size of their only image.

    Args:
        records: the images to check.
        max_megapixels: images with more than this many million pixels are refused; None refuses none.

    Returns:
        The header of every image, and the masks whose size is that of the stored pixels of an image that
        EXIF turns.

    Raises:
        AdframeError: if a file is broken; the message names it.
    """
    headers, turned, checked = {}, [], list(records)
    check_shared(checked)
    for record in checked:
        header = headers[record.path] = read_header(record.path, max_megapixels=max_megapixels)
        check_kind(record.path, header.kind)
        for mask in record.masks:
            found = read_header(mask, max_megapixels=max_megapixels)
            check_kind(mask, found.kind, known=MASK_KINDS, advice=MASK_ADVICE)
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
    """Checks that a category has training, validation and test images, and no group in two splits.

    Args:
        records: of one category.
        category: its name.

    Raises:
        AdframeError: if a split is empty, training images are anomalous, or a group is in two splits.
    """
    present = {record.split for record in records}
    for split in ("train", "val", "test"):
        if split not in present:
            raise AdframeError(f"category {category} has no {split} images; found only {sorted(present)}")
    if any(record.label for record in records if record.split == "train"):
        raise AdframeError(f"category {category} has anomalous training images; train on normal ones only")
    if group := shared_group(records):
        sides = sorted({record.split for record in records if record.group == group})
        raise AdframeError(
            f"category {category} has images of one part, {group}, in {' and in '.join(sides)}"
        )


def fingerprint(records: Iterable[Record], *, root: Path) -> str:
    """Computes SHA-256 over the names and the content of all files.

    Swapping two files changes it. Files are read once per process, and again only if they were written since.

    Args:
        records: the images; their masks belong to the fingerprint.
        root: names are relative to it.

    Returns:
        A prefix that identifies the method, followed by 64 hexadecimal digits.
    """
    paths = sorted({p for record in records for p in (record.path, *record.masks)})
    digest = hashlib.sha256()
    # Threads are enough, because hashing and reading release Python's global lock.
    with ThreadPoolExecutor(max_workers=HASH_THREADS) as threads:
        for path, content in zip(paths, threads.map(_content, paths), strict=True):
            name = relative_name(path, root)  # images that were added to a dataset may lie anywhere
            # A file name may have bytes that are not UTF-8; they are hashed as they are.
            digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"{FINGERPRINT_PREFIX}{digest.hexdigest()}"


def _content(path: Path) -> str:
    found = path.stat()
    return _content_of(path, found.st_ino, found.st_size, found.st_mtime_ns)


@cache
def _content_of(path: Path, *state: int) -> str:
    """Returns the SHA-256 of a file; the state is part of the cache's key."""
    del state
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
