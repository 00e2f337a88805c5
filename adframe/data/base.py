"""The base class of all datasets, and the error message for a dataset that is missing on disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.download import Archive, fetch
from adframe.data.listing import folders_in, unread_files
from adframe.errors import AdframeError, unknown
from adframe.transforms.preprocess import PREPROCESSES

BITS = (8, 10, 12, 14, 16)  # bits per sample that cameras deliver
# `all` is a value of `category=`, and `mean` is a row of every table, so no category may have these names.
RESERVED = ("all", "mean")
ProgressCallback = Callable[[str, int, int], None]  # current step, amount done, total amount


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How the image files of a category are decoded.

    Attributes:
        bits: bits that a 16-bit sample uses, see `Source.bits`.
        max_megapixels: larger images are refused, see `Source.max_megapixels`.
    """

    bits: int | None = None
    max_megapixels: float | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset on disk: a folder, its official layout, and where it comes from.

    A new dataset is one subclass with `scan`, and one YAML file in `conf/dataset/`.

    Args:
        name: the name that a user types after `dataset=`.
        root: the folder that holds one folder per category.
        homepage: the page where a person gets the data.
        licence: the terms of use.
        tree: the expected layout below `root` in one line, for the error message.
        marker: the subfolder of a category by which this layout is recognised.
        archives: the files that `download` fetches.
        download: whether to fetch the archives when no category is found.
        check_counts: whether to warn when the number of images is not that of the official dataset.
        preprocess: applied to every image at its native resolution, after a domain shift:
            `none`, `grey_world`, `max_rgb` or `homomorphic`.
        bits: number of bits that a sample of 16-bit images uses: 8, 10, 12, 14 or 16; None
            recognises it from the training images.
        max_megapixels: images with more than this many million pixels are refused; None refuses none.

    Raises:
        AdframeError: if `preprocess`, `bits` or `max_megapixels` has an impossible value.

    Example:
        >>> from adframe.data.mvtec_ad import MvtecAd
        >>> Path("mvtec_ad/bottle/train/good").mkdir(parents=True)
        >>> source = MvtecAd(root=Path("mvtec_ad"))
        >>> source.choose("all")
        ['bottle']
    """

    name: str
    root: Path
    homepage: str
    licence: str
    tree: str
    marker: str = "train/good"
    archives: Sequence[Archive] = ()
    download: bool = False
    check_counts: bool = False
    preprocess: str = "none"
    bits: int | None = None
    max_megapixels: float | None = 300

    def __post_init__(self) -> None:
        if self.preprocess not in PREPROCESSES:
            raise AdframeError(unknown("dataset.preprocess", self.preprocess, PREPROCESSES))
        if self.bits is not None and (self.bits not in BITS or not isinstance(self.bits, int)):
            raise AdframeError(f"dataset.bits={self.bits} must be null or one of {', '.join(map(str, BITS))}")
        limit = self.max_megapixels
        if limit is not None and (isinstance(limit, bool | str) or not 0 < limit < math.inf):
            raise AdframeError(f"dataset.max_megapixels={limit} must be null or a number above 0")

    @property
    def saturated(self) -> bool:
        """Whether ground truth comes in channels that saturate (sPRO), not as components (AU-PRO)."""
        return False

    @property
    def split_origin(self) -> str:
        """Says where the split comes from, for a caption."""
        return "the original split of the dataset"

    @property
    def split_file_prefix(self) -> str:
        """First part of the names of its split files; it differs where other images have the same name."""
        return self.name

    def prepare(self, wanted: str | Sequence[str], *, progress: ProgressCallback | None = None) -> None:
        """Fetches or creates the missing files of the given categories; most datasets only download.

        Args:
            wanted: `all`, one category or several.
            progress: called with the current step, the amount done and the total amount.
        """
        del wanted
        if self.download and not self.found():
            fetch(
                self.archives,
                root=Path(self.root),
                name=self.name,
                licence=self.licence,
                homepage=self.homepage,
                say=logging.getLogger(__name__).warning,
                progress=progress,
            )

    def scan(self, category: str) -> list[Record]:
        """Lists all images of one category, of every split, in a fixed order.

        Args:
            category: name of a category that exists.

        Returns:
            One record per image; nothing is decoded yet.
        """
        raise NotImplementedError

    def read_options(self, category: str) -> ReadOptions:
        """Returns how the image files of a category are decoded.

        Args:
            category: name of a category; only datasets with several members depend on it.
        """
        del category
        return ReadOptions(bits=self.bits, max_megapixels=self.max_megapixels)

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders from which `scan` takes files directly, without their subfolders.

        Args:
            category: name of a category.

        Returns:
            The folders, which need not exist; [] where the layout is free.
        """
        del category
        return []

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks that belong to normal images, next to the masks of defects.

        Args:
            category: name of a category.

        Returns:
            The path of the image, mapped to the path of its mask.
        """
        del category
        return {}

    def notes(self, category: str) -> list[str]:
        """Describes files in the folders of a category that are not read, for the report.

        Args:
            category: name of a category.

        Returns:
            Complete lines for the report; [] if every file is read.
        """
        left = unread_files(self.folders_read(category), root=Path(self.root) / category)
        return [f"{category}: files that are not read: {left}"] if left else []

    def found(self) -> list[str]:
        """Returns the names of the categories that exist below `root`, sorted."""
        return [folder.name for folder in folders_in(Path(self.root)) if (folder / self.marker).is_dir()]

    def categories(self) -> list[str]:
        """Returns the categories that exist.

        Raises:
            AdframeError: if there are none; the message says what is expected where.
        """
        if not (found := self.found()):
            raise AdframeError(self._missing(Path(self.root)))
        return found

    def choose(self, wanted: str | Sequence[str]) -> list[str]:
        """Turns the value of `category=` into names of categories that exist.

        Args:
            wanted: `all`, one name or several.

        Returns:
            The names, in the given order.

        Raises:
            AdframeError: if a name is unknown, not UTF-8, or reserved for rows of tables.
        """
        known = self.categories()
        names = known if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            # Python maps file-name bytes that are not UTF-8 to these surrogates, which no page can print.
            if any("\udc80" <= letter <= "\udcff" for letter in str(name)):
                raise AdframeError(
                    f"category {name!r} in {self.root} has a name that is not UTF-8; rename it"
                )
            if name in known and name in RESERVED:
                raise AdframeError(
                    f"category {name!r} in {self.root} has a name that is reserved for tables; rename it"
                )
            if name not in known:
                raise AdframeError(unknown("category", str(name), known, where=f"in {self.root}"))
        return names

    def _missing(self, root: Path) -> str:
        content = list(root.iterdir()) if root.is_dir() else []
        state = "has another layout" if content else "is empty" if root.is_dir() else "does not exist"
        fetched = ", fetch it with dataset.download=true" if self.archives else ""
        licence = f" ({self.licence})" if self.licence else ""
        # The images of one's own folder come from no page.
        got = f"get the data from {self.homepage}{licence}{fetched}, or " if self.homepage else ""
        return (
            f"dataset={self.name}: the folder {root.resolve()} {state}; it should hold {self.tree}; "
            f"{got}name another folder with dataset.root=<folder>"
        )
