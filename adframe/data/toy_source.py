"""`dataset=toy`: a dataset that writes itself, in any official layout, and is then read like the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Progress, Source
from adframe.data.mvtec_ad import MvtecAd
from adframe.data.mvtec_ad2 import MvtecAd2
from adframe.data.mvtec_loco import MvtecLoco
from adframe.errors import AdframeError, unknown
from adframe.toy.layouts import write_toy

READERS: dict[str, type[Source]] = {"mvtec_ad": MvtecAd, "mvtec_loco": MvtecLoco, "mvtec_ad2": MvtecAd2}


@dataclass(frozen=True, kw_only=True)
class Toy(Source):
    """Three made-up products, written once under `root` and read back by the layout's own reader.

    Args:
        layout: `mvtec_ad`, `mvtec_loco` or `mvtec_ad2`.
        products: the product families to write.
        size: side of an image in pixels, 64 or more.
        train: training images a product; `validation`, `test_good` and `test_bad` likewise.
        seed: draws every picture; a set on disk made with another seed is refused.
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

    def prepare(self, wanted: str | Sequence[str], *, progress: Progress | None = None) -> None:
        """Writes the pictures of all products, whole or not at all; does nothing where they are there."""
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
    def book_name(self) -> str:
        """Toy sets of other sizes are other images."""
        counts = f"{self.train}-{self.validation}-{self.test_good}-{self.test_bad}"
        return f"{self.name}-{self.layout}-{self.size}px-{counts}-{self.seed}"

    @property
    def saturated(self) -> bool:
        """As the layout has it."""
        return self._reader().saturated

    def scan(self, category: str) -> list[Record]:
        """Records of one product, as the layout's reader sees them."""
        return self._reader().scan(category)

    def _reader(self) -> Source:
        return READERS[self.layout](
            name=self.name, root=self.root, homepage=self.homepage, licence=self.licence, tree=self.tree
        )
