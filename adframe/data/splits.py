"""Protocols that draw a validation split where a dataset has none, without changing test by default."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from adframe.contracts import Record
from adframe.errors import AdframeError


class Protocol:
    """Decides which groups of images go to which split.

    Images of one group always stay together. A draw depends on the category, the groups and the seed only,
    not on the order of the records.

    Attributes:
        refits_on_validation: whether its normal validation images may join the model after calibration.

    Example:
        >>> class NoSplit(Protocol):
        ...     description = "no split"
        ...     def draw(self, records, *, seed):
        ...         return list(records)
        >>> NoSplit().draw([], seed=0)
        []
    """

    refits_on_validation: ClassVar[bool] = False

    @property
    def description(self) -> str:
        """The rule with its shares, under which the split file stores it."""
        raise NotImplementedError

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """Assigns the images of one category to splits.

        Args:
            records: of one category, with the splits of the dataset.
            seed: seed of the draw.

        Returns:
            The records in the same order, with `split` set.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Holdout(Protocol):
    """Moves a share of the training images to validation.

    Args:
        share: share of the training groups to hold out, in (0, 1).

    Raises:
        AdframeError: if the share is outside (0, 1); on drawing, if there are fewer than two training groups.

    Example:
        >>> from pathlib import Path
        >>> records = [Record(path=Path(f"{n}.png"), category="c", split="train") for n in range(10)]
        >>> [record.split for record in Holdout(0.3).draw(records, seed=0)].count("val")
        3
    """

    share: float = 0.2
    refits_on_validation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise AdframeError(
                f"holdout={self.share} must lie between 0 and 1: it is the share of train held out"
            )

    @property
    def description(self) -> str:
        """The name of the rule and its share."""
        return f"holdout {self.share:g} of train"

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """Moves the drawn training groups to validation; test stays as it is."""
        return _move_to_validation(records, _held_out(records, share=self.share, seed=seed))


@dataclass(frozen=True)
class MvtecShiftProtocol(Protocol):
    """The split of the MVTec-Shift study: validation takes anomalies from test, on purpose.

    Train is a share of the training images; validation is the rest of them together with a share of
    the anomalous test images, drawn per defect type; the remaining test images are tested.

    Args:
        train: share of the training groups that stay in train, in (0, 1).
        anomalies: share of the groups of each defect type that go to validation, in (0, 1).

    Raises:
        AdframeError: if a share is outside (0, 1).

    Example:
        >>> MvtecShiftProtocol(train=0.8, anomalies=0.3).description
        'mvtec_shift_protocol 0.8 of train, 0.3 of anomalies to validation'
    """

    train: float = 0.8
    anomalies: float = 0.3

    def __post_init__(self) -> None:
        for name in ("train", "anomalies"):
            if not 0 < getattr(self, name) < 1:
                raise AdframeError(f"split.{name}={getattr(self, name)} must lie between 0 and 1")

    @property
    def description(self) -> str:
        """The name of the rule and its shares."""
        return f"mvtec_shift_protocol {self.train:g} of train, {self.anomalies:g} of anomalies to validation"

    def draw(self, records: Sequence[Record], *, seed: int) -> list[Record]:
        """Draws the training images, then each defect type separately."""
        held = _held_out(records, share=1 - self.train, seed=seed)
        anomalous = [r for r in records if r.split == "test" and r.label == 1]
        for defect in sorted({record.defect for record in anomalous}):
            groups = {record.unit for record in anomalous if record.defect == defect}
            # At least one group of each defect type stays in test, so that the type can be evaluated.
            count = min(len(groups) - 1, round(self.anomalies * len(groups)))
            held |= draw_groups(groups, count=count, key=(records[0].category, defect, seed))
        return _move_to_validation(records, held)


def has_validation(records: Iterable[Record]) -> bool:
    """Tells whether a dataset has a validation split of its own.

    Args:
        records: of one category.
    """
    return any(record.split == "val" for record in records)


def shared_group(records: Iterable[Record]) -> str | None:
    """Finds a group whose images are in two splits.

    Args:
        records: of one category.

    Returns:
        The name of the first such group; None if there is none.
    """
    side: dict[str, str] = {}
    for record in records:
        if record.group and side.setdefault(record.group, record.split) != record.split:
            return record.group
    return None


def count_borrowed(before: Sequence[Record], after: Sequence[Record]) -> int:
    """Counts the images that validation took from the test split of the dataset.

    Args:
        before: the records with the splits of the dataset.
        after: the same records, in the same order, with the drawn splits.
    """
    return sum((a.split, b.split) == ("test", "val") for a, b in zip(before, after, strict=True))


def _held_out(records: Sequence[Record], *, share: float, seed: int) -> set[str]:
    groups = {record.unit for record in records if record.split == "train"}
    category = records[0].category if records else "?"
    if len(groups) < 2:
        raise AdframeError(f"{category} has {len(groups)} training images; two are needed to hold one out")
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    return draw_groups(groups, count=count, key=(category, seed))


def _move_to_validation(records: Sequence[Record], held: set[str]) -> list[Record]:
    return [replace(record, split="val") if record.unit in held else record for record in records]


def draw_groups(groups: Iterable[str], *, count: int, key: tuple[str | int, ...]) -> set[str]:
    """Draws some of the groups.

    Args:
        groups: names.
        count: number of groups to draw; a smaller number draws a part of what a larger one draws.
        key: the draw depends on nothing but this and the names.

    Returns:
        The names of the drawn groups.
    """
    # Sorted groups and a hash of the key make the draw independent of the order in which files are found.
    ordered = sorted(groups)
    digest = hashlib.sha256(repr(key).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return {ordered[i] for i in rng.permutation(len(ordered))[:count]}
