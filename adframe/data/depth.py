"""Recognises how many bits of a 16-bit sample a camera used.

A camera of 10 or 12 bits often writes them into the lower bits of 16. Read as 16 bits, such an image is
nearly black.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from adframe.contracts import Record
from adframe.io.images import is_unmarked, read_deep_samples, too_bright_error

# Values that use 13 bits or more may come from 14 or from 16 bits, so these two cannot be told apart.
_RECOGNISED = (8, 10, 12)


def with_bits(
    records: Sequence[Record], *, training: Collection[Path], bits: int | None
) -> tuple[list[Record], list[str]]:
    """Sets the number of bits that the 16-bit samples of a category use.

    Args:
        records: of one category.
        training: paths of the images that decide: the smallest of 8, 10, 12 and 16 bits that holds
            all their values is taken. If none of them has 16-bit samples, all images that have them decide.
        bits: given by the user, then nothing is recognised; None recognises it.

    Returns:
        The records with `bits` set, and lines for the report.

    Raises:
        AdframeError: if an image has a value that does not fit into this number of bits.
    """
    deep = [record.path for record in records if is_unmarked(record.path)]
    if not deep:
        return list(records), []
    maximum = {path: int(read_deep_samples(path).max()) for path in deep}
    deciding = [path for path in deep if path in training] or deep
    highest = max(maximum[path] for path in deciding)
    chosen = next(b for b in (*_RECOGNISED, 16) if highest < 2**b) if bits is None else bits
    for path, value in maximum.items():
        if value >= 2**chosen:
            raise too_bright_error(path, value, chosen)
    changed = set(deep)
    found = [replace(r, bits=chosen) if r.path in changed else r for r in records]
    if bits is not None:
        return found, []
    whose = "training image" if deciding[0] in training else "image"
    counted = f"images with 16-bit samples: {len(deep)}"
    line = f"{records[0].category}: {counted}; no {whose} has a value above {highest}"
    if chosen < 16:
        line += f", so they are read as {chosen} bits (dataset.bits=16 reads values as they are)"
        return found, [line]
    if highest < 2**14:
        return found, [f"{line}; if the camera gives 14 bits, set dataset.bits=14"]
    return found, []
