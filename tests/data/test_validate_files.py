import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.validate_files import check_files, check_splits, fingerprint
from adframe.errors import AdframeError
from tests.fakes.sources import source


@pytest.fixture
def toy(toy_ad: Source, tmp_path: Path) -> Source:
    shutil.copytree(Path(toy_ad.root) / "tray", tmp_path / "copy" / "tray")
    return source(tmp_path / "copy", "mvtec_ad")


def test_whole_files_pass_without_being_decoded(toy: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    check_files(toy.scan("tray"))


def test_a_mask_of_another_size_is_one_line_with_both(toy: Source) -> None:
    mask = next(record for record in toy.scan("tray") if record.masks).masks[0]
    Image.new("L", (30, 20)).save(mask)
    with pytest.raises(AdframeError, match=r"is 20x30 \(height x width\) but its image .* is 64x64") as error:
        check_files(toy.scan("tray"))
    assert str(mask) in str(error.value)


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize("keep", [0.0, 0.4, 0.6])
def test_a_truncated_file_is_found_and_the_others_are_not_decoded(
    kind: str, keep: float, toy: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(record for record in toy.scan("tray") if record.masks)
    path = record.path if kind == "image" else record.masks[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: round(keep * len(whole))])
    decoded: list[str] = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.filename) or load(self))
    with pytest.raises(AdframeError, match=f"{path.parent.name}/{path.name}"):
        check_files(toy.scan("tray"))
    assert {str(name) for name in decoded} <= {str(path)}


def test_the_fingerprint_sees_every_file_and_not_the_place(toy: Source, toy_ad: Source) -> None:
    before = fingerprint(toy.scan("tray"), root=toy.root)
    assert before == fingerprint(toy_ad.scan("tray"), root=toy_ad.root)
    assert before == fingerprint(reversed(toy.scan("tray")), root=toy.root)
    assert before != fingerprint(toy.scan("tray")[1:], root=toy.root)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "jpg"])
def test_the_fingerprint_changes_with_one_pixel(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    record, prints = Record(path=tmp_path / f"x.{suffix}", category="c", split="train"), []
    for value in (0, 255, 0):
        pixels[1, 1] = value  # far from the file's end
        Image.fromarray(pixels).save(record.path)
        prints.append(fingerprint([record], root=tmp_path))
    assert prints[0] == prints[2] != prints[1]


def test_the_fingerprint_changes_where_two_files_of_equal_ends_change_places(tmp_path: Path) -> None:
    records = [Record(path=tmp_path / f"{name}.png", category="c", split="train") for name in "ab"]
    for number, record in enumerate(records):
        record.path.write_bytes(b"head" + bytes([number]) + bytes(200))
    before = fingerprint(records, root=tmp_path)
    assert before == fingerprint(records[::-1], root=tmp_path)
    records[0].path.rename(tmp_path / "c.png")
    records[1].path.rename(records[0].path)
    (tmp_path / "c.png").rename(records[1].path)
    assert fingerprint(records, root=tmp_path) != before


def test_the_fingerprint_changes_with_a_mask(toy: Source) -> None:
    before = fingerprint(toy.scan("tray"), root=toy.root)
    mask = next(record for record in toy.scan("tray") if record.masks).masks[0]
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save(mask)
    assert fingerprint(toy.scan("tray"), root=toy.root) != before


def test_every_split_must_be_there_and_train_must_be_normal(toy: Source) -> None:
    records = [replace(r, split="val") if r.path.stem == "000" else r for r in toy.scan("tray")]
    with pytest.raises(AdframeError, match="no train images; found only"):
        check_splits([r for r in records if r.split != "train"], category="tray")
    with pytest.raises(AdframeError, match="no val images"):
        check_splits(toy.scan("tray"), category="tray")
    bad = [replace(r, split="train") if r.label else r for r in records]
    with pytest.raises(AdframeError, match="anomalous training images"):
        check_splits(bad, category="tray")
