"""`dataset=several`: categories of several datasets side by side, each read by its own dataset's reader."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Progress, Reading, Source
from adframe.errors import AdframeError


@dataclass(frozen=True, kw_only=True)
class Several(Source):
    """The categories of all members; each keeps its splits, masks and saturations.

    Args:
        members: the datasets, by any name.
        root: not read; it becomes the folder that holds all members' roots.
        bits: of all members; None leaves each its own. `max_megapixels` likewise.
    """

    name: str = "several"
    homepage: str = "each member's own"
    licence: str = "each member's own"
    tree: str = "what each member has"

    members: Mapping[str, Source] = field(default_factory=dict)
    max_megapixels: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.members:
            raise AdframeError(
                "dataset=several has no members; add each with +dataset@dataset.members.<name>=<dataset>"
            )
        for name, member in self.members.items():
            if member.preprocess != self.preprocess:
                raise AdframeError(
                    f"dataset.members.{name}.preprocess={member.preprocess}: all members see images alike; "
                    f"set it as dataset.preprocess instead of {self.preprocess}"
                )
        # Absolute, or what lies in different places would have no folder in common.
        found = {name: replace(each, root=Path(each.root).resolve()) for name, each in self.members.items()}
        object.__setattr__(self, "members", found)
        object.__setattr__(self, "root", Path(os.path.commonpath([each.root for each in found.values()])))

    @property
    def saturated(self) -> bool:
        """With one LOCO member overlaps are called AUC-sPRO, which is AU-PRO for all others."""
        return any(member.saturated for member in self.members.values())

    @property
    def book_name(self) -> str:
        """Members of one name and other images have other books."""
        return "_".join([self.name, *(member.book_name for member in self.members.values())])

    def prepare(self, wanted: str | Sequence[str], *, progress: Progress | None = None) -> None:
        """Each member fetches or draws what it can; nothing where none of its categories is wanted."""
        for member in self.members.values():
            known = member.found()
            asked = [wanted] if isinstance(wanted, str) else list(wanted)
            own = [name for name in asked if name in known]
            if wanted == "all" or not known or own:
                member.prepare("all" if wanted == "all" or not own else own, progress=progress)

    def found(self) -> list[str]:
        """The categories of all members, member by member."""
        found = [(category, name) for name, member in self.members.items() for category in member.found()]
        for place, (category, name) in enumerate(found):
            for other, before in found[:place]:
                if other == category:
                    raise AdframeError(
                        f"category {category} is in dataset.members.{before} and in dataset.members.{name}; "
                        "put one of them into a run of its own"
                    )
        return [category for category, _ in found]

    def scan(self, category: str) -> list[Record]:
        """The records of a category, from the member that has it."""
        return self._member(category).scan(category)

    def reading(self, category: str) -> Reading:
        """The member's own, where nothing is set for all."""
        own = self._member(category).reading(category)
        return Reading(
            bits=own.bits if self.bits is None else self.bits,
            max_megapixels=own.max_megapixels if self.max_megapixels is None else self.max_megapixels,
        )

    def good_masks(self, category: str) -> dict[Path, Path]:
        """As the member has them."""
        return self._member(category).good_masks(category)

    def notes(self, category: str) -> list[str]:
        """What the member says."""
        return self._member(category).notes(category)

    def _member(self, category: str) -> Source:
        return next(member for member in self.members.values() if category in member.found())

    def _missing(self, root: Path) -> str:
        del root
        parts = [member._missing(Path(member.root)) for member in self.members.values()]
        return f"no member of dataset=several has a category: {parts[0]}"
