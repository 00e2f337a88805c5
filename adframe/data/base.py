"""What every dataset offers, and the error that helps where its files are not there."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.download import Archive, fetch
from adframe.data.listing import folders_in, skipped
from adframe.errors import AdframeError, unknown
from adframe.transforms.preprocess import PREPROCESSES

BITS = (8, 10, 12, 14, 16)  # that a camera gives a sample
RESERVED = ("all", "mean")  # what a category may not be called: a choice, and a row of every table
Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read: `Source.bits` and `Source.max_megapixels`."""

    bits: int | None = None
    max_megapixels: float | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset on disk: a folder, its official layout, and where it comes from.

    A dataset is one subclass with `scan`, and one yaml in `conf/dataset/`.

    Args:
        name: what the user types after `dataset=`.
        root: the folder that holds one folder per category.
        homepage: where a person gets the data.
        licence: under which terms.
        tree: what must lie under `root`, as one line, for the error that helps.
        marker: the folder below a category that tells this layout.
        archives: what `download` fetches.
        download: fetch the archives where no category is found.
        check_counts: warn where the number of images is not the official set's.
        preprocess: what is done to every image at its native resolution, after a domain shift:
            `none`, `grey_world`, `max_rgb` or `homomorphic`.
        bits: how many bits a sample of images with 16-bit samples uses: 8, 10, 12, 14 or 16; None
            recognises it from the training images.
        max_megapixels: images with more pixels are refused; None refuses none.
    """

    name: str
    root: Path
    homepage: str
    licence: str
    tree: str
    marker: str = "train/good"
    archives: Sequence[Archive] = ()
    download: bool = False
    check_counts: bool = False
    preprocess: str = "none"
    bits: int | None = None
    max_megapixels: float | None = 300

    def __post_init__(self) -> None:
        if self.preprocess not in PREPROCESSES:
            raise AdframeError(unknown("dataset.preprocess", self.preprocess, PREPROCESSES))
        if self.bits is not None and (self.bits not in BITS or not isinstance(self.bits, int)):
            raise AdframeError(f"dataset.bits={self.bits} must be null or one of {', '.join(map(str, BITS))}")
        limit = self.max_megapixels
        if limit is not None and (isinstance(limit, bool | str) or not 0 < limit < math.inf):
            raise AdframeError(f"dataset.max_megapixels={limit} must be null or a number above 0")

    @property
    def saturated(self) -> bool:
        """Whether ground truth comes in channels that saturate (sPRO), not as components (AU-PRO)."""
        return False

    @property
    def book_name(self) -> str:
        """First part of the names of its split files; differs where other images lie under one name."""
        return self.name

    def prepare(self, wanted: str | Sequence[str], *, progress: Progress | None = None) -> None:
        """Fetches or makes what is missing of the wanted categories; most datasets only download.

        Args:
            wanted: `all`, one name or several.
            progress: told what is being done, how far it is, and of how much.
        """
        del wanted
        if self.download and not self.found():
            fetch(
                self.archives,
                root=Path(self.root),
                name=self.name,
                licence=self.licence,
                homepage=self.homepage,
                say=logging.getLogger(__name__).warning,
                progress=progress,
            )

    def scan(self, category: str) -> list[Record]:
        """All records of one category, every split, in a fixed order."""
        raise NotImplementedError

    def reading(self, category: str) -> Reading:
        """How the files of a category are read."""
        del category
        return Reading(bits=self.bits, max_megapixels=self.max_megapixels)

    def places(self, category: str) -> list[Path]:
        """The folders that `scan` reads, or would read, each without what lies below it."""
        del category
        return []

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Masks that lie beside those of defects for images that are good: image to mask."""
        del category
        return {}

    def notes(self, category: str) -> list[str]:
        """What a report should say of the folders: files in them that are not read."""
        left = skipped(self.places(category), root=Path(self.root) / category)
        return [f"{category}: files that are not read: {left}"] if left else []

    def found(self) -> list[str]:
        """The categories that are there, sorted."""
        return [folder.name for folder in folders_in(Path(self.root)) if (folder / self.marker).is_dir()]

    def categories(self) -> list[str]:
        """The categories that are there; an error that helps where there are none."""
        if not (found := self.found()):
            raise AdframeError(self._missing(Path(self.root)))
        return found

    def choose(self, wanted: str | Sequence[str]) -> list[str]:
        """Turns `category=` (`all`, one name or several) into names that exist."""
        known = self.categories()
        names = known if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if any("\udc80" <= letter <= "\udcff" for letter in str(name)):  # bytes that are no UTF-8
                raise AdframeError(
                    f"category {name!r} in {self.root} has a name that is not UTF-8; rename it"
                )
            if name in known and name in RESERVED:
                raise AdframeError(f"category {name!r} in {self.root} has a name that tables use; rename it")
            if name not in known:
                raise AdframeError(unknown("category", str(name), known, where=f"in {self.root}"))
        return names

    def _missing(self, root: Path) -> str:
        there = list(root.iterdir()) if root.is_dir() else []
        state = "has another layout" if there else "is empty" if root.is_dir() else "is not there"
        fetched = ", let dataset.download=true fetch it" if self.archives else ""
        return (
            f"dataset={self.name}: the folder {root.resolve()} {state}; it should hold {self.tree}; "
            f"get the data from {self.homepage} ({self.licence}){fetched}, or point elsewhere with "
            "dataset.root=<folder>"
        )
