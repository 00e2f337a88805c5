"""MVTec AD 2 on disk (Heckler-Kram et al., arXiv 2503.21622): several light conditions, private test sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, Record
from adframe.data.source import Source, existing_mask, images_in


@dataclass(frozen=True, kw_only=True)
class MvtecAd2(Source):
    """`<object>/{train,validation}/good`, `test_public/{good,bad,ground_truth/bad}`, `<part>_<light>.png`.

    The private test sets have no labels and are not read here: nothing could be measured on them.
    """

    def scan(self, category: str) -> list[Record]:
        """Records of train, validation and the public test set; pictures of one part share a group."""
        base = Path(self.root) / category
        records = [
            _record(path, category, split, folder)
            for split, folder in (("train", "train"), ("val", "validation"), ("test", "test_public"))
            for path in images_in(base / folder / GOOD)
        ]
        for path in images_in(base / "test_public" / "bad"):
            mask = base / "test_public" / "ground_truth" / "bad" / f"{path.stem}_mask.png"
            existing_mask(mask, image=path)
            records.append(_record(path, category, "test", "test_public", defect="bad", mask=mask))
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
        condition=condition,
    )
