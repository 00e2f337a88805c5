"""`dataset=folder`: images of a user's own. A folder of normal images is enough."""

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
from adframe.data.listing import Masks, Tree, format_counts, match_pattern
from adframe.errors import AdframeError

Pattern = str | Sequence[str] | None
IMAGE_PLACES = ("normal", "normal_test", "abnormal", "unlabelled")


@dataclass(frozen=True, kw_only=True)
class Folder(Source):
    """One product in any folder tree. Each place is a folder below `root`, a glob, or a list of those.

    Args:
        product: its name in tables; the name of `root` where None.
        normal: normal images for training.
        normal_test: normal images for testing; where None, a share of `normal`.
        abnormal: defective images for testing; the parent folder of an image names its defect.
        masks: folder of masks. A mask has the relative path of its image below the image's own place, with
            any suffix, with or without `_mask`; no images are taken from this folder. Where None,
            pixels are not evaluated.
        unlabelled: images without ground truth, which are only scored.
        test_share: share of `normal` for testing where `normal_test` is None, in (0, 1).
        seed: seed of the draw of that share.

    Raises:
        AdframeError: if `test_share`, `product` or `masks` has an impossible value.

    Example:
        >>> from PIL import Image
        >>> Path("bolts/good").mkdir(parents=True)
        >>> for number in range(5):
        ...     Image.new("RGB", (8, 8)).save(f"bolts/good/{number}.png")
        >>> source = Folder(root=Path("bolts"), normal="good")
        >>> [record.split for record in source.scan("bolts")]
        ['train', 'train', 'train', 'train', 'test']
    """

    name: str = "folder"
    homepage: str = ""
    licence: str = ""
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
    def split_origin(self) -> str:
        """Says whether the test images have a folder of their own, or were drawn."""
        if self.normal_test is not None:
            return "the split of its folders"
        return f"a split that adframe drew: {100 * self.test_share:g}% of the normal images are for testing"

    @property
    def split_file_prefix(self) -> str:
        """The name with a checksum of the places, as other places are other images."""
        places = (self.normal, self.normal_test, self.abnormal, self.test_share, self.seed)
        return f"{self.name}-{zlib.crc32(repr(places).encode()):08x}"

    def found(self) -> list[str]:
        """Returns the one product, or [] if there are no normal images."""
        return [self._category] if self._files("normal") else []

    def scan(self, category: str) -> list[Record]:
        """Lists the images of every place that was named.

        Args:
            category: name of the product.

        Raises:
            AdframeError: if a place has no images, two places share an image, or a mask is missing.
        """
        files = self._files_by_place()
        tested = set(files["normal_test"]) or self._draw_test_share(files["normal"])
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
        """Finds masks of normal images among the masks of defects."""
        del category
        if self.masks is None:
            return {}
        taken = set(self._masks(self._files("abnormal")).values())
        find, normal = self._mask_finder(), [*self._files("normal"), *self._files("normal_test")]
        found = {path: mask for path in normal if (mask := find(path)) is not None}
        return {image: mask for image, mask in found.items() if mask not in taken}

    def notes(self, category: str) -> list[str]:
        """Describes files that are no images, and links to folders that are read already."""
        trees = [tree for name in IMAGE_PLACES for tree in self._trees(name)]
        root = Path(self.root)
        left = {path for tree in trees for path in tree.others if not self._is_mask(path)}
        counts = Counter(
            (path.parent.relative_to(root).as_posix(), path.suffix.lower() or "no suffix") for path in left
        )
        links = sorted({path.relative_to(root).as_posix() for tree in trees for path in tree.revisited})
        lines = [f"{category}: files that are not read: {format_counts(counts)}"] if left else []
        return lines + [
            f"{category}: the link {path} leads to a folder that is read already, or back; it is not followed"
            for path in links
        ]

    @property
    def _category(self) -> str:
        return self.product or Path(self.root).resolve().name

    def _files_by_place(self) -> dict[str, list[Path]]:
        """Lists the images of every place; raises an error for an empty place or an image in two places."""
        files = {name: self._files(name) for name in IMAGE_PLACES}
        for name in IMAGE_PLACES[1:]:
            if getattr(self, name) is not None and not files[name]:
                raise AdframeError(
                    f"dataset.{name}={self._pattern_text(name)}: no images there, below {self.root}"
                )
        # Two places may lead to one folder by a link, so real paths are compared.
        folder = cache(Path.resolve)
        real = {
            name: {folder(path.parent) / path.name: path for path in files[name]} for name in IMAGE_PLACES
        }
        for one, other in combinations(IMAGE_PLACES, 2):
            both = sorted(real[one][path] for path in real[one].keys() & real[other].keys())
            # `normal` may contain `normal_test`: test images are then left out of training.
            if both and (one, other) != ("normal", "normal_test"):
                raise AdframeError(
                    f"dataset.{one}={self._pattern_text(one)} and "
                    f"dataset.{other}={self._pattern_text(other)} both name {both[0]} "
                    f"({len(both)} images in all); an image is of one kind only"
                )
        return files

    def _files(self, name: str) -> list[Path]:
        """Lists the images of a place, sorted, without the files below `masks`."""
        found = {path for tree in self._trees(name) for path in tree.images}
        return sorted(path for path in found if not self._is_mask(path))

    def _trees(self, name: str) -> list[Tree]:
        """Reads the folders that the patterns of a place name."""
        pattern = getattr(self, name)
        try:
            return [
                match_pattern(Path(self.root), text)
                for text in ([pattern] if isinstance(pattern, str) else pattern or [])
            ]
        except ValueError as error:
            raise AdframeError(
                f"dataset.{name}={self._pattern_text(name)} is not possible: {error}"
            ) from error

    def _is_mask(self, path: Path) -> bool:
        return self.masks is not None and Path(self.root) / self.masks in path.parents

    def _pattern_text(self, name: str) -> str:
        pattern = getattr(self, name)
        return pattern if isinstance(pattern, str) else f"[{','.join(pattern or ())}]"

    def _draw_test_share(self, normal: Sequence[Path]) -> set[Path]:
        groups = sorted({self._group(path) for path in normal})
        count = max(1, round(self.test_share * len(groups)))
        chosen = {groups[i] for i in np.random.default_rng(self.seed).permutation(len(groups))[:count]}
        return {path for path in normal if self._group(path) in chosen}

    def _group(self, path: Path) -> str:
        """Returns the group of a file: files that differ only in their suffix show the same image."""
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
        """Finds the mask of every image; a missing one is an error."""
        if self.masks is None:
            return {}
        find, found = self._mask_finder(), {}
        for path in images:
            if (mask := find(path)) is None:
                parts = path.relative_to(self.root).with_suffix(".png").parts[1:]
                expected = Path(self.root).joinpath(self.masks, *parts)
                raise AdframeError(
                    f"no ground-truth mask for {path}: expected {expected}; add it or set dataset.masks=null"
                )
            found[path] = mask
        return found

    def _mask_finder(self) -> Callable[[Path], Path | None]:
        """Returns a function that finds the mask of an image; each folder of masks is listed once."""
        base, listed = Path(self.root) / str(self.masks), cache(Masks)

        def find(path: Path) -> Path | None:
            parts = path.relative_to(self.root).with_suffix("").parts
            # The depth of the image's own place is unknown where it is a glob, so every one is tried.
            for start in range(len(parts)):
                stem = base.joinpath(*parts[start:])
                if mask := listed(stem.parent).get(stem.name, f"{stem.name}_mask"):
                    return mask
            return None

        return find
