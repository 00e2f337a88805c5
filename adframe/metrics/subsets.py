"""Which subsets and conditions get numbers of their own beside those over all images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from adframe.contracts import GOOD

_UNREPORTED = {GOOD, "anomaly"}  # all images together say the same
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """A part of the images that is reported by name: all of them, a subset, or a condition.

    A subset is judged against all good images; a condition has its own images only, good ones too.
    """

    subset: str = ""
    condition: str = ""

    def includes(self, *, subset: str, condition: str) -> bool:
        """Whether an image counts here."""
        if self.condition:
            return condition == self.condition
        return not self.subset or subset in (GOOD, self.subset)

    def prefix_keys(self, table: dict[str, Value]) -> dict[str, Value]:
        """The table with this selection's name in front of every key; all images have none."""
        name = self.subset or self.condition
        return {f"{name}/{key}" if name else key: value for key, value in table.items()}


def subset_selections(subsets: Iterable[str]) -> list[ImageSelection]:
    """A selection for each subset that is reported by name (LOCO: logical, structural), sorted."""
    return [ImageSelection(subset=name) for name in sorted(set(subsets) - _UNREPORTED)]


def condition_selections(conditions: Iterable[str]) -> list[ImageSelection]:
    """A selection for each condition that has a name (AD 2: the lights a part was photographed in), sorted."""
    return [ImageSelection(condition=name) for name in sorted(set(conditions) - {""})]
