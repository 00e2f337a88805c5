"""MVTec-Shift: another dataset moved to another domain, written to disk already split.

`<category>/{train,val,test}/{images,masks}/<defect>_<name>_shifted.png`, and `shifted_splits.json` beside
the categories: for every picture its original, what is known of it and what was drawn for it. The defect
stands in front of the name because MVTec AD numbers the images of each defect type from 000.

The book is written before the pictures: those that it does not know come from other settings, or from
nobody knows where, and are never taken for its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adframe.contracts import Record
from adframe.data.base import Progress, Reading, Source
from adframe.data.depth import with_bits
from adframe.data.masks import read_truth
from adframe.data.splits import Protocol, has_validation
from adframe.errors import AdframeError
from adframe.io.files import write_json, write_whole
from adframe.io.images import read_image
from adframe.transforms.shift.shift import Shift

BOOK = "shifted_splits.json"
KEYS = {  # a setting in the book, and where it stands in the configuration
    "origin": "dataset.origin",
    "shift": "dataset.shift",
    "shift_seed": "dataset.shift.seed",
    "transforms": "dataset.shift.transforms",
    "split": "dataset.protocol",
    "split_seed": "dataset.seed",
    "bits": "dataset.bits",
}
Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MvtecShift(Source):
    """Writes itself from `origin`, and is then read from its own folders.

    Args:
        origin: the dataset to shift; its regions must be connected components (one mask per image).
        shift: moves image and mask; the seed of its draw is its own.
        protocol: who is on which side; drawn by `seed`.
        seed: of the split.
        bits: of the originals; None takes what `origin` says.
    """

    origin: Source
    shift: Shift
    protocol: Protocol
    seed: int

    def prepare(self, wanted: str | Sequence[str], *, progress: Progress | None = None) -> None:
        """Writes the categories that are not there yet and completes those that are half there."""
        book = self._book()
        for category in self._unwritten(wanted, book, progress):
            records = self._sided(category)
            entries = _by_side(self._entry(record, index) for index, record in enumerate(records))
            if book["categories"].get(category) != entries:
                _remove_pictures(Path(self.root) / category)
                book["categories"][category] = entries
                write_json(Path(self.root) / BOOK, book)
            for index, record in enumerate(records):
                self._draw(record, index)
                if progress is not None:
                    progress(f"{category}: shifting", index + 1, len(records))

    def found(self) -> list[str]:
        """The categories in the book; `prepare` completes those that are half written."""
        return sorted(self._book()["categories"])

    def scan(self, category: str) -> list[Record]:
        """The records of a category, already on their sides."""
        entries = self._book()["categories"][category]
        return [
            _record(entry, Path(self.root), category, split) for split in entries for entry in entries[split]
        ]

    def reading(self, category: str) -> Reading:
        """Its own pictures use all bits they have."""
        return replace(super().reading(category), bits=16)

    def _sided(self, category: str) -> list[Record]:
        """The originals on their sides: the dataset's own where it has a validation split."""
        scanned = self.origin.scan(category)
        training = {record.path for record in scanned if record.split == "train"}
        bits = self.origin.reading(category).bits if self.bits is None else self.bits
        scanned, _ = with_bits(scanned, training=training, bits=bits)
        return scanned if has_validation(scanned) else self.protocol.draw(scanned, seed=self.seed)

    def _settings(self) -> dict[str, Any]:
        return {
            "origin": self.origin.name,
            "shift": self.shift.name,
            "shift_seed": self.shift.seed,
            "transforms": self.shift.settings(),
            "split": self.protocol.description,
            "split_seed": self.seed,
            "bits": self.bits,
        }

    def _book(self) -> dict[str, Any]:
        path = Path(self.root) / BOOK
        if not path.is_file():
            return {"settings": self._settings(), "categories": {}}
        try:
            book: dict[str, Any] = json.loads(path.read_text())
            written = dict(book["settings"])
            _check_entries(book["categories"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise AdframeError(
                f"{path} is damaged ({reason}); delete it and the pictures are drawn again"
            ) from error
        for key, value in self._settings().items():
            if written.get(key) != value:
                what, before, now = _difference(KEYS[key], written.get(key), value)
                what = what.replace(".bounds", "")  # as the configuration has it
                raise AdframeError(
                    f"{self.root} was written with {what}={before}, not {now}; choose another "
                    "dataset.root=, or delete it and it is written again"
                )
        return book

    def _unwritten(
        self, wanted: str | Sequence[str], book: dict[str, Any], progress: Progress | None
    ) -> list[str]:
        """What is to be drawn; the shifted pictures are enough where the originals have gone."""
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if wanted == "all":
            names = self.origin.found() or list(book["categories"])
        missing = [name for name in names if not self._is_whole(book["categories"].get(name))]
        if names and not missing:
            return []
        self.origin.prepare(wanted, progress=progress)
        chosen = self.origin.choose(missing or "all")  # an error that helps where they are needed and gone
        return [name for name in chosen if not self._is_whole(book["categories"].get(name))]

    def _is_whole(self, entries: dict[str, list[Entry]] | None) -> bool:
        if entries is None:
            return False
        files = (entry[kind] for side in entries.values() for entry in side for kind in ("image", "mask"))
        return all((Path(self.root) / file).is_file() for file in files if file)

    def _entry(self, record: Record, index: int) -> Entry:
        """What the book says of a picture."""
        if len(record.masks) > 1 or record.saturations:
            raise AdframeError(
                f"dataset=mvtec_shift cannot shift {self.origin.name}: it has several masks an image"
            )
        image, mask = _files(record)
        return {
            "image": image.as_posix(),
            "mask": mask.as_posix() if mask else None,
            "original": record.path.relative_to(self.origin.root).as_posix(),
            "defect": record.defect,
            "subset": record.subset,
            "label": record.label,
            "group": record.group,
            "condition": record.condition,
            "parameters": self.shift.facts(index),
        }

    def _draw(self, record: Record, index: int) -> None:
        """Writes one picture with its mask, where they are not there yet."""
        root, (image, mask) = Path(self.root), _files(record)
        if all((root / file).is_file() for file in (image, mask) if file is not None):
            return
        original = read_image(record.path, bits=record.bits)
        truth = read_truth(record, size=(original.shape[0], original.shape[1]))
        pixels, masks, _ = self.shift(original, truth, index=index)
        if mask is not None:
            _write_png(root / mask, masks[0])
        _write_png(root / image, pixels[:, :, ::-1])  # OpenCV writes BGR


def _files(record: Record) -> tuple[Path, Path | None]:
    """A picture and its mask, below the root."""
    folder = Path(record.category) / record.split
    name = f"{record.defect}_{record.path.stem}_shifted.png"
    return folder / "images" / name, folder / "masks" / name if record.masks else None


def _by_side(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Side by side; two originals that would become one file are an error."""
    sides: dict[str, list[Entry]] = {"train": [], "val": [], "test": []}
    taken: dict[str, str] = {}
    for entry in entries:
        if entry["image"] in taken:
            raise AdframeError(
                f"{taken[entry['image']]} and {entry['original']} would both become {entry['image']}; "
                "rename one of them"
            )
        taken[entry["image"]] = entry["original"]
        sides[Path(entry["image"]).parts[1]].append(entry)
    return sides


def _remove_pictures(category: Path) -> None:
    for split in ("train", "val", "test"):
        for picture in (category / split).glob("*/*_shifted.png"):
            picture.unlink()


def _check_entries(categories: dict[str, dict[str, list[Entry]]]) -> None:
    """Raises what a damaged structure raises by itself."""
    for sides in categories.values():
        for entries in sides.values():
            for entry in entries:
                _record(entry, Path(), "", "")


def _difference(key: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """The innermost setting that differs, by its key."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return key, before, now
    name = min(name for name in before | now if before.get(name) != now.get(name))
    return _difference(f"{key}.{name}", before.get(name), now.get(name))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    write_whole(path, encoded.tobytes())


def _record(entry: Entry, root: Path, category: str, split: str) -> Record:
    return Record(
        path=root / entry["image"],
        category=category,
        split=split,
        defect=entry["defect"],
        subset=entry["subset"],
        label=entry["label"],
        masks=(root / entry["mask"],) if entry["mask"] else (),
        group=entry["group"],
        condition=entry["condition"],
    )
