"""Which files of a folder are images: by suffix, without what other programs hide among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path

from adframe.errors import AdframeError

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".tga",
    ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
)  # fmt: skip
# Beside names that begin with a dot: what file managers and archivers leave behind.
_HIDDEN = {"@eadir", "thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}
_SHOWN = 6  # folders that a line names


def is_hidden(path: Path) -> bool:
    """Whether a file or a folder is no data of the user's own."""
    return path.name.startswith(".") or path.name.lower() in _HIDDEN


def is_image(path: Path) -> bool:
    """Whether a name is that of an image, in lower or upper case."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def entries(folder: Path) -> list[Path]:
    """All that lies directly in a folder and is not hidden, sorted by name; [] where it is not there.

    Raises:
        AdframeError: a link to an image or to a folder leads nowhere.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if not is_hidden(path))
    for path in found:
        if path.is_symlink() and not path.exists() and (is_image(path) or not path.suffix):
            raise AdframeError(f"the link {path} leads nowhere; correct it or remove it")
    return found


def images_in(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name; [] where it is not there."""
    return [path for path in entries(folder) if is_image(path) and path.is_file()]


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in a folder, links to folders too, sorted by name."""
    return [path for path in entries(folder) if path.is_dir()]


@dataclass
class Tree:
    """All that lies below a folder, at any depth."""

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # files that are no images
    again: list[Path] = field(default_factory=list)  # links to a folder that was entered, or to one above


def walk(folder: Path) -> Tree:
    """Reads a tree of folders and follows links, into each real folder once and never to one above.

    A folder that can be reached without a link is read there, so its images keep their own names.

    Raises:
        AdframeError: as `entries`.
    """
    tree, seen = Tree(), set[Path]()
    pending = [folder]
    links: list[Path] = []
    while pending or links:
        place = pending.pop(0) if pending else links.pop(0)
        real = place.resolve()
        leads_back = place.is_symlink() and place.parent.resolve().is_relative_to(real)
        if real in seen or (leads_back and place != folder):
            tree.again.append(place)
            continue
        seen.add(real)
        for path in entries(place):
            if path.is_dir():
                (links if path.is_symlink() else pending).append(path)
            else:
                (tree.images if is_image(path) else tree.others).append(path)
    tree.images.sort()
    return tree


def below(root: Path, pattern: str) -> Tree:
    """The tree of a folder below `root`, of a file, or of all that a glob names; links are followed.

    Raises:
        ValueError: the pattern is absolute, leads upwards, or has `**` within a name.
        AdframeError: as `entries`.
    """
    parts = Path(pattern).parts
    if Path(pattern).is_absolute() or ".." in parts:
        raise ValueError("it must lie below dataset.root")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("** stands for whole folders, so it is a part of its own")
    fixed = list(takewhile(lambda part: not set(part) & set("*?["), parts))
    place, rest = root.joinpath(*fixed), parts[len(fixed) :]
    if place.is_file():
        return Tree(images=[place] if is_image(place) else [])
    tree = walk(place) if place.is_dir() else Tree()

    def named(path: Path) -> bool:
        """By itself, or by a folder above it."""
        own = path.relative_to(place).parts
        return any(_matches(own[:depth], rest) for depth in range(len(own) + 1))

    return Tree([p for p in tree.images if named(p)], [p for p in tree.others if named(p)], tree.again)


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


class Masks:
    """The masks in a folder, found by the name of their image; its listing is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, list[Path]] = {}
        for path in images_in(folder):
            self._found.setdefault(path.stem, []).append(path)

    def get(self, *names: str) -> Path | None:
        """The mask with the first of these names (without suffix) that is there.

        Raises:
            AdframeError: files that differ in their suffix only; nobody knows which is right.
        """
        for name in names:
            found = self._found.get(name, [])
            if len(found) > 1:
                raise AdframeError(f"{found[0]} and {found[1].name} are two masks for one image; remove one")
            if found:
                return found[0]
        return None

    def beside(self, images: Iterable[Path], *endings: str) -> dict[Path, Path]:
        """The masks of those images that have one here, under the image's name and the first ending."""
        found = {path: self.get(*(path.stem + ending for ending in endings)) for path in images}
        return {image: mask for image, mask in found.items() if mask is not None}

    def of(self, image: Path, *names: str) -> Path:
        """The same, or an error that names the image and the path that was expected."""
        if (mask := self.get(*names)) is None:
            expected = self.folder / f"{names[0]}.png"
            raise AdframeError(
                f"no ground-truth mask for {image}: expected {expected}; add it or remove the image"
            )
        return mask


def existing_mask(path: Path, *, image: Path) -> Path:
    """The mask at a path, or the one beside it under the same name with another suffix; else an error."""
    return path if path.is_file() else Masks(path.parent).of(image, path.stem)


def skipped(places: Sequence[Path], *, root: Path) -> str:
    """What is not read in folders of a dataset, counted by folder and suffix; "" where nothing is left out.

    Args:
        places: the folders that are read, each without what lies below it. Where a folder only holds
            other folders, it is one of them too: what lies directly in it is left out.
        root: what the folders are named from.
    """
    read = {place.resolve() for place in places}
    counts: Counter[tuple[str, str]] = Counter()
    for place in places:
        below = [folder for folder in folders_in(place) if folder.resolve() not in read]
        left = [path for path in entries(place) if path.is_file() and not is_image(path)]
        for folder in below:
            tree = walk(folder)
            left += [*tree.images, *tree.others]
        counts.update((_named(path.parent, root), path.suffix.lower() or "no suffix") for path in left)
    return counted(counts)


def counted(counts: Counter[tuple[str, str]]) -> str:
    """(Folder, suffix) and how many, as `train/good: 3 .npy, 1 .txt`; "" for none."""
    by_folder: dict[str, list[str]] = {}
    for (folder, suffix), count in sorted(counts.items()):
        by_folder.setdefault(folder, []).append(f"{count} {suffix}")
    parts = [f"{folder}: {', '.join(found)}" for folder, found in by_folder.items()]
    rest = len(parts) - _SHOWN
    return "; ".join(parts[:_SHOWN] + ([f"and in {rest} more folders"] if rest > 0 else []))


def few(paths: Iterable[Path], *, root: Path, shown: int = 3) -> str:
    """The first names and how many more there are."""
    names = [_named(path, root) for path in paths]
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _named(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
