"""What every dataset offers, and the error that helps where its files are not there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import AdframeError, Record
from adframe.data.download import Archive, fetch
from adframe.ops.names import unknown
from adframe.ops.preprocess import PREPROCESSES

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

RESERVED = ("all", "mean")  # what a category may not be called: a choice, and a row of every table
Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset on disk: a folder, its official layout, and where it comes from.

    A dataset is one subclass with `scan`, and one yaml in `conf/dataset/`.

    Args:
        name: what the user types after `dataset=`.
        root: the folder that holds one folder a category.
        homepage: where a person gets the data.
        licence: under which terms.
        tree: what must lie under `root`, as one line, for the error that helps.
        marker: the folder below a category that tells this layout.
        archives: what `download` fetches.
        download: fetch the archives where no category is found.
        check_counts: warn where the number of images is not the official set's.
        preprocess: what is done to every image at its native resolution, after a domain shift:
            `none`, `grey_world`, `max_rgb` or `homomorphic`.
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

    def __post_init__(self) -> None:
        if self.preprocess not in PREPROCESSES:
            raise AdframeError(unknown("dataset.preprocess", self.preprocess, PREPROCESSES))

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

    def found(self) -> list[str]:
        """The categories that are there, sorted."""
        root = Path(self.root)
        folders = sorted(root.iterdir()) if root.is_dir() else []
        return [folder.name for folder in folders if (folder / self.marker).is_dir()]

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


def images_in(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name; [] where it is not there."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def existing_mask(path: Path, *, image: Path) -> Path:
    """The mask's path, or an error that names the image and the path that was expected."""
    if not path.is_file():
        raise AdframeError(f"no ground-truth mask for {image}: expected {path}; add it or remove the image")
    return path
