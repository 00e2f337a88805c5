"""MVTec AD on disk (Bergmann et al., IJCV 2021): good images to train on, a folder a defect type to test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, Record
from adframe.data.source import Source, existing_mask, images_in


@dataclass(frozen=True, kw_only=True)
class MvtecAd(Source):
    """`<category>/{train/good, test/<defect>, ground_truth/<defect>/<id>_mask.png}`; no validation split."""

    def scan(self, category: str) -> list[Record]:
        """Train and test records; a defect without its mask is an error."""
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split="train", group=f"train/{path.stem}")
            for path in images_in(base / "train" / GOOD)
        ]
        for folder in sorted(p for p in (base / "test").glob("*") if p.is_dir()):
            records += [_test_record(path, base, category) for path in images_in(folder)]
        return records


def _test_record(path: Path, base: Path, category: str) -> Record:
    defect = path.parent.name
    group = f"{defect}/{path.stem}"
    if defect == GOOD:
        return Record(path=path, category=category, split="test", group=group)
    mask = existing_mask(base / "ground_truth" / defect / f"{path.stem}_mask.png", image=path)
    return Record(
        path=path,
        category=category,
        split="test",
        defect=defect,
        subset="anomaly",
        label=1,
        masks=(mask,),
        group=group,
    )
