"""What every dataset offers, and the error that helps where its files are not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import AdframeError, Record
from adframe.ops.names import unknown

MARKER = "train/good"  # every layout read here has it below a category
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


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
    """

    name: str
    root: Path
    homepage: str
    licence: str
    tree: str

    @property
    def saturated(self) -> bool:
        """Whether ground truth comes in channels that saturate (sPRO), not as components (AU-PRO)."""
        return False

    def prepare(self) -> None:
        """Make the data where it can be made; datasets that only read do nothing."""

    def scan(self, category: str) -> list[Record]:
        """All records of one category, every split, in a fixed order."""
        raise NotImplementedError

    def categories(self) -> list[str]:
        """The categories found on disk, sorted; an error that helps where there are none."""
        root = Path(self.root)
        folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
        found = [p.name for p in folders if (p / MARKER).is_dir()]
        if not found:
            raise AdframeError(self._missing(root, folders))
        return found

    def choose(self, wanted: str | Sequence[str]) -> list[str]:
        """Turns `category=` (`all`, one name or several) into names that exist."""
        known = self.categories()
        names = known if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in known:
                raise AdframeError(unknown("category", str(name), known, where=f"in {self.root}"))
        return names

    def _missing(self, root: Path, folders: Sequence[Path]) -> str:
        state = (
            "is not there" if not root.is_dir() else f"has another layout ({len(folders)} folders, none fits)"
        )
        state = "is empty" if root.is_dir() and not any(root.iterdir()) else state
        return (
            f"dataset={self.name}: the folder {root.resolve()} {state}; it should hold {self.tree}; "
            f"get the data from {self.homepage} ({self.licence}), or point elsewhere with "
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
