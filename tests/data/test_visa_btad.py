"""VisA in its own layout and converted; BTAD."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from adframe.contracts import REGIONS, Record
from adframe.data.base import Source
from adframe.data.btad import Btad
from adframe.data.dataset import ImageDataset, View
from adframe.data.visa import Visa
from adframe.errors import AdframeError
from tests.fakes.pictures import draw, draw_mask

NAMED = {"homepage": "https://home.page", "licence": "CC0", "tree": "..."}
HEADER = ["object", "split", "label", "image", "mask"]


def kinds(records: list[Record]) -> dict[tuple[str, str, str, int | None], int]:
    return dict(Counter((r.split, r.defect, r.subset, r.label) for r in records))


def regions(records: list[Record]) -> list[int]:
    items = ImageDataset(records, view=View(size=(32, 32)), truth=True)
    return [len(item[REGIONS]) for item in items]


def write_official(root: Path, *, header: list[str] = HEADER) -> list[list[str]]:
    rows = []
    for name in ("candle", "pcb1"):
        for i in range(4):
            image = draw(root / name / "Data/Images/Normal" / f"{i:04d}.JPG")
            split = "train" if i < 3 else "test"
            rows.append([name, split, "normal", image.relative_to(root).as_posix(), ""])
        for i in range(3):
            image = draw(root / name / "Data/Images/Anomaly" / f"{i:03d}.JPG", defect=True)
            mask = draw_mask(root / name / "Data/Masks/Anomaly" / f"{i:03d}.png", value=i + 1)
            places = [path.relative_to(root).as_posix() for path in (image, mask)]
            rows.append([name, "test", "anomaly", *places])
    write_rows(root, rows, header=header)
    return rows


def write_rows(root: Path, rows: list[list[str]], *, header: list[str] = HEADER) -> None:
    (root / "split_csv").mkdir(exist_ok=True)
    with (root / "split_csv" / "1cls.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def visa(root: Path) -> Visa:
    return Visa(name="visa", root=root, **NAMED)


def test_visa_as_its_makers_laid_it_out(tmp_path: Path) -> None:
    write_official(tmp_path)
    source = visa(tmp_path)
    assert source.categories() == ["candle", "pcb1"]
    records = source.scan("pcb1")
    assert kinds(records) == {
        ("train", "good", "good", 0): 3,
        ("test", "good", "good", 0): 1,
        ("test", "bad", "anomaly", 1): 3,
    }
    assert all(record.category == "pcb1" and "pcb1" in str(record.path) for record in records)
    assert regions(records) == [0, 0, 0, 0, 1, 1, 1]  # masks hold class numbers 1, 2, 3


def test_visas_categories_are_those_of_the_split_file(tmp_path: Path) -> None:
    rows = write_official(tmp_path)
    write_rows(tmp_path, [row for row in rows if row[0] == "pcb1"])
    assert visa(tmp_path).categories() == ["pcb1"]
    (tmp_path / "split_csv" / "1cls.csv").write_text(
        "\ufeff" + (tmp_path / "split_csv" / "1cls.csv").read_text(), encoding="utf-8"
    )
    assert visa(tmp_path).categories() == ["pcb1"]  # with a byte order mark, as table programs save it


def test_a_split_file_without_its_columns_says_which(tmp_path: Path) -> None:
    write_official(tmp_path, header=["object", "set", "label", "picture", "mask"])
    with pytest.raises(AdframeError, match=r"1cls\.csv lacks the columns image, split$"):
        visa(tmp_path).categories()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (1, "validation", "split is 'validation', not train or test"),
        (2, "bad", "label is 'bad', not normal or anomaly"),
        (3, "", "image is empty"),
        (4, "", "mask is empty"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_line(place: int, value: str, words: str, tmp_path: Path) -> None:
    rows = write_official(tmp_path)
    rows[-1][place] = value
    write_rows(tmp_path, rows)
    with pytest.raises(AdframeError, match=f"line 15: {words}"):
        visa(tmp_path).scan("pcb1")


def test_a_row_that_ends_early_and_a_file_that_is_no_text_are_one_line(tmp_path: Path) -> None:
    write_rows(tmp_path, [*write_official(tmp_path)[:-1], ["pcb1", "test", "anomaly"]])
    with pytest.raises(AdframeError, match="line 15: image is empty"):
        visa(tmp_path).scan("pcb1")
    (tmp_path / "split_csv" / "1cls.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(AdframeError, match=r"1cls\.csv is no table"):
        visa(tmp_path).categories()


def test_a_mask_that_the_split_file_names_must_be_there(tmp_path: Path) -> None:
    write_official(tmp_path)
    lost = tmp_path / "pcb1/Data/Masks/Anomaly/001.png"
    lost.unlink()
    with pytest.raises(
        AdframeError, match=r"no ground-truth mask for .*Anomaly/001\.JPG: expected "
    ) as error:
        visa(tmp_path).scan("pcb1")
    assert str(lost) in str(error.value)
    assert len(visa(tmp_path).scan("candle")) == 7


def test_visa_converted_reads_the_same(tmp_path: Path) -> None:
    base = tmp_path / "candle"
    for i in range(3):
        draw(base / "train/good" / f"{i:04d}.JPG")
        draw(base / "test/bad" / f"{i:03d}.JPG", defect=True)
        draw_mask(base / "ground_truth/bad" / f"{i:03d}.png", value=i + 1)
    draw(base / "test/good/0003.JPG")
    assert visa(tmp_path).categories() == ["candle"]
    records = visa(tmp_path).scan("candle")
    write_official(tmp_path / "official")
    assert kinds(records) == kinds(visa(tmp_path / "official").scan("candle"))
    assert regions(records) == [0, 0, 0, 0, 1, 1, 1]


def btad(root: Path, image: str, mask: str) -> Source:
    for i in range(2):
        draw(root / "02/train/ok" / f"{i:04d}.{image}")
        draw(root / "02/test/ko" / f"{i:04d}.{image}", defect=True)
        draw_mask(root / "02/ground_truth/ko" / f"{i:04d}.{mask}")
    draw(root / "02/test/ok" / f"0000.{image}")
    return Btad(name="btad", root=root, marker="train/ok", **NAMED)


@pytest.mark.parametrize(("image", "mask"), [("bmp", "png"), ("png", "png"), ("JPG", "bmp"), ("bmp", "jpg")])
def test_btad_reads_ok_and_ko_whatever_the_format(image: str, mask: str, tmp_path: Path) -> None:
    source = btad(tmp_path, image, mask)
    assert source.categories() == ["02"]
    records = source.scan("02")
    assert kinds(records) == {
        ("train", "good", "good", 0): 2,
        ("test", "good", "good", 0): 1,
        ("test", "ko", "anomaly", 1): 2,
    }
    if mask != "jpg":  # its noise makes regions of its own
        assert regions(records) == [0, 0, 0, 1, 1]


def test_btads_missing_mask_is_named(tmp_path: Path) -> None:
    source = btad(tmp_path, "bmp", "png")
    (tmp_path / "02/ground_truth/ko/0001.png").unlink()
    with pytest.raises(AdframeError, match=r"no ground-truth mask for .*test/ko/0001\.bmp: expected .*/0001"):
        source.scan("02")
