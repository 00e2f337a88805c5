"""Which image is on which side, written down: `<folder>/<dataset>_<category>_<seed>.json`.

One file holds every protocol drawn for a category and a seed, under the protocol's own description.
Paths are relative to the dataset's root, so that a file can be shared with others who have the data.
A root that holds other images under the same names of dataset and category has a part of its own.
Unlabelled images are no part of it: they may come and go, and are scored wherever they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adframe.contracts import Record
from adframe.data.splits import Protocol, shared_group
from adframe.errors import AdframeError
from adframe.io.files import check_writable, clear_left_over, write_whole

Sides = dict[str, list[str]]  # split name -> relative paths


class SplitFile:
    """Draws a split, and once it is written reads it back.

    Args:
        folder: where the files lie.
        dataset: the dataset's name, first part of a file's name.
        root: the dataset's folder: paths are written relative to it.
        seed: of the draw.
    """

    def __init__(self, folder: Path, *, dataset: str, root: Path, seed: int) -> None:
        self.folder, self.dataset, self.root, self.seed = folder, dataset, root, seed
        self._pending: dict[str, dict[str, Any]] = {}

    def apply(self, protocol: Protocol, records: Sequence[Record], *, category: str) -> list[Record]:
        """The records with the split that the book has, or that the protocol draws now.

        Raises:
            AdframeError: the book was written for other files than those on disk.
        """
        book = self._read(category)
        protocols = self._own_part(book, records)
        stored = protocols.get(protocol.description)
        if stored is not None:
            return self._restored(stored, records, category=category)
        drawn = protocol.draw(records, seed=self.seed)
        protocols[protocol.description] = self._sides(drawn)
        self._pending[category] = book
        return drawn

    def write(self) -> None:
        """Writes what was drawn since; apart from drawing, so that a run that cannot start writes nothing."""
        clear_left_over(self.folder)
        while self._pending:
            category, book = self._pending.popitem()
            write_whole(self.path(category), json.dumps(book, indent=1) + "\n")

    def check(self) -> None:
        """Raises AdframeError where something was drawn that cannot be written."""
        if self._pending:
            check_writable(self.folder, key="paths.splits")

    def path(self, category: str) -> Path:
        """The file of a category."""
        return self.folder / f"{self.dataset}_{category}_{self.seed}.json"

    def _own_part(self, book: dict[str, Any], records: Sequence[Record]) -> dict[str, Sides]:
        """The splits of a book that are of this root's images.

        A root that was moved, or another person's, has the same images and so the same splits. Where
        other images lie under the dataset's name in another root, they have splits of their own.
        """
        protocols: dict[str, Sides] = book["protocols"]
        own = hashlib.blake2b(str(self.root.resolve()).encode(), digest_size=8).hexdigest()
        if not protocols:
            book["root"] = own
        found = {self._name(record) for record in _known(records)}
        listed = [{name for names in sides.values() for name in names} for sides in protocols.values()]
        same = all(names == found for names in listed)
        if same or book.get("root", own) == own:
            return protocols
        parts: dict[str, dict[str, Sides]] = book.setdefault("other_roots", {})
        return parts.setdefault(own, {})

    def _read(self, category: str) -> dict[str, Any]:
        path = self.path(category)
        if not path.is_file():
            named = {"dataset": self.dataset, "category": category, "seed": self.seed}
            return {**named, "protocols": {}}
        try:
            book: dict[str, Any] = json.loads(path.read_text())
            for protocols in (book["protocols"], *book.get("other_roots", {}).values()):
                for stored in protocols.values():
                    _check_sides(stored)
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise AdframeError(
                f"{path} is no split file ({reason}); delete it and it is drawn again"
            ) from error
        return book

    def _sides(self, records: Sequence[Record]) -> Sides:
        sides: Sides = {"train": [], "val": [], "test": []}
        for record in _known(records):
            sides[record.split].append(self._name(record))
        return sides

    def _restored(self, stored: Sides, records: Sequence[Record], *, category: str) -> list[Record]:
        side = {name: split for split, names in stored.items() for name in names}
        found = {self._name(record) for record in _known(records)}
        gone, new = sorted(side.keys() - found), sorted(found - side.keys())
        if gone or new:
            kinds = (("gone", gone), ("new", new))
            what = " and ".join(f"{len(names)} {kind} ({names[0]}, ...)" for kind, names in kinds if names)
            raise AdframeError(
                f"{self.path(category)} was drawn for other images than {self.root} holds: {what}; "
                "restore the images, delete the file to draw again, or name another folder with paths.splits="
            )
        restored = [replace(r, split=side.get(self._name(r), r.split)) for r in records]
        if parted := shared_group(restored):
            raise AdframeError(
                f"{self.path(category)} parts the pictures of one part, {parted}; keep them on one side, or "
                "delete the file and it is drawn again"
            )
        return restored

    def _name(self, record: Record) -> str:
        return record.path.relative_to(self.root).as_posix()


def _known(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.label is not None]


def _are_texts(names: Sequence[Any]) -> bool:
    return all(isinstance(name, str) for name in names)


def _check_sides(stored: Sides) -> None:
    """Raises ValueError, or what a damaged structure raises by itself."""
    if unknown := stored.keys() - {"train", "val", "test"}:
        raise ValueError(f"unknown side {min(unknown)!r}")
    if not all(isinstance(names, list) and _are_texts(names) for names in stored.values()):
        raise ValueError("a side is a list of paths")
    counts = Counter(name for names in stored.values() for name in names)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(f"{twice[0]} is listed twice")
