"""Selects the subsets and conditions that are reported separately from all images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from adframe.contracts import GOOD

# Their numbers would repeat those of all images.
_UNREPORTED = {GOOD, "anomaly"}
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """A part of the images that is reported by name: all of them, one subset, or one condition.

    A subset is compared with all good images; a condition has only its own images, good ones included.

    Attributes:
        subset: name of the subset; "" selects by condition, or all images.
        condition: name of the light condition; "" selects by subset, or all images.

    Example:
        >>> logical = ImageSelection(subset="logical")
        >>> logical.includes(subset="good", condition=""), logical.includes(subset="structural", condition="")
        (True, False)
        >>> logical.prefix_keys({"image/auroc": 0.9})
        {'logical/image/auroc': 0.9}
    """

    subset: str = ""
    condition: str = ""

    def includes(self, *, subset: str, condition: str) -> bool:
        """Tells whether an image belongs to this selection.

        Args:
            subset: subset of the image.
            condition: light condition of the image, "" where unknown.

        Returns:
            True if the image belongs to it.
        """
        if self.condition:
            return condition == self.condition
        return not self.subset or subset in (GOOD, self.subset)

    def prefix_keys(self, table: dict[str, Value]) -> dict[str, Value]:
        """Puts the name of this selection in front of every key.

        Args:
            table: values by metric name.

        Returns:
            The table with keys such as `logical/image/auroc`; unchanged keys if all images are selected.
        """
        name = self.subset or self.condition
        return {f"{name}/{key}" if name else key: value for key, value in table.items()}


def subset_selections(subsets: Iterable[str]) -> list[ImageSelection]:
    """Lists a selection for each subset that is reported by name (LOCO: logical, structural).

    Args:
        subsets: the subset of each image; repeats are allowed.

    Returns:
        Selections sorted by name.
    """
    return [ImageSelection(subset=name) for name in sorted(set(subsets) - _UNREPORTED)]


def condition_selections(conditions: Iterable[str]) -> list[ImageSelection]:
    """Lists a selection for each named condition (AD 2: the light in which a part was photographed).

    Args:
        conditions: the condition of each image; "" is left out.

    Returns:
        Selections sorted by name.
    """
    return [ImageSelection(condition=name) for name in sorted(set(conditions) - {""})]
