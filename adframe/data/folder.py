"""`dataset=folder`: anybody's images. A folder of normal ones is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.contracts import GOOD, AdframeError, Record
from adframe.data.source import IMAGE_SUFFIXES, Source

Pattern = str | Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Folder(Source):
    """One product in any tree. Each place is a folder below `root`, a glob, or a list of those.

    Args:
        product: what to call it in tables; the name of `root` where None.
        normal: normal images to train on.
        normal_test: normal images to test on; where None, a share of `normal`.
        abnormal: defective images to test on; the folder a picture lies in names its defect.
        masks: folder of masks, each below it where its image lies below its own place, under the
            same name, any suffix, with or without `_mask`; where None, pixels are not measured.
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

    def found(self) -> list[str]:
        """The one product, where there are normal images."""
        return [self._name] if self._files(self.normal) else []

    def scan(self, category: str) -> list[Record]:
        """Records of every place that was named."""
        normal = self._files(self.normal)
        for name in ("normal_test", "abnormal", "unlabelled"):
            if getattr(self, name) is not None and not self._files(getattr(self, name)):
                raise AdframeError(
                    f"dataset.{name}={getattr(self, name)}: no images there, below {self.root}"
                )
        tested = set(self._files(self.normal_test)) or self._drawn(normal)
        train = [path for path in normal if path not in tested]
        return [
            *(self._record(path, category, "train", GOOD, 0) for path in train),
            *(self._record(path, category, "test", GOOD, 0) for path in sorted(tested)),
            *(
                self._record(path, category, "test", path.parent.name, 1)
                for path in self._files(self.abnormal)
            ),
            *(
                self._record(path, category, "test", "unlabelled", None)
                for path in self._files(self.unlabelled)
            ),
        ]

    @property
    def _name(self) -> str:
        return self.product or Path(self.root).resolve().name

    def _files(self, pattern: Pattern) -> list[Path]:
        root, found = Path(self.root), set()
        for text in [pattern] if isinstance(pattern, str) else pattern or []:
            places = [root / text] if (root / text).is_dir() else list(root.glob(text))
            for place in places:
                found |= set(place.rglob("*")) if place.is_dir() else {place}
        return sorted(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())

    def _drawn(self, normal: Sequence[Path]) -> set[Path]:
        if not 0 < self.test_share < 1:
            raise AdframeError(f"dataset.test_share={self.test_share} must lie between 0 and 1")
        count = max(1, round(self.test_share * len(normal)))
        chosen = np.random.default_rng(self.seed).permutation(len(normal))[:count]
        return {normal[i] for i in chosen}

    def _record(self, path: Path, category: str, split: str, defect: str, label: int | None) -> Record:
        subset = {0: GOOD, 1: "anomaly", None: "unlabelled"}[label]
        masks = (self._mask(path),) if label == 1 and self.masks is not None else ()
        group = path.relative_to(self.root).with_suffix("").as_posix()
        return Record(
            path=path, category=category, split=split, defect=defect, subset=subset, label=label, masks=masks,
            group=group,
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
