"""How many bits a camera gave where a file stores 16 of them for each sample.

A camera of 10 or 12 bits often writes them into the lower bits of 16. Read as 16 bits, such a picture is
nearly black.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from adframe.contracts import Record
from adframe.io.images import is_unmarked, read_samples, too_bright

_KNOWN = (8, 10, 12)  # recognised; where values use 13 bits or more nobody knows whether it was 14 or 16


def with_bits(
    records: Sequence[Record], *, training: Collection[Path], bits: int | None
) -> tuple[list[Record], list[str]]:
    """The records with the number of bits that their samples use, and what a report should say of it.

    Args:
        records: of one category.
        training: the images by which it is recognised: the fewest of 8, 10, 12 and 16 bits that hold
            all their values. Where none of them has 16-bit samples, all images that have them.
        bits: given by the user; nothing is recognised then.

    Raises:
        AdframeError: an image has a value that so many bits cannot hold; which one.
    """
    deep = [record.path for record in records if is_unmarked(record.path)]
    if not deep:
        return list(records), []
    most = {path: int(read_samples(path).max()) for path in deep}
    known = [path for path in deep if path in training] or deep
    highest = max(most[path] for path in known)
    chosen = next(b for b in (*_KNOWN, 16) if highest < 2**b) if bits is None else bits
    for path, value in most.items():
        if value >= 2**chosen:
            raise too_bright(path, value, chosen)
    changed = set(deep)
    found = [replace(r, bits=chosen) if r.path in changed else r for r in records]
    if bits is not None:
        return found, []
    whose = "training image" if known[0] in training else "image"
    counted = f"images with 16-bit samples: {len(deep)}"
    line = f"{records[0].category}: {counted}; no {whose} has a value above {highest}"
    return found, _noted(line, chosen, highest)


def _noted(line: str, bits: int, highest: int) -> list[str]:
    """What is worth saying of what was recognised."""
    if bits < 16:
        return [f"{line}, so they are read as {bits} bits (dataset.bits=16 reads values as they are)"]
    if highest < 2**14:
        return [f"{line}; if the camera gives 14 bits, set dataset.bits=14"]
    return []
