"""MVTec AD on disk (Bergmann et al., IJCV 2021): normal training images, one test folder per defect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, Record
from adframe.data.base import Source
from adframe.data.listing import Masks, folders_in, images_in


@dataclass(frozen=True, kw_only=True)
class MvtecAd(Source):
    """`<category>/{train/good, test/<defect>, ground_truth/<defect>/<id>_mask.png}`, no validation split.

    Example:
        >>> Path("mvtec/bottle/train/good").mkdir(parents=True)
        >>> Path("mvtec/bottle/train/good/000.png").touch()
        >>> MvtecAd(root=Path("mvtec")).scan("bottle")[0].split
        'train'
    """

    name: str = "mvtec_ad"
    homepage: str = "https://www.mvtec.com/company/research/datasets/mvtec-ad"
    licence: str = "CC BY-NC-SA 4.0"
    tree: str = (
        "<category>/train/good/*.png, <category>/test/{good,<defect>}/*.png and "
        "<category>/ground_truth/<defect>/*_mask.png"
    )

    def scan(self, category: str) -> list[Record]:
        """Lists the training and test images of a category, with the masks of defective ones.

        Args:
            category: name of the category, for example `bottle`.

        Raises:
            AdframeError: if a defective image has no mask.
        """
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split="train", group=f"train/{path.stem}")
            for path in images_in(base / "train" / GOOD)
        ]
        for folder in folders_in(base / "test"):
            masks = Masks(base / "ground_truth" / folder.name)
            records += [_test_record(path, masks, category) for path in images_in(folder)]
        return records

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders of training images, of each defect type, and of its masks."""
        base = Path(self.root) / category
        tops = [base / name for name in ("train", "test", "ground_truth")]
        return [*tops, tops[0] / GOOD, *folders_in(tops[1]), *folders_in(tops[2])]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks in `ground_truth/good`, which some datasets of this layout have."""
        base = Path(self.root) / category
        return Masks(base / "ground_truth" / GOOD).matching(images_in(base / "test" / GOOD), "_mask", "")


def _test_record(path: Path, masks: Masks, category: str) -> Record:
    defect = path.parent.name
    group = f"{defect}/{path.stem}"
    if defect == GOOD:
        return Record(path=path, category=category, split="test", group=group)
    return Record(
        path=path,
        category=category,
        split="test",
        defect=defect,
        subset="anomaly",
        label=1,
        masks=(masks.require(path, f"{path.stem}_mask"),),
        group=group,
    )
