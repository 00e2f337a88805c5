"""MVTec AD 2 on disk (Heckler-Kram et al., arXiv 2503.21622): several light conditions, private test sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, UNLABELLED, Record
from adframe.data.base import Source
from adframe.data.listing import Masks, images_in
from adframe.errors import AdframeError

PRIVATE = ("test_private", "test_private_mixed")


@dataclass(frozen=True, kw_only=True)
class MvtecAd2(Source):
    """`<object>/{train,validation}/good`, `test_public/{good,bad,ground_truth/bad}`, `<part>_<light>.png`.

    The private test sets lie flat in `test_private` and `test_private_mixed` and have no labels: their
    images get scores and maps, and nothing is measured on them.

    Args:
        private: read the private test sets too; they are as large as all the rest.
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
        """Records of train, validation and the test sets; pictures of one part share a group."""
        base = Path(self.root) / category
        records = [
            _record(path, category, split, folder)
            for split, folder in (("train", "train"), ("val", "validation"), ("test", "test_public"))
            for path in images_in(base / folder / GOOD)
        ]
        masks = Masks(base / "test_public" / "ground_truth" / "bad")
        for path in images_in(base / "test_public" / "bad"):
            mask = masks.of(path, f"{path.stem}_mask")
            records.append(_record(path, category, "test", "test_public", defect="bad", mask=mask))
        return records + (self._unlabelled(category) if self.private else [])

    def places(self, category: str) -> list[Path]:
        """Train, validation and the public test set; the private ones where they are read."""
        base, public = Path(self.root) / category, Path(self.root) / category / "test_public"
        shown = [base / name / GOOD for name in ("train", "validation")]
        tested = [
            public / name
            for name in ("", GOOD, "bad", "ground_truth", "ground_truth/bad", "ground_truth/good")
        ]
        return [*shown, *tested, *(base / name for name in PRIVATE if self.private)]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """`test_public/ground_truth/good`, which some copies have."""
        public = Path(self.root) / category / "test_public"
        return Masks(public / "ground_truth" / GOOD).beside(images_in(public / GOOD), "_mask", "")

    def _unlabelled(self, category: str) -> list[Record]:
        """The private sets show the same parts in two lights; it is an error to ask for what is not there."""
        base = Path(self.root) / category
        records = [
            _private_record(path, category, name) for name in PRIVATE for path in images_in(base / name)
        ]
        if not records:
            raise AdframeError(
                f"dataset.private=true: no images in {base / PRIVATE[0]} or {base / PRIVATE[1]}; "
                "add them or leave it out"
            )
        return records


def _record(
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
        group=f"test_private/{part}",
        part=part,
        condition=condition,
    )
