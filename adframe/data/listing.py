"""Finds the image files in folders, without the files that other programs hide among them."""

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
# File managers and archivers leave these behind, in addition to names that begin with a dot.
_HIDDEN = {"@eadir", "thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}
MAX_LISTED = 6  # folders in one line of a report


def is_hidden(path: Path) -> bool:
    """Tells whether a file or a folder is not the user's own data.

    Args:
        path: only its name is looked at.
    """
    return path.name.startswith(".") or path.name.lower() in _HIDDEN


def is_image(path: Path) -> bool:
    """Tells whether a file name has the suffix of an image, in lower or upper case.

    Args:
        path: only its suffix is looked at; whether a folder has this name is not checked.
    """
    return path.suffix.lower() in IMAGE_SUFFIXES


def entries(folder: Path) -> list[Path]:
    """Lists the visible content of a folder.

    Args:
        folder: need not exist.

    Returns:
        Files and folders directly in it, sorted by name; [] if the folder does not exist.

    Raises:
        AdframeError: if a link to an image or to a folder leads nowhere.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if not is_hidden(path))
    for path in found:
        if path.is_symlink() and not path.exists() and (is_image(path) or not path.suffix):
            raise AdframeError(f"the link {path} leads nowhere; correct it or remove it")
    return found


def images_in(folder: Path) -> list[Path]:
    """Lists the image files directly in a folder.

    Args:
        folder: need not exist.

    Returns:
        The files, sorted by name; [] if the folder does not exist.
    """
    return [path for path in entries(folder) if is_image(path) and path.is_file()]


def folders_in(folder: Path) -> list[Path]:
    """Lists the folders directly in a folder.

    Args:
        folder: need not exist.

    Returns:
        The folders and links to folders, sorted by name.
    """
    return [path for path in entries(folder) if path.is_dir()]


@dataclass
class Tree:
    """The content of a folder at any depth.

    Attributes:
        images: image files, sorted.
        others: files that are no images.
        revisited: links to a folder that was read already, or to one above; they are not followed.
    """

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    revisited: list[Path] = field(default_factory=list)


def walk(folder: Path) -> Tree:
    """Reads a tree of folders and follows links, into each real folder once and never to one above.

    A folder that can be reached without a link is read there, so its images keep their own names.

    Args:
        folder: where to begin.

    Raises:
        AdframeError: if a link to an image or to a folder leads nowhere.
    """
    tree, visited = Tree(), set[Path]()
    pending = [folder]
    # Links wait until all real folders are read, so that images keep their names without a link.
    links: list[Path] = []
    while pending or links:
        place = pending.pop(0) if pending else links.pop(0)
        real = place.resolve()
        leads_back = place.is_symlink() and place.parent.resolve().is_relative_to(real)
        if real in visited or (leads_back and place != folder):
            tree.revisited.append(place)
            continue
        visited.add(real)
        for path in entries(place):
            if path.is_dir():
                (links if path.is_symlink() else pending).append(path)
            else:
                (tree.images if is_image(path) else tree.others).append(path)
    tree.images.sort()
    return tree


def match_pattern(root: Path, pattern: str) -> Tree:
    """Reads a folder below `root`, a file, or everything that matches a glob; links are followed.

    Args:
        root: the folder of the dataset.
        pattern: relative path or glob; `**` stands for any number of folders.

    Returns:
        The files that match, or that lie in a folder that matches.

    Raises:
        ValueError: if the pattern is absolute, leads upwards, or has `**` within a name.
        AdframeError: if a link to an image or to a folder leads nowhere.
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
        """Tells whether the file matches, or a folder above it."""
        own = path.relative_to(place).parts
        return any(_matches(own[:depth], rest) for depth in range(len(own) + 1))

    return Tree([p for p in tree.images if named(p)], [p for p in tree.others if named(p)], tree.revisited)


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


class Masks:
    """The masks in a folder, found by the name of their image; the folder is listed once.

    Args:
        folder: need not exist; it then holds no masks.

    Example:
        >>> Path("masks").mkdir()
        >>> Path("masks/000_mask.png").touch()
        >>> Masks(Path("masks")).get("000", "000_mask").as_posix()
        'masks/000_mask.png'
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, list[Path]] = {}
        for path in images_in(folder):
            self._found.setdefault(path.stem, []).append(path)

    def get(self, *names: str) -> Path | None:
        """Returns the mask with the first of the given names that exists.

        Args:
            *names: file names without suffix.

        Raises:
            AdframeError: if several files differ only in their suffix, so the right one is unknown.
        """
        for name in names:
            found = self._found.get(name, [])
            if len(found) > 1:
                raise AdframeError(f"{found[0]} and {found[1].name} are two masks for one image; remove one")
            if found:
                return found[0]
        return None

    def matching(self, images: Iterable[Path], *endings: str) -> dict[Path, Path]:
        """Finds the masks of several images.

        Args:
            images: paths of images.
            *endings: appended to the name of the image, the first one that exists wins.

        Returns:
            Image to mask, for the images that have one.
        """
        found = {path: self.get(*(path.stem + ending for ending in endings)) for path in images}
        return {image: mask for image, mask in found.items() if mask is not None}

    def require(self, image: Path, *names: str) -> Path:
        """Returns the mask with the first of the given names that exists.

        Args:
            image: for the message.
            *names: file names without suffix.

        Raises:
            AdframeError: if there is none; the message names the image and the expected path.
        """
        if (mask := self.get(*names)) is None:
            expected = self.folder / f"{names[0]}.png"
            raise AdframeError(
                f"no ground-truth mask for {image}: expected {expected}; add it or remove the image"
            )
        return mask


def existing_mask(path: Path, *, image: Path) -> Path:
    """Returns a mask's path, or the file next to it with the same name and another suffix.

    Args:
        path: where the mask is expected.
        image: its image, for the message.

    Raises:
        AdframeError: if there is no such file.
    """
    return path if path.is_file() else Masks(path.parent).require(image, path.stem)


def unread_files(places: Sequence[Path], *, root: Path) -> str:
    """Counts the files in the folders of a dataset that are not read.

    Args:
        places: the folders that are read, each without its subfolders. A folder that only holds
            other folders is listed too: files directly in it are not read.
        root: folders are named relative to it.

    Returns:
        A text by folder and suffix, see `format_counts`; "" if every file is read.
    """
    read = {place.resolve() for place in places}
    counts: Counter[tuple[str, str]] = Counter()
    for place in places:
        deeper = [folder for folder in folders_in(place) if folder.resolve() not in read]
        left = [path for path in entries(place) if path.is_file() and not is_image(path)]
        for folder in deeper:
            tree = walk(folder)
            left += [*tree.images, *tree.others]
        counts.update((relative_name(path.parent, root), path.suffix.lower() or "no suffix") for path in left)
    return format_counts(counts)


def format_counts(counts: Counter[tuple[str, str]]) -> str:
    """Formats numbers of files by folder and suffix, as `train/good: 3 .npy, 1 .txt`.

    Args:
        counts: number of files of each (folder, suffix).

    Returns:
        One line with at most six folders; "" for no files.
    """
    by_folder: dict[str, list[str]] = {}
    for (folder, suffix), count in sorted(counts.items()):
        by_folder.setdefault(folder, []).append(f"{count} {suffix}")
    parts = [f"{folder}: {', '.join(found)}" for folder, found in by_folder.items()]
    rest = len(parts) - MAX_LISTED
    return "; ".join(parts[:MAX_LISTED] + ([f"and in {rest} more folders"] if rest > 0 else []))


def first_names(paths: Iterable[Path], *, root: Path, shown: int = 3) -> str:
    """Formats the first file names and the number of all others.

    Args:
        paths: the files.
        root: names are relative to it where they lie below it.
        shown: number of names to write out.
    """
    names = [relative_name(path, root) for path in paths]
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def relative_name(path: Path, root: Path) -> str:
    """Names a file by its place below a folder, or by its whole path where it lies elsewhere.

    Args:
        path: the file.
        root: the folder.

    Returns:
        The name with slashes.
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
