"""`dataset=folder`: anybody's images. A folder of normal ones is enough."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np

from adframe.contracts import GOOD, UNLABELLED, Record
from adframe.data.base import Source
from adframe.data.listing import Masks, Tree, below, counted
from adframe.errors import AdframeError

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

    name: str = "folder"
    homepage: str = "yourself"
    licence: str = "yours"
    tree: str = "the folder that dataset.normal names, with images in it"

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
        masks = self._masks(files["abnormal"])
        return [
            *(self._record(path, category, "train", GOOD, 0) for path in train),
            *(self._record(path, category, "test", GOOD, 0) for path in sorted(tested)),
            *(
                self._record(path, category, "test", path.parent.name, 1, mask=masks.get(path))
                for path in files["abnormal"]
            ),
            *(self._record(path, category, "test", UNLABELLED, None) for path in files["unlabelled"]),
        ]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Masks of normal images that lie among those of defects."""
        del category
        if self.masks is None:
            return {}
        taken = set(self._masks(self._files("abnormal")).values())
        find, normal = self._finder(), [*self._files("normal"), *self._files("normal_test")]
        found = {path: mask for path in normal if (mask := find(path)) is not None}
        return {image: mask for image, mask in found.items() if mask not in taken}

    def notes(self, category: str) -> list[str]:
        """Files in the named places that are no images, and links that lead to a folder again."""
        trees = [tree for name in PLACES for tree in self._trees(name)]
        root = Path(self.root)
        left = {path for tree in trees for path in tree.others if not self._apart(path)}
        counts = Counter(
            (path.parent.relative_to(root).as_posix(), path.suffix.lower() or "no suffix") for path in left
        )
        again = sorted({path.relative_to(root).as_posix() for tree in trees for path in tree.again})
        lines = [f"{category}: files that are not read: {counted(counts)}"] if left else []
        return lines + [
            f"{category}: the link {path} leads to a folder that is read already, or back; it is not followed"
            for path in again
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
        folder = cache(Path.resolve)  # two places may lead to one folder by a link
        real = {name: {folder(path.parent) / path.name: path for path in files[name]} for name in PLACES}
        for one, other in combinations(PLACES, 2):
            both = sorted(real[one][path] for path in real[one].keys() & real[other].keys())
            if both and (one, other) != ("normal", "normal_test"):  # what is tested is not trained on
                raise AdframeError(
                    f"dataset.{one}={self._shown(one)} and dataset.{other}={self._shown(other)} both name "
                    f"{both[0]} ({len(both)} images in all); an image is of one kind only"
                )
        return files

    def _files(self, name: str) -> list[Path]:
        """The images of a place, sorted; what lies below `masks` is none."""
        found = {path for tree in self._trees(name) for path in tree.images}
        return sorted(path for path in found if not self._apart(path))

    def _trees(self, name: str) -> list[Tree]:
        """What the patterns of a place name."""
        pattern = getattr(self, name)
        try:
            return [
                below(Path(self.root), text)
                for text in ([pattern] if isinstance(pattern, str) else pattern or [])
            ]
        except ValueError as error:
            raise AdframeError(f"dataset.{name}={self._shown(name)} is not possible: {error}") from error

    def _apart(self, path: Path) -> bool:
        return self.masks is not None and Path(self.root) / self.masks in path.parents

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

    def _record(
        self,
        path: Path,
        category: str,
        split: str,
        defect: str,
        label: int | None,
        *,
        mask: Path | None = None,
    ) -> Record:
        subset = {0: GOOD, 1: "anomaly", None: UNLABELLED}[label]
        return Record(
            path=path, category=category, split=split, defect=defect, subset=subset, label=label,
            masks=() if mask is None else (mask,), group=self._group(path),
        )  # fmt: skip

    def _masks(self, images: Sequence[Path]) -> dict[Path, Path]:
        """Every image's mask; an error where one is missing."""
        if self.masks is None:
            return {}
        find, found = self._finder(), {}
        for path in images:
            if (mask := find(path)) is None:
                parts = path.relative_to(self.root).with_suffix(".png").parts[1:]
                expected = Path(self.root).joinpath(self.masks, *parts)
                raise AdframeError(
                    f"no ground-truth mask for {path}: expected {expected}; add it or set dataset.masks=null"
                )
            found[path] = mask
        return found

    def _finder(self) -> Callable[[Path], Path | None]:
        """Finds the mask of an image; each folder of masks is listed once."""
        base, listed = Path(self.root) / str(self.masks), cache(Masks)

        def find(path: Path) -> Path | None:
            parts = path.relative_to(self.root).with_suffix("").parts
            for start in range(len(parts)):  # below the place of the image, whose depth is not known
                stem = base.joinpath(*parts[start:])
                if mask := listed(stem.parent).get(stem.name, f"{stem.name}_mask"):
                    return mask
            return None

        return find
