"""`dataset=toy`: a dataset that draws itself, in any official layout, and is then read like the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import ProgressCallback, Source
from adframe.data.mvtec_ad import MvtecAd
from adframe.data.mvtec_ad2 import MvtecAd2
from adframe.data.mvtec_loco import MvtecLoco
from adframe.errors import AdframeError, unknown
from adframe.toy.layouts import write_toy

READERS: dict[str, type[Source]] = {"mvtec_ad": MvtecAd, "mvtec_loco": MvtecLoco, "mvtec_ad2": MvtecAd2}


@dataclass(frozen=True, kw_only=True)
class Toy(Source):
    """Three artificial products, drawn once under `root` and read by the class of the layout.

    Args:
        layout: `mvtec_ad`, `mvtec_loco` or `mvtec_ad2`.
        products: the products to draw: `weave`, `bracket`, `tray`.
        size: side of an image in pixels, 64 or more.
        train: number of training images per product.
        validation: number of validation images per product, in layouts that have them.
        test_good: number of normal test images per product.
        test_bad: number of defective test images per product.
        seed: seed of every image; a folder that was drawn with another seed is refused.

    Raises:
        AdframeError: if `layout` is unknown.

    Example:
        >>> source = Toy(root="toy", products=["weave"], size=64, train=2, test_good=1, test_bad=1)
        >>> source.prepare("all")
        >>> [(record.split, record.label) for record in source.scan("weave")]
        [('train', 0), ('train', 0), ('test', 0), ('test', 1)]
    """

    name: str = "toy"
    homepage: str = "adframe itself (it is drawn on first use)"
    licence: str = "no restriction"
    tree: str = "what the layout has; delete the folder and it is drawn again"

    layout: str = "mvtec_ad"
    products: Sequence[str] = ("weave", "bracket", "tray")
    size: int = 256
    train: int = 60
    validation: int = 12
    test_good: int = 20
    test_bad: int = 40
    seed: int = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in READERS:
            raise AdframeError(unknown("dataset.layout", self.layout, READERS))

    def prepare(self, wanted: str | Sequence[str], *, progress: ProgressCallback | None = None) -> None:
        """Draws the images of all products, unless they exist.

        Args:
            wanted: ignored; all products are drawn at once, completely or not at all.
            progress: ignored.

        Raises:
            AdframeError: if the folder holds images of other settings.
        """
        del wanted, progress
        write_toy(
            Path(self.root),
            layout=self.layout,
            categories=tuple(self.products),
            image_size=self.size,
            train=self.train,
            validation=self.validation,
            test_good=self.test_good,
            test_bad=self.test_bad,
            seed=self.seed,
        )

    @property
    def split_file_prefix(self) -> str:
        """The name with all numbers: toy datasets of other sizes have other images."""
        counts = f"{self.train}-{self.validation}-{self.test_good}-{self.test_bad}"
        return f"{self.name}-{self.layout}-{self.size}px-{counts}-{self.seed}"

    @property
    def saturated(self) -> bool:
        """True where the layout uses saturated channels."""
        return self._reader().saturated

    def scan(self, category: str) -> list[Record]:
        """Lists the images of one product as the class of the layout does."""
        return self._reader().scan(category)

    def _reader(self) -> Source:
        return READERS[self.layout](
            name=self.name, root=self.root, homepage=self.homepage, licence=self.licence, tree=self.tree
        )
