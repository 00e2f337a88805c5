"""MVTec-Shift: another dataset moved to another domain, written to disk with its splits.

`<category>/{train,val,test}/{images,masks}/<defect>_<name>_shifted.png`, and `shifted_splits.json` next to
the categories: for every image its original, its label, and the parameters that were drawn for it. The defect
is part of the name because MVTec AD numbers the images of each defect type from 000.

The file is written before the images: images that it does not list come from other settings or from
another program, and are never used.
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
from adframe.data.base import ProgressCallback, ReadOptions, Source
from adframe.data.depth import with_bits
from adframe.data.masks import read_truth
from adframe.data.splits import Protocol, has_validation
from adframe.errors import AdframeError
from adframe.io.files import write_json, write_whole
from adframe.io.images import read_image
from adframe.transforms.shift.shift import Shift

SPLITS_FILE = "shifted_splits.json"
CONFIG_KEYS = {  # a setting in the file, and its key in the configuration
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
    """Creates a dataset from `origin`, and then reads it from its own folders.

    Args:
        origin: the dataset to shift; its regions must be connected components (one mask per image).
        shift: moves image and mask; it has a seed of its own.
        protocol: draws the splits where `origin` has no validation split.
        seed: seed of the split.
        bits: of the originals; None uses the value of `origin`.

    Example:
        >>> from adframe.data.splits import Holdout
        >>> from adframe.data.toy_source import Toy
        >>> from adframe.transforms.shift.shift import Shift
        >>> origin = Toy(root="toy", products=["bracket"], size=64, train=4, test_good=1, test_bad=1)
        >>> shift = Shift(name="none", splits=["test"], seed=0, transforms={})
        >>> source = MvtecShift(name="mvtec_shift", homepage="", licence="", tree="", root=Path("shifted"),
        ...                     origin=origin, shift=shift, protocol=Holdout(), seed=0)
        >>> source.prepare("all")
        >>> source.scan("bracket")[0].path.as_posix()
        'shifted/bracket/train/images/good_000_shifted.png'
    """

    origin: Source
    shift: Shift
    protocol: Protocol
    seed: int

    @property
    def split_origin(self) -> str:
        """Names the file of the split, which adframe wrote with the images."""
        return f"the split in {SPLITS_FILE}"

    def prepare(self, wanted: str | Sequence[str], *, progress: ProgressCallback | None = None) -> None:
        """Writes missing categories and completes those that were interrupted.

        Args:
            wanted: `all`, one category or several.
            progress: called with the current step, the number of images done and of all images.

        Raises:
            AdframeError: if the folder was written with other settings, or the originals are needed but
                missing.
        """
        contents = self._read_index()
        for category in self._incomplete(wanted, contents, progress):
            records = self._split_originals(category)
            entries = _by_split(self._entry(record, index) for index, record in enumerate(records))
            if contents["categories"].get(category) != entries:
                # Images of other settings have the same names, so they would pass for finished ones.
                for split in ("train", "val", "test"):
                    for image in (Path(self.root) / category / split).glob("*/*_shifted.png"):
                        image.unlink()
                contents["categories"][category] = entries
                write_json(Path(self.root) / SPLITS_FILE, contents)
            for index, record in enumerate(records):
                self._draw(record, index)
                if progress is not None:
                    progress(f"{category}: shifting", index + 1, len(records))

    def found(self) -> list[str]:
        """Lists the categories in `shifted_splits.json`; `prepare` completes interrupted ones."""
        return sorted(self._read_index()["categories"])

    def scan(self, category: str) -> list[Record]:
        """Lists the images of a category with the splits that were written.

        Args:
            category: name of the category.
        """
        entries = self._read_index()["categories"][category]
        return [
            _entry_record(entry, Path(self.root), category, split)
            for split in entries
            for entry in entries[split]
        ]

    def read_options(self, category: str) -> ReadOptions:
        """Returns the options for its own images, which use all 16 bits."""
        return replace(super().read_options(category), bits=16)

    def _split_originals(self, category: str) -> list[Record]:
        """Returns the originals with their splits, drawn where the dataset has no validation."""
        scanned = self.origin.scan(category)
        training = {record.path for record in scanned if record.split == "train"}
        bits = self.origin.read_options(category).bits if self.bits is None else self.bits
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

    def _read_index(self) -> dict[str, Any]:
        path = Path(self.root) / SPLITS_FILE
        if not path.is_file():
            return {"settings": self._settings(), "categories": {}}
        try:
            contents: dict[str, Any] = json.loads(path.read_text())
            written = dict(contents["settings"])
            # Building every record raises one of the errors below where the structure is damaged.
            for sides in contents["categories"].values():
                for entries in sides.values():
                    for entry in entries:
                        _entry_record(entry, Path(), "", "")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise AdframeError(
                f"{path} is damaged ({reason}); delete it and the images are drawn again"
            ) from error
        for key, value in self._settings().items():
            if written.get(key) != value:
                what, before, now = _innermost_difference(CONFIG_KEYS[key], written.get(key), value)
                what = what.replace(
                    ".bounds", ""
                )  # a transform's ranges are its own keys in the configuration
                raise AdframeError(
                    f"{self.root} was written with {what}={before}, not {now}; choose another "
                    "dataset.root=, or delete it and it is written again"
                )
        return contents

    def _incomplete(
        self, wanted: str | Sequence[str], contents: dict[str, Any], progress: ProgressCallback | None
    ) -> list[str]:
        """Lists the categories to draw; the originals are not needed where all shifted images exist."""
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if wanted == "all":
            names = self.origin.found() or list(contents["categories"])
        missing = [name for name in names if not self._is_whole(contents["categories"].get(name))]
        if names and not missing:
            return []
        self.origin.prepare(wanted, progress=progress)
        # Raises an error that says where to get the originals, if they are needed and missing.
        chosen = self.origin.choose(missing or "all")
        return [name for name in chosen if not self._is_whole(contents["categories"].get(name))]

    def _is_whole(self, entries: dict[str, list[Entry]] | None) -> bool:
        if entries is None:
            return False
        files = (entry[kind] for side in entries.values() for entry in side for kind in ("image", "mask"))
        return all((Path(self.root) / file).is_file() for file in files if file)

    def _entry(self, record: Record, index: int) -> Entry:
        """Returns the entry of an image in `shifted_splits.json`."""
        if len(record.masks) > 1 or record.saturations:
            raise AdframeError(
                f"dataset=mvtec_shift cannot shift {self.origin.name}: it has several masks per image"
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
        """Writes one image with its mask, unless they exist."""
        root, (image, mask) = Path(self.root), _files(record)
        if all((root / file).is_file() for file in (image, mask) if file is not None):
            return
        original = read_image(record.path, bits=record.bits)
        truth = read_truth(record, size=(original.shape[0], original.shape[1]))
        pixels, masks, _ = self.shift(original, truth, index=index)
        # The mask first: an image without its mask would never be completed after an interruption.
        if mask is not None:
            _write_png(root / mask, masks[0])
        _write_png(root / image, pixels[:, :, ::-1])  # OpenCV writes BGR


def _files(record: Record) -> tuple[Path, Path | None]:
    """Returns the paths of a shifted image and its mask, relative to the root."""
    folder = Path(record.category) / record.split
    name = f"{record.defect}_{record.path.stem}_shifted.png"
    return folder / "images" / name, folder / "masks" / name if record.masks else None


def _by_split(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Groups entries by split; two originals that would become one file are an error."""
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


def _innermost_difference(key: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Returns the key of the innermost setting that differs, and its two values."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return key, before, now
    name = min(name for name in before | now if before.get(name) != now.get(name))
    return _innermost_difference(f"{key}.{name}", before.get(name), now.get(name))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    write_whole(path, encoded.tobytes())


def _entry_record(entry: Entry, root: Path, category: str, split: str) -> Record:
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
