"""Validation is never test: where a dataset has no validation split, a share of train is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adframe.contracts import AdframeError, Record


def hold_out(records: Sequence[Record], *, share: float, seed: int) -> list[Record]:
    """Moves a share of the training groups to validation; leaves a dataset's own split alone.

    The draw depends on the seed and the category only, never on the order of the records, and
    pictures of one group stay together.

    Args:
        records: all records of one category.
        share: part of the training groups to hold out, in (0, 1).
        seed: draws the groups.

    Raises:
        AdframeError: fewer than two training groups, or a share outside (0, 1).
    """
    if has_validation(records):
        return list(records)
    if not 0 < share < 1:
        raise AdframeError(f"holdout={share} must lie between 0 and 1: it is the share of train held out")
    groups = sorted({record.group for record in records if record.split == "train"})
    category = records[0].category if records else "?"
    if len(groups) < 2:
        raise AdframeError(f"{category} has {len(groups)} training images; two are needed, to hold one out")
    held = _draw(groups, count=min(len(groups) - 1, max(1, round(share * len(groups)))), key=(category, seed))
    return [
        replace(record, split="val") if record.split == "train" and record.group in held else record
        for record in records
    ]


def has_validation(records: Sequence[Record]) -> bool:
    """Whether the dataset brings a validation split of its own."""
    return any(record.split == "val" for record in records)


def _draw(groups: Sequence[str], *, count: int, key: tuple[str, int]) -> set[str]:
    digest = hashlib.sha256(repr(key).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return {groups[i] for i in rng.permutation(len(groups))[:count]}
