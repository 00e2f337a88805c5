"""BTAD on disk (Mishra et al., ISIE 2021): three products of beanTech, with images in `ok` and `ko`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.listing import Masks, images_in


@dataclass(frozen=True, kw_only=True)
class Btad(Source):
    """`<product>/{train/ok, test/{ok,ko}, ground_truth/ko}` with images and masks as bmp, jpg or png.

    A mask has the name of its image; its suffix may differ.

    Example:
        >>> Path("btad/01/train/ok").mkdir(parents=True)
        >>> Btad(root=Path("btad")).found()
        ['01']
    """

    name: str = "btad"
    homepage: str = "https://avires.dimi.uniud.it/papers/btad/btad.zip"
    licence: str = "CC BY-SA, as the archive's readme says"
    tree: str = "<product>/{train/ok,test/{ok,ko},ground_truth/ko} with bmp, jpg or png"

    marker: str = "train/ok"

    def scan(self, category: str) -> list[Record]:
        """Lists the training and test images of one product, with the masks of defective ones.

        Args:
            category: name of the product, for example `01`.

        Raises:
            AdframeError: if a defective image has no mask.
        """
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split=split, group=f"{split}/ok/{path.stem}")
            for split in ("train", "test")
            for path in images_in(base / split / "ok")
        ]
        masks = Masks(base / "ground_truth" / "ko")
        return records + [_defective(path, category, masks) for path in images_in(base / "test" / "ko")]

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders of training images, test images and masks."""
        names = ("train", "train/ok", "test", "test/ok", "test/ko")
        masks = ("ground_truth", "ground_truth/ok", "ground_truth/ko")
        return [Path(self.root) / category / name for name in (*names, *masks)]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks in `ground_truth/ok`, which some copies of the dataset have."""
        base = Path(self.root) / category
        return Masks(base / "ground_truth" / "ok").matching(images_in(base / "test" / "ok"), "")


def _defective(path: Path, category: str, masks: Masks) -> Record:
    return Record(
        path=path,
        category=category,
        split="test",
        defect="ko",
        subset="anomaly",
        label=1,
        masks=(masks.require(path, path.stem),),
        group=f"test/ko/{path.stem}",
    )
