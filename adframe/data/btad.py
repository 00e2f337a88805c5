"""BTAD on disk (Mishra et al., ISIE 2021): beanTech's three products, `ok` and `ko`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import AdframeError, Record
from adframe.data.source import Source, images_in


@dataclass(frozen=True, kw_only=True)
class Btad(Source):
    """`<product>/{train/ok, test/{ok,ko}, ground_truth/ko}`, images and masks as bmp, jpg or png.

    A mask has its image's name; the suffix may be another one.
    """

    marker: str = "train/ok"

    def scan(self, category: str) -> list[Record]:
        """Train and test records of one product."""
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split=split, group=f"{split}/ok/{path.stem}")
            for split in ("train", "test")
            for path in images_in(base / split / "ok")
        ]
        masks = {path.stem: path for path in images_in(base / "ground_truth" / "ko")}
        return records + [_defective(path, category, masks) for path in images_in(base / "test" / "ko")]


def _defective(path: Path, category: str, masks: dict[str, Path]) -> Record:
    if path.stem not in masks:
        expected = path.parents[2] / "ground_truth" / "ko" / f"{path.stem}.(png|bmp|jpg)"
        raise AdframeError(
            f"no ground-truth mask for {path}: expected {expected}; add it or remove the image"
        )
    return Record(
        path=path,
        category=category,
        split="test",
        defect="ko",
        subset="anomaly",
        label=1,
        masks=(masks[path.stem],),
        group=f"test/ko/{path.stem}",
    )
