"""VisA on disk (Zou et al., ECCV 2022): its own layout with a split file, or converted to MVTec's."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, Record
from adframe.data.base import Source
from adframe.data.listing import Masks, existing_mask, images_in
from adframe.errors import AdframeError

SPLIT = Path("split_csv") / "1cls.csv"
_ROW_VALUES: dict[str, tuple[str, ...]] = {  # allowed values per column; () allows any text
    "object": (),
    "split": ("train", "test"),
    "label": ("normal", "anomaly"),
    "image": (),
    "mask": (),
}


@dataclass(frozen=True, kw_only=True)
class Visa(Source):
    """`<object>/Data/{Images/{Normal,Anomaly},Masks/Anomaly}` with `split_csv/1cls.csv`, or converted.

    The converted layout, as the authors' script writes it, is `<object>/{train/good, test/{good,bad},
    ground_truth/bad}` with masks named like their images. Masks hold small class numbers, not 255.

    Example:
        >>> Path("visa/candle/train/good").mkdir(parents=True)
        >>> Path("visa/candle/train/good/0000.JPG").touch()
        >>> [record.split for record in Visa(root=Path("visa")).scan("candle")]
        ['train']
    """

    name: str = "visa"
    homepage: str = "https://github.com/amazon-science/spot-diff"
    licence: str = "CC BY 4.0"
    tree: str = (
        "split_csv/1cls.csv and <object>/Data/{Images/{Normal,Anomaly},Masks/Anomaly}, or "
        "converted: <object>/{train/good,test/{good,bad},ground_truth/bad}"
    )

    def found(self) -> list[str]:
        """Lists the objects in the split file, or the folders of the converted layout.

        Raises:
            AdframeError: if the split file is damaged.
        """
        if not (Path(self.root) / SPLIT).is_file():
            return super().found()
        return sorted({row["object"] for row in self._rows()})

    def scan(self, category: str) -> list[Record]:
        """Lists the training and test images of one object, with the masks of defective ones.

        Args:
            category: name of the object, for example `candle`.

        Raises:
            AdframeError: if a mask is missing, or the split file is damaged.
        """
        if not (Path(self.root) / SPLIT).is_file():
            return _converted(Path(self.root) / category, category)
        return [self._record(row) for row in self._rows() if row["object"] == category]

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders of the converted layout, or of the official one."""
        shown = ("train", "train/good", "test", "test/good", "test/bad")
        converted = (*shown, "ground_truth", "ground_truth/bad", "ground_truth/good")
        official = ("Data/Images", "Data/Images/Normal", "Data/Images/Anomaly", "Data/Masks/Anomaly")
        names = official if (Path(self.root) / SPLIT).is_file() else converted
        return [Path(self.root) / category / name for name in names]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds the masks that the split file names for normal images, or those in `ground_truth/good`."""
        root = Path(self.root)
        if (root / SPLIT).is_file():
            rows = [
                r for r in self._rows() if (r["object"], r["label"]) == (category, "normal") and r["mask"]
            ]
            return {root / row["image"]: root / row["mask"] for row in rows if (root / row["mask"]).is_file()}
        masks = Masks(root / category / "ground_truth" / GOOD)
        return masks.matching(images_in(root / category / "test" / GOOD), "", "_mask")

    def _rows(self) -> Iterator[dict[str, str]]:
        path = Path(self.root) / SPLIT
        try:
            # Spreadsheet programs write a byte-order mark, which would become part of the first column name.
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.DictReader(file)
                if missing := _ROW_VALUES.keys() - set(rows.fieldnames or ()):
                    raise AdframeError(f"{path} lacks the columns {', '.join(sorted(missing))}")
                for row in rows:
                    _check_row(row, where=f"{path}, line {rows.line_num}")
                    yield row
        except (UnicodeDecodeError, csv.Error) as error:
            raise AdframeError(f"{path} is no table: {error}; get it from {self.homepage}") from error

    def _record(self, row: dict[str, str]) -> Record:
        path = Path(self.root) / row["image"]
        normal = row["label"] == "normal"
        masks = () if normal else (existing_mask(Path(self.root) / row["mask"], image=path),)
        return _record(path, row["object"], split=row["split"], defect=GOOD if normal else "bad", masks=masks)


def _check_row(row: dict[str, str], *, where: str) -> None:
    """Checks a row of the split file: an unknown value would be read as something else, or not at all."""
    for column, known in _ROW_VALUES.items():
        value = row[column] or ""
        if known and value not in known:
            raise AdframeError(f"{where}: {column} is {value!r}, not {' or '.join(known)}")
        if not value and not (column == "mask" and row["label"] == "normal"):
            raise AdframeError(f"{where}: {column} is empty")


def _converted(base: Path, category: str) -> list[Record]:
    records = [
        _record(path, category, split=split, defect=GOOD, masks=())
        for split in ("train", "test")
        for path in images_in(base / split / GOOD)
    ]
    masks = Masks(base / "ground_truth" / "bad")
    for path in images_in(base / "test" / "bad"):
        mask = masks.require(path, path.stem)
        records.append(_record(path, category, split="test", defect="bad", masks=(mask,)))
    return records


def _record(path: Path, category: str, *, split: str, defect: str, masks: tuple[Path, ...]) -> Record:
    return Record(
        path=path,
        category=category,
        split=split,
        defect=defect,
        subset=GOOD if defect == GOOD else "anomaly",
        label=int(defect != GOOD),
        masks=masks,
        group=f"{split}/{defect}/{path.stem}",
    )
