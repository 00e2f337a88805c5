"""Validation is never test: how a dataset without a validation split of its own gets one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from adframe.contracts import Record
from adframe.errors import AdframeError


class Protocol:
    """A rule that says which groups of images go to which side.

    Pictures of one group never part. A draw depends on the category, the groups and the seed only,
    not on the order of the records.
    """

    gives_back: ClassVar[bool] = (
        False  # whether its validation normals may join the model once it is calibrated
    )

    @property
    def description(self) -> str:
        """The rule with its shares, as the split file has it."""
        raise NotImplementedError

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """The records of one category, with `split` set."""
        raise NotImplementedError


@dataclass(frozen=True)
class Holdout(Protocol):
    """Moves a share of the training images to validation.

    Args:
        share: part of the training groups to hold out, in (0, 1).

    Raises:
        AdframeError: a share outside (0, 1); on drawing, fewer than two training groups.
    """

    share: float = 0.2
    gives_back: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise AdframeError(
                f"holdout={self.share} must lie between 0 and 1: it is the share of train held out"
            )

    @property
    def description(self) -> str:
        """Names rule and share."""
        return f"holdout {self.share:g} of train"

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """Train loses the drawn groups to validation; test stays."""
        return _moved(records, _held_out(records, share=self.share, seed=seed))


@dataclass(frozen=True)
class MvtecShiftProtocol(Protocol):
    """The MVTec-Shift study's split: validation borrows anomalies from test, on purpose.

    Train is a share of the training images; validation is the rest of them together with a share of
    the anomalous test images, drawn type by type; what is left of test is tested.

    Args:
        train: share of the training groups that stay in train, in (0, 1).
        anomalies: share of each defect type's groups that go to validation, in (0, 1).
    """

    train: float = 0.8
    anomalies: float = 0.3

    def __post_init__(self) -> None:
        for name in ("train", "anomalies"):
            if not 0 < getattr(self, name) < 1:
                raise AdframeError(f"split.{name}={getattr(self, name)} must lie between 0 and 1")

    @property
    def description(self) -> str:
        """Names rule and shares."""
        return f"mvtec_shift_protocol {self.train:g} of train, {self.anomalies:g} of anomalies to validation"

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """Draws the training images, then every defect type by itself."""
        held = _held_out(records, share=1 - self.train, seed=seed)
        anomalous = [r for r in records if r.split == "test" and r.label == 1]
        for defect in sorted({record.defect for record in anomalous}):
            groups = {record.unit for record in anomalous if record.defect == defect}
            count = min(len(groups) - 1, round(self.anomalies * len(groups)))
            held |= _draw(groups, count=count, key=(records[0].category, defect, seed))
        return _moved(records, held)


def has_validation(records: Iterable[Record]) -> bool:
    """Whether the dataset brings a validation split of its own."""
    return any(record.split == "val" for record in records)


def shared_group(records: Iterable[Record]) -> str | None:
    """A group of which pictures lie on two sides; None where there is none."""
    side: dict[str, str] = {}
    for record in records:
        if record.group and side.setdefault(record.group, record.split) != record.split:
            return record.group
    return None


def borrowed(before: Sequence[Record], after: Sequence[Record]) -> int:
    """How many images validation took from the dataset's test split."""
    return sum((a.split, b.split) == ("test", "val") for a, b in zip(before, after, strict=True))


def _held_out(records: Sequence[Record], *, share: float, seed: int) -> set[str]:
    groups = {record.unit for record in records if record.split == "train"}
    category = records[0].category if records else "?"
    if len(groups) < 2:
        raise AdframeError(f"{category} has {len(groups)} training images; two are needed, to hold one out")
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    return _draw(groups, count=count, key=(category, seed))


def _moved(records: Sequence[Record], held: set[str]) -> list[Record]:
    return [replace(record, split="val") if record.unit in held else record for record in records]


def _draw(groups: Iterable[str], *, count: int, key: tuple[str | int, ...]) -> set[str]:
    ordered = sorted(groups)
    digest = hashlib.sha256(repr(key).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return {ordered[i] for i in rng.permutation(len(ordered))[:count]}
