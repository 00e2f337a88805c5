"""BTAD on disk (Mishra et al., ISIE 2021): beanTech's three products, `ok` and `ko`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.listing import Masks, images_in


@dataclass(frozen=True, kw_only=True)
class Btad(Source):
    """`<product>/{train/ok, test/{ok,ko}, ground_truth/ko}`, images and masks as bmp, jpg or png.

    A mask has its image's name; the suffix may be another one.
    """

    name: str = "btad"
    homepage: str = "https://avires.dimi.uniud.it/papers/btad/btad.zip"
    licence: str = "CC BY-SA, as the archive's readme says"
    tree: str = "<product>/{train/ok,test/{ok,ko},ground_truth/ko} with bmp, jpg or png"

    marker: str = "train/ok"

    def scan(self, category: str) -> list[Record]:
        """Train and test records of one product."""
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split=split, group=f"{split}/ok/{path.stem}")
            for split in ("train", "test")
            for path in images_in(base / split / "ok")
        ]
        masks = Masks(base / "ground_truth" / "ko")
        return records + [_defective(path, category, masks) for path in images_in(base / "test" / "ko")]

    def places(self, category: str) -> list[Path]:
        """Train, test, and where masks are."""
        names = ("train", "train/ok", "test", "test/ok", "test/ko")
        masks = ("ground_truth", "ground_truth/ok", "ground_truth/ko")
        return [Path(self.root) / category / name for name in (*names, *masks)]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """`ground_truth/ok`, which some copies have."""
        base = Path(self.root) / category
        return Masks(base / "ground_truth" / "ok").beside(images_in(base / "test" / "ok"), "")


def _defective(path: Path, category: str, masks: Masks) -> Record:
    return Record(
        path=path,
        category=category,
        split="test",
        defect="ko",
        subset="anomaly",
        label=1,
        masks=(masks.of(path, path.stem),),
        group=f"test/ko/{path.stem}",
    )
