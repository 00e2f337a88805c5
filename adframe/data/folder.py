"""`dataset=folder`: anybody's images. A folder of normal ones is enough."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from adframe.contracts import GOOD, UNLABELLED, AdframeError, Record
from adframe.data.source import IMAGE_SUFFIXES, Source

Pattern = str | Sequence[str] | None
PLACES = ("normal", "normal_test", "abnormal", "unlabelled")


@dataclass(frozen=True, kw_only=True)
class Folder(Source):
    """One product in any tree. Each place is a folder below `root`, a glob, or a list of those.

    Args:
        product: what to call it in tables; the name of `root` where None.
        normal: normal images to train on.
        normal_test: normal images to test on; where None, a share of `normal`.
        abnormal: defective images to test on; the folder a picture lies in names its defect.
        masks: folder of masks, each below it where its image lies below its own place, under the
            same name, any suffix, with or without `_mask`; no images are taken from it. Where None,
            pixels are not measured.
        unlabelled: images to score only: nothing is measured on them.
        test_share: share of `normal` to test on where `normal_test` is None.
        seed: draws that share.
    """

    product: str | None = None
    normal: Pattern = "good"
    normal_test: Pattern = None
    abnormal: Pattern = None
    masks: str | None = None
    unlabelled: Pattern = None
    test_share: float = 0.2
    seed: int = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.test_share < 1:
            raise AdframeError(f"dataset.test_share={self.test_share} must lie between 0 and 1")
        if self.product is not None and (not self.product.strip(".") or set(self.product) & set("/\\")):
            raise AdframeError(f"dataset.product={self.product!r} names files, so it cannot be a path")
        if self.masks is not None and self.masks in (".", ""):
            raise AdframeError("dataset.masks must be a folder of its own below dataset.root")

    @property
    def book_name(self) -> str:
        """Other places are other images; unlabelled ones are on no side."""
        places = (self.normal, self.normal_test, self.abnormal, self.test_share, self.seed)
        return f"{self.name}-{zlib.crc32(repr(places).encode()):08x}"

    def found(self) -> list[str]:
        """The one product, where there are normal images."""
        return [self._name] if self._files("normal") else []

    def scan(self, category: str) -> list[Record]:
        """Records of every place that was named."""
        files = self._places()
        tested = set(files["normal_test"]) or self._drawn(files["normal"])
        train = [path for path in files["normal"] if path not in tested]
        return [
            *(self._record(path, category, "train", GOOD, 0) for path in train),
            *(self._record(path, category, "test", GOOD, 0) for path in sorted(tested)),
            *(self._record(path, category, "test", path.parent.name, 1) for path in files["abnormal"]),
            *(self._record(path, category, "test", UNLABELLED, None) for path in files["unlabelled"]),
        ]

    @property
    def _name(self) -> str:
        return self.product or Path(self.root).resolve().name

    def _places(self) -> dict[str, list[Path]]:
        """The images of every place; an error where one is empty, or where two disagree on one."""
        files = {name: self._files(name) for name in PLACES}
        for name in PLACES[1:]:
            if getattr(self, name) is not None and not files[name]:
                raise AdframeError(f"dataset.{name}={self._shown(name)}: no images there, below {self.root}")
        for one, other in combinations(PLACES, 2):
            both = sorted(set(files[one]) & set(files[other]))
            if both and (one, other) != ("normal", "normal_test"):  # what is tested is not trained on
                raise AdframeError(
                    f"dataset.{one}={self._shown(one)} and dataset.{other}={self._shown(other)} both name "
                    f"{both[0]} ({len(both)} images in all); an image is of one kind only"
                )
        return files

    def _files(self, name: str) -> list[Path]:
        """The images of a place, sorted; what lies below `masks` is none."""
        root, pattern = Path(self.root), getattr(self, name)
        found: set[Path] = set()
        try:
            for text in [pattern] if isinstance(pattern, str) else pattern or []:
                if Path(text).is_absolute() or ".." in Path(text).parts:
                    raise ValueError("it must lie below dataset.root")
                places = [root / text] if (root / text).is_dir() else root.glob(text)
                for place in places:
                    found |= set(place.rglob("*")) if place.is_dir() else {place}
        except (ValueError, NotImplementedError) as error:
            raise AdframeError(f"dataset.{name}={self._shown(name)} is not possible: {error}") from error
        apart = None if self.masks is None else root / self.masks
        return sorted(
            path
            for path in found
            if path.suffix.lower() in IMAGE_SUFFIXES and apart not in path.parents and path.is_file()
        )

    def _shown(self, name: str) -> str:
        pattern = getattr(self, name)
        return pattern if isinstance(pattern, str) else f"[{','.join(pattern or ())}]"

    def _drawn(self, normal: Sequence[Path]) -> set[Path]:
        groups = sorted({self._group(path) for path in normal})
        count = max(1, round(self.test_share * len(groups)))
        chosen = {groups[i] for i in np.random.default_rng(self.seed).permutation(len(groups))[:count]}
        return {path for path in normal if self._group(path) in chosen}

    def _group(self, path: Path) -> str:
        """Files that differ in their suffix only are one picture."""
        return path.relative_to(self.root).with_suffix("").as_posix()

    def _record(self, path: Path, category: str, split: str, defect: str, label: int | None) -> Record:
        subset = {0: GOOD, 1: "anomaly", None: UNLABELLED}[label]
        masks = (self._mask(path),) if label == 1 and self.masks is not None else ()
        return Record(
            path=path, category=category, split=split, defect=defect, subset=subset, label=label, masks=masks,
            group=self._group(path),
        )  # fmt: skip

    def _mask(self, path: Path) -> Path:
        base = Path(self.root) / str(self.masks)
        parts = path.relative_to(self.root).with_suffix("").parts
        for start in range(len(parts)):  # below the place of the image, whose depth is not known
            stem = base.joinpath(*parts[start:])
            for name in (stem.name, f"{stem.name}_mask"):
                for suffix in IMAGE_SUFFIXES:
                    if (mask := stem.with_name(name + suffix)).is_file():
                        return mask
        expected = base.joinpath(*parts[1:]).with_suffix(".png")
        raise AdframeError(
            f"no ground-truth mask for {path}: expected {expected}; add it or set dataset.masks=null"
        )
