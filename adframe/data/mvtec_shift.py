"""MVTec-Shift: another dataset moved to another domain, written to disk already split.

`<category>/{train,val,test}/{images,masks}/<defect>_<name>_shifted.png`, and `shifted_splits.json` beside
the categories: for every picture its original, its defect and what was drawn for it. The defect
stands in front of the name because MVTec AD numbers the images of each defect type from 000.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adframe.contracts import GOOD, AdframeError, Record
from adframe.data.decode import read_image, read_mask
from adframe.data.source import Progress, Source
from adframe.data.splits import Protocol
from adframe.ops.files import write_json, write_whole
from adframe.ops.shift.shift import Shift

BOOK = "shifted_splits.json"


@dataclass(frozen=True, kw_only=True)
class MvtecShift(Source):
    """Writes itself from `origin`, and is then read from its own folders.

    Args:
        origin: the dataset to shift; its regions must be connected components (one mask an image).
        shift: moves image and mask; the seed of its draw is its own.
        protocol: who is on which side; drawn by `seed`.
        seed: of the split.
    """

    origin: Source
    shift: Shift
    protocol: Protocol
    seed: int

    def prepare(self, wanted: str | Sequence[str], *, progress: Progress | None = None) -> None:
        """Writes the categories that are not there yet and completes those that are half there."""
        book = self._book()
        for category in self._unwritten(wanted, book):
            entries = self._write(category, progress)
            book["categories"][category] = entries
            write_json(Path(self.root) / BOOK, book)

    def found(self) -> list[str]:
        """The categories that are written."""
        return sorted(self._book()["categories"])

    def scan(self, category: str) -> list[Record]:
        """The records of a category, already on their sides."""
        entries = self._book()["categories"][category]
        return [
            _record(entry, Path(self.root), category, split) for split in entries for entry in entries[split]
        ]

    def _settings(self) -> dict[str, Any]:
        return {
            "origin": self.origin.name,
            "shift": self.shift.name,
            "shift_seed": self.shift.seed,
            "transforms": self.shift.settings(),
            "split": self.protocol.description,
            "split_seed": self.seed,
        }

    def _book(self) -> dict[str, Any]:
        path = Path(self.root) / BOOK
        if not path.is_file():
            return {"settings": self._settings(), "categories": {}}
        book: dict[str, Any] = json.loads(path.read_text())
        for key, value in self._settings().items():
            if (written := book["settings"].get(key)) != value:
                raise AdframeError(
                    f"{self.root} was written with {key}={written}, not {value}; choose another "
                    "dataset.root=, or delete it and it is written again"
                )
        return book

    def _unwritten(self, wanted: str | Sequence[str], book: dict[str, Any]) -> list[str]:
        written = list(book["categories"])
        if Path(self.origin.root).is_dir():
            names = self.origin.choose(wanted)
        else:  # the shifted pictures are enough where the originals have gone
            names = written if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
        whole = {name for name, entries in book["categories"].items() if self._is_whole(entries)}
        missing = [name for name in names if name not in whole]
        if missing or not names:
            self.origin.choose(wanted)  # an error that helps where the originals are needed and gone
        return missing

    def _is_whole(self, entries: dict[str, list[dict[str, Any]]]) -> bool:
        files = (entry[kind] for side in entries.values() for entry in side for kind in ("image", "mask"))
        return all((Path(self.root) / file).is_file() for file in files if file)

    def _write(self, category: str, progress: Progress | None) -> dict[str, list[dict[str, Any]]]:
        records = self.protocol.draw(self.origin.scan(category), seed=self.seed)
        entries: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
        for index, record in enumerate(records):
            entries[record.split].append(self._one(record, index))
            if progress is not None:
                progress(f"{category}: shifting", index + 1, len(records))
        return entries

    def _one(self, record: Record, index: int) -> dict[str, Any]:
        """Writes one picture with its mask, where they are not there yet."""
        if len(record.masks) > 1 or record.saturations:
            raise AdframeError(
                f"dataset=mvtec_shift cannot shift {self.origin.name}: it has several masks an image"
            )
        folder = Path(record.category) / record.split
        name = f"{record.defect}_{record.path.stem}_shifted.png"
        image, mask = folder / "images" / name, folder / "masks" / name if record.masks else None
        drawn = self.shift.facts(index)
        if not all((Path(self.root) / file).is_file() for file in (image, mask) if file is not None):
            masks = [read_mask(path) for path in record.masks]
            pixels, masks, drawn = self.shift(read_image(record.path), masks, index=index)
            for file, moved in zip((mask,) if mask else (), masks, strict=True):
                _write_png(Path(self.root) / file, moved)
            _write_png(Path(self.root) / image, pixels[:, :, ::-1])  # OpenCV writes BGR
        return {
            "image": image.as_posix(),
            "mask": mask.as_posix() if mask else None,
            "original": record.path.relative_to(self.origin.root).as_posix(),
            "defect": record.defect,
            "parameters": drawn,
        }


def _write_png(path: Path, pixels: np.ndarray) -> None:
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    write_whole(path, encoded.tobytes())


def _record(entry: dict[str, Any], root: Path, category: str, split: str) -> Record:
    defect = entry["defect"]
    return Record(
        path=root / entry["image"],
        category=category,
        split=split,
        defect=defect,
        subset=GOOD if defect == GOOD else "anomaly",
        label=int(defect != GOOD),
        masks=(root / entry["mask"],) if entry["mask"] else (),
        group=entry["original"],
    )
