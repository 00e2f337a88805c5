"""MVTec AD 2 on disk (Heckler-Kram et al., arXiv 2503.21622): several light conditions, private test sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, UNLABELLED, Record
from adframe.data.base import Source
from adframe.data.listing import Masks, images_in
from adframe.errors import AdframeError

PRIVATE_FOLDERS = ("test_private", "test_private_mixed")


@dataclass(frozen=True, kw_only=True)
class MvtecAd2(Source):
    """`<object>/{train,validation}/good`, `test_public/{good,bad,ground_truth/bad}`, `<part>_<light>.png`.

    The private test sets lie flat in `test_private` and `test_private_mixed` and have no labels: their
    images get scores and maps, but no metrics.

    Args:
        private: whether to read the private test sets too; they are as large as all other images together.

    Example:
        >>> folder = Path("ad2/vial/train/good")
        >>> folder.mkdir(parents=True)
        >>> (folder / "003_regular.png").touch()
        >>> record = MvtecAd2(root=Path("ad2")).scan("vial")[0]
        >>> record.part, record.condition
        ('003', 'regular')
    """

    name: str = "mvtec_ad2"
    homepage: str = "https://www.mvtec.com/company/research/datasets/mvtec-ad-2"
    licence: str = "CC BY-NC-SA 4.0"
    tree: str = (
        "<object>/{train,validation}/good/*_regular.png, "
        "<object>/test_public/{good,bad}/*_<condition>.png and "
        "<object>/test_public/ground_truth/bad/*_mask.png"
    )

    private: bool = False

    def scan(self, category: str) -> list[Record]:
        """Lists the images of all splits; images of one part share a group.

        Args:
            category: name of the object, for example `vial`.

        Raises:
            AdframeError: if a defective image has no mask, or private images are requested but missing.
        """
        base = Path(self.root) / category
        records = [
            _labelled_record(path, category, split, folder)
            for split, folder in (("train", "train"), ("val", "validation"), ("test", "test_public"))
            for path in images_in(base / folder / GOOD)
        ]
        masks = Masks(base / "test_public" / "ground_truth" / "bad")
        for path in images_in(base / "test_public" / "bad"):
            mask = masks.require(path, f"{path.stem}_mask")
            records.append(_labelled_record(path, category, "test", "test_public", defect="bad", mask=mask))
        return records + (self._unlabelled(category) if self.private else [])

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders of all splits; the private ones only if they are read."""
        base, public = Path(self.root) / category, Path(self.root) / category / "test_public"
        shown = [base / name / GOOD for name in ("train", "validation")]
        tested = [
            public / name
            for name in ("", GOOD, "bad", "ground_truth", "ground_truth/bad", "ground_truth/good")
        ]
        return [*shown, *tested, *(base / name for name in PRIVATE_FOLDERS if self.private)]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks in `test_public/ground_truth/good`, which some copies have."""
        public = Path(self.root) / category / "test_public"
        return Masks(public / "ground_truth" / GOOD).matching(images_in(public / GOOD), "_mask", "")

    def _unlabelled(self, category: str) -> list[Record]:
        """Lists the private images: two sets show the same parts in two lights."""
        base = Path(self.root) / category
        records = [
            _private_record(path, category, name)
            for name in PRIVATE_FOLDERS
            for path in images_in(base / name)
        ]
        if not records:
            raise AdframeError(
                f"dataset.private=true: no images in {base / PRIVATE_FOLDERS[0]} or "
                f"{base / PRIVATE_FOLDERS[1]}; add them or set dataset.private=false"
            )
        return records


def _labelled_record(
    path: Path, category: str, split: str, folder: str, *, defect: str = GOOD, mask: Path | None = None
) -> Record:
    part, _, condition = path.stem.partition("_")
    return Record(
        path=path,
        category=category,
        split=split,
        defect=defect,
        subset=GOOD if mask is None else "anomaly",
        label=int(mask is not None),
        masks=() if mask is None else (mask,),
        group=f"{folder}/{defect}/{part}",
        part=part,
        condition=condition,
    )


def _private_record(path: Path, category: str, folder: str) -> Record:
    part, _, condition = path.stem.partition("_")
    return Record(
        path=path,
        category=category,
        split="test",
        defect=folder,
        subset=UNLABELLED,
        label=None,
        # Both private sets show the same parts, so the group does not contain the name of the set.
        group=f"test_private/{part}",
        part=part,
        condition=condition,
    )
