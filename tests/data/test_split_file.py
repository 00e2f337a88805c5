"""Splits are written once, read back, and refused where they no longer fit."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.split_file import SplitFile
from adframe.data.splits import Holdout, MvtecShiftProtocol, Protocol
from adframe.errors import AdframeError
from tests.fakes.sources import source

HOLDOUT = Holdout(0.34)


@pytest.fixture
def toy(toy_ad: Source, tmp_path: Path) -> Source:
    shutil.copytree(Path(toy_ad.root) / "tray", tmp_path / "copy" / "tray")
    return source(tmp_path / "copy", "mvtec_ad")


def book(toy: Source, *, seed: int = 5) -> SplitFile:
    return SplitFile(Path(toy.root).parent / "splits", dataset="mvtec_ad", root=Path(toy.root), seed=seed)


def applied(toy: Source, protocol: Protocol = HOLDOUT, *, seed: int = 5) -> list[Record]:
    writer = book(toy, seed=seed)
    records = writer.apply(protocol, toy.scan("tray"), category="tray")
    writer.write()
    return records


def edit(toy: Source, change: Callable[[dict[str, Any]], object]) -> None:
    path = book(toy).path("tray")
    content = json.loads(path.read_text())
    change(content["protocols"])
    path.write_text(json.dumps(content))


def swap(protocols: dict[str, Any]) -> None:
    """Another image is held out than the protocol would draw."""
    (sides,) = protocols.values()
    sides["train"][0], sides["val"][0] = sides["val"][0], sides["train"][0]


def test_it_is_written_once_with_relative_paths(toy: Source) -> None:
    records = applied(toy)
    path = book(toy).path("tray")
    assert path.name == "mvtec_ad_tray_5.json"
    content = json.loads(path.read_text())
    assert (content["dataset"], content["category"], content["seed"]) == ("mvtec_ad", "tray", 5)
    (sides,) = content["protocols"].values()
    for split, names in sides.items():
        assert names == [f"{r.path.relative_to(toy.root).as_posix()}" for r in records if r.split == split]
    before = path.stat().st_mtime_ns
    assert applied(toy) == records
    assert path.stat().st_mtime_ns == before


def test_nothing_is_written_before_it_is_told_to(toy: Source) -> None:
    drawn = book(toy).apply(HOLDOUT, toy.scan("tray"), category="tray")
    assert not book(toy).folder.exists()
    assert drawn == applied(toy)


def test_what_is_written_wins_over_what_would_be_drawn(toy: Source) -> None:
    drawn = applied(toy)
    edit(toy, swap)
    again = applied(toy)
    assert again != drawn
    assert {r.path for r in again if r.split == "val"} ^ {r.path for r in drawn if r.split == "val"}
    assert [r.path for r in again] == [r.path for r in drawn]


def test_protocols_and_shares_stand_side_by_side_and_seeds_apart(toy: Source) -> None:
    first = applied(toy)
    applied(toy, MvtecShiftProtocol())
    applied(toy, Holdout(0.5))
    assert len(json.loads(book(toy).path("tray").read_text())["protocols"]) == 3
    assert applied(toy) == first
    applied(toy, seed=6)
    assert len(list(book(toy).folder.iterdir())) == 2


def test_a_moved_root_keeps_it_valid(toy: Source) -> None:
    before = [record.split for record in applied(toy)]
    edit(toy, swap)
    swapped = [record.split for record in applied(toy)]
    moved = source(Path(toy.root).rename(Path(toy.root).with_name("moved")), "mvtec_ad")
    assert [record.split for record in applied(moved)] == swapped != before


def test_files_that_are_gone_or_new_are_named(toy: Source) -> None:
    applied(toy)
    base = Path(toy.root) / "tray" / "train" / "good"
    (base / "000.png").rename(base / "777.png")
    with pytest.raises(AdframeError, match=r"1 gone .*000.* and 1 new .*777.*delete the file") as error:
        applied(toy)
    assert "\n" not in str(error.value)
    (base / "777.png").rename(base / "000.png")
    applied(toy)


def listed_twice(protocols: dict[str, Any]) -> None:
    (sides,) = protocols.values()
    sides["test"].append(sides["train"][0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.update({key: [] for key in p}), "is no split file"),
        (lambda p: [s.update(train="all") for s in p.values()], "a side is a list of paths"),
        (lambda p: [s.update(valid=s.pop("val")) for s in p.values()], "unknown side 'valid'"),
        (lambda p: [s.update(train=[3, {}]) for s in p.values()], "is no split file"),
        (listed_twice, "000.png is listed twice"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(change: Callable, words: str, toy: Source) -> None:
    applied(toy)
    edit(toy, change)
    with pytest.raises(AdframeError, match=rf"{words}.*delete it and it is drawn again") as error:
        applied(toy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"protocols": 3}', '{"category": "tray"}'])
def test_damaged_json_is_one_line(text: str, toy: Source) -> None:
    applied(toy)
    book(toy).path("tray").write_text(text)
    with pytest.raises(AdframeError, match=r"mvtec_ad_tray_5\.json is no split file") as error:
        applied(toy)
    assert "\n" not in str(error.value)


def test_a_file_that_parts_one_parts_pictures_is_refused(toy_ad2: Source, tmp_path: Path) -> None:
    def draw() -> list[Record]:
        writer = SplitFile(tmp_path, dataset="ad2", root=Path(toy_ad2.root), seed=0)
        records = writer.apply(MvtecShiftProtocol(), toy_ad2.scan("tray"), category="tray")
        writer.write()
        return records

    held = [record for record in draw() if record.split == "val" and record.label]
    assert len(held) == 8  # two parts in four lights
    content = json.loads((tmp_path / "ad2_tray_0.json").read_text())
    (sides,) = content["protocols"].values()
    sides["test"].append(sides["val"].pop())
    (tmp_path / "ad2_tray_0.json").write_text(json.dumps(content))
    with pytest.raises(AdframeError, match="puts the images of one part, test_public/bad"):
        draw()


def test_other_images_in_another_root_have_splits_of_their_own(toy: Source, tmp_path: Path) -> None:
    """One dataset's name, one category, one folder of splits, and two roots."""
    folder, other = tmp_path / "splits", tmp_path / "other"
    shutil.copytree(toy.root, other)
    (other / "tray" / "train" / "good" / "000.png").rename(other / "tray" / "train" / "good" / "900.png")

    def split(root: Path) -> set[str]:
        found = SplitFile(folder, dataset="mvtec_ad", root=root, seed=0)
        records = found.apply(Holdout(0.5), replace(toy, root=root).scan("tray"), category="tray")
        found.write()
        return {r.path.name for r in records if r.split == "val"}

    first, second = split(Path(toy.root)), split(other)
    assert (split(Path(toy.root)), split(other)) == (first, second)
    assert len(list(folder.iterdir())) == 1
    (other / "tray" / "train" / "good" / "900.png").unlink()
    with pytest.raises(AdframeError, match="was drawn for other images"):
        split(other)
