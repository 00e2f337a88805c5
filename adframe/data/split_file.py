"""Stores splits on disk: `<folder>/<dataset>_<category>_<seed>.json`.

One file holds every protocol that was drawn for a category and a seed, under the description of the protocol.
Paths are relative to the dataset's root, so that a file can be shared with others who have the data.
A root that holds other images under the same names of dataset and category has a section of its own.
Unlabelled images are not listed: they may come and go, and are scored wherever they are.
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
from adframe.data.listing import relative_name
from adframe.data.splits import Protocol, shared_group
from adframe.errors import AdframeError
from adframe.io.files import check_writable, remove_left_over, write_whole

Sides = dict[str, list[str]]  # split name -> relative paths


class SplitFile:
    """Draws a split once, and reads it from the file from then on.

    Args:
        folder: where the files are.
        dataset: name of the dataset, first part of the file names.
        root: folder of the dataset: paths in the files are relative to it.
        seed: seed of the draw.

    Example:
        >>> from adframe.data.splits import Holdout
        >>> records = [Record(path=Path(f"set/{n}.png"), category="c", split="train") for n in range(5)]
        >>> file = SplitFile(Path("splits"), dataset="set", root=Path("set"), seed=0)
        >>> drawn = file.apply(Holdout(0.2), records, category="c")
        >>> file.write()
        >>> file.path("c").as_posix(), [record.split for record in drawn].count("val")
        ('splits/set_c_0.json', 1)
    """

    def __init__(self, folder: Path, *, dataset: str, root: Path, seed: int) -> None:
        self.folder, self.dataset, self.root, self.seed = folder, dataset, root, seed
        self._pending: dict[str, dict[str, Any]] = {}

    def apply(self, protocol: Protocol, records: Sequence[Record], *, category: str) -> list[Record]:
        """Returns the records with the split from the file, or with a new one.

        Args:
            protocol: draws the split where the file has none.
            records: of one category.
            category: its name.

        Raises:
            AdframeError: if the file is damaged, was written for other images than those on disk, or puts
                images of one group into two splits.
        """
        stored_file = self._read(category)
        protocols = self._own_part(stored_file, records)
        stored = protocols.get(protocol.description)
        if stored is not None:
            return self._restored(stored, records, category=category)
        drawn = protocol.draw(records, seed=self.seed)
        protocols[protocol.description] = self._sides(drawn)
        self._pending[category] = stored_file
        return drawn

    def write(self) -> None:
        """Writes all splits that were drawn since the last call.

        Drawing does not write, so that a run that cannot start leaves no files.
        """
        remove_left_over(self.folder)
        while self._pending:
            category, stored_file = self._pending.popitem()
            write_whole(self.path(category), json.dumps(stored_file, indent=1) + "\n")

    def check(self) -> None:
        """Checks that drawn splits can be written.

        Raises:
            AdframeError: if the folder is not writable.
        """
        if self._pending:
            check_writable(self.folder, key="paths.splits")

    def path(self, category: str) -> Path:
        """Returns the path of a category's file.

        Args:
            category: name of the category.
        """
        return self.folder / f"{self.dataset}_{category}_{self.seed}.json"

    def _own_part(self, stored_file: dict[str, Any], records: Sequence[Record]) -> dict[str, Sides]:
        """Returns the splits in a file that belong to the images of this root.

        A root that was moved, or another person's, has the same images and so the same splits. Where
        other images have the dataset's name in another root, they have splits of their own.
        """
        protocols: dict[str, Sides] = stored_file["protocols"]
        # A hash identifies the root, because a path would reveal a private folder in a shared file.
        own = hashlib.blake2b(str(self.root.resolve()).encode(), digest_size=8).hexdigest()
        if not protocols:
            stored_file["root"] = own
        found = {self._name(record) for record in _labelled(records)}
        listed = [{name for names in sides.values() for name in names} for sides in protocols.values()]
        same = all(names == found for names in listed)
        if same or stored_file.get("root", own) == own:
            return protocols
        parts: dict[str, dict[str, Sides]] = stored_file.setdefault("other_roots", {})
        return parts.setdefault(own, {})

    def _read(self, category: str) -> dict[str, Any]:
        path = self.path(category)
        if not path.is_file():
            named = {"dataset": self.dataset, "category": category, "seed": self.seed}
            return {**named, "protocols": {}}
        try:
            stored_file: dict[str, Any] = json.loads(path.read_text())
            for protocols in (stored_file["protocols"], *stored_file.get("other_roots", {}).values()):
                for stored in protocols.values():
                    _check_splits(stored)
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise AdframeError(
                f"{path} is no split file ({reason}); delete it and it is drawn again"
            ) from error
        return stored_file

    def _sides(self, records: Sequence[Record]) -> Sides:
        sides: Sides = {"train": [], "val": [], "test": []}
        for record in _labelled(records):
            sides[record.split].append(self._name(record))
        return sides

    def _restored(self, stored: Sides, records: Sequence[Record], *, category: str) -> list[Record]:
        side = {name: split for split, names in stored.items() for name in names}
        found = {self._name(record) for record in _labelled(records)}
        gone, new = sorted(side.keys() - found), sorted(found - side.keys())
        if gone or new:
            kinds = (("gone", gone), ("new", new))
            what = " and ".join(f"{len(names)} {kind} ({names[0]}, ...)" for kind, names in kinds if names)
            raise AdframeError(
                f"{self.path(category)} was drawn for other images than {self.root} holds: {what}; "
                "restore the images, delete the file to draw again, or set another folder as paths.splits="
            )
        restored = [replace(r, split=side.get(self._name(r), r.split)) for r in records]
        if group := shared_group(restored):
            raise AdframeError(
                f"{self.path(category)} puts the images of one part, {group}, into two splits; move them "
                "into one, or delete the file and it is drawn again"
            )
        return restored

    def _name(self, record: Record) -> str:
        return relative_name(record.path, self.root)  # added images may lie anywhere


def _labelled(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.label is not None]


def _check_splits(stored: Sides) -> None:
    """Raises ValueError, or what a damaged structure raises by itself."""
    if unknown := stored.keys() - {"train", "val", "test"}:
        raise ValueError(f"unknown side {min(unknown)!r}")
    for names in stored.values():
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("a side is a list of paths")
    counts = Counter(name for names in stored.values() for name in names)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(f"{twice[0]} is listed twice")
