"""`dataset=several`: categories of several datasets, each read by the class of its own dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import ProgressCallback, ReadOptions, Source
from adframe.errors import AdframeError


@dataclass(frozen=True, kw_only=True)
class Several(Source):
    """The categories of all members; each keeps its splits, masks and saturations.

    Args:
        members: the datasets, under any names.
        root: ignored; it becomes the folder that holds the roots of all members.
        bits: of all members; None keeps the value of each member.
        max_megapixels: of all members; None keeps the value of each member.

    Raises:
        AdframeError: if there are no members, or their `preprocess` differs.

    Example:
        >>> from adframe.data.mvtec_ad import MvtecAd
        >>> for name in ("a/bottle", "b/cable"):
        ...     Path(name, "train/good").mkdir(parents=True)
        >>> several = Several(root="", members={"one": MvtecAd(root="a"), "two": MvtecAd(root="b")})
        >>> several.categories()
        ['bottle', 'cable']
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
                    f"dataset.members.{name}.preprocess={member.preprocess} differs from dataset.preprocess="
                    f"{self.preprocess}; all members need the same, so set only dataset.preprocess"
                )
        # Relative and absolute roots have no folder in common, so all of them become absolute.
        found = {name: replace(each, root=Path(each.root).resolve()) for name, each in self.members.items()}
        object.__setattr__(self, "members", found)
        object.__setattr__(self, "root", Path(os.path.commonpath([each.root for each in found.values()])))

    @property
    def saturated(self) -> bool:
        """True with one LOCO member: AUC-sPRO equals AU-PRO for the others."""
        return any(member.saturated for member in self.members.values())

    @property
    def split_origin(self) -> str:
        """The origins of the splits of all members."""
        return "; ".join(dict.fromkeys(member.split_origin for member in self.members.values()))

    @property
    def split_file_prefix(self) -> str:
        """The prefixes of all members: members with the same name and other images need other split files."""
        return "_".join([self.name, *(member.split_file_prefix for member in self.members.values())])

    def prepare(self, wanted: str | Sequence[str], *, progress: ProgressCallback | None = None) -> None:
        """Lets each member download or draw its categories, unless none of them is wanted.

        Args:
            wanted: `all`, one category or several.
            progress: called with the current step, the amount done and the total amount.
        """
        for member in self.members.values():
            known = member.found()
            asked = [wanted] if isinstance(wanted, str) else list(wanted)
            own = [name for name in asked if name in known]
            if wanted == "all" or not known or own:
                member.prepare("all" if wanted == "all" or not own else own, progress=progress)

    def found(self) -> list[str]:
        """Lists the categories of all members, member by member.

        Raises:
            AdframeError: if two members have a category of the same name.
        """
        found = [(category, name) for name, member in self.members.items() for category in member.found()]
        for place, (category, name) in enumerate(found):
            for other, before in found[:place]:
                if other == category:
                    raise AdframeError(
                        f"category {category} is in dataset.members.{before} and in dataset.members.{name}; "
                        "use one of them in a separate run"
                    )
        return [category for category, _ in found]

    def scan(self, category: str) -> list[Record]:
        """Lists the images of a category of the member that has it."""
        return self._member(category).scan(category)

    def read_options(self, category: str) -> ReadOptions:
        """Returns the options of the member, except those that are set for all members."""
        own = self._member(category).read_options(category)
        return ReadOptions(
            bits=own.bits if self.bits is None else self.bits,
            max_megapixels=own.max_megapixels if self.max_megapixels is None else self.max_megapixels,
        )

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks of normal images as the member does."""
        return self._member(category).good_masks(category)

    def notes(self, category: str) -> list[str]:
        """Returns the notes of the member."""
        return self._member(category).notes(category)

    def _member(self, category: str) -> Source:
        return next(member for member in self.members.values() if category in member.found())

    def _missing(self, root: Path) -> str:
        del root
        parts = [member._missing(Path(member.root)) for member in self.members.values()]
        return f"no member of dataset=several has a category: {parts[0]}"
