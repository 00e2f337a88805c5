"""Every layout, read from the toy set written in it."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from adframe.contracts import GOOD, Record
from adframe.data.base import Source
from adframe.data.mvtec_loco import read_saturations
from adframe.data.toy_source import Toy
from adframe.errors import AdframeError
from adframe.toy.families import FAMILIES
from tests.fakes.sources import TEST_BAD, TEST_GOOD, TRAIN, VALIDATION, source

LIGHTS = {"regular", "overexposed", "underexposed", "shift_1"}


def counts(records: list[Record]) -> dict[tuple[str, str], int]:
    return dict(Counter((record.split, record.subset) for record in records))


def copy(original: Source, tmp_path: Path, category: str = "tray") -> Source:
    shutil.copytree(Path(original.root) / category, tmp_path / "copy" / category)
    return source(tmp_path / "copy", original.name)


@pytest.fixture(params=["toy_ad", "toy_loco", "toy_ad2"])
def toy(request: pytest.FixtureRequest) -> Source:
    return request.getfixturevalue(request.param)


def test_records_are_consistent(toy: Source) -> None:
    records = toy.scan("tray")
    assert len({record.path for record in records}) == len(records)
    for record in records:
        assert record.path.is_file()
        assert record.category == "tray"
        assert (
            record.label
            == int(record.defect != GOOD)
            == int(record.subset != GOOD)
            == int(bool(record.masks))
        )
        assert record.split == "test" or record.label == 0
        assert record.group


def test_no_group_lies_in_two_splits(toy: Source) -> None:
    sides: dict[str, set[str]] = {}
    for record in toy.scan("weave"):
        sides.setdefault(record.group, set()).add(record.split)
    assert all(len(splits) == 1 for splits in sides.values())


def test_scanning_twice_gives_the_same_order(toy: Source) -> None:
    assert toy.scan("tray") == toy.scan("tray")
    assert toy.categories() == toy.choose("all") == ["tray", "weave"]
    assert toy.choose("weave") == ["weave"]
    assert toy.choose(["weave", "tray"]) == ["weave", "tray"]


def test_mvtec_ad_has_what_was_written(toy_ad: Source) -> None:
    records = toy_ad.scan("tray")
    assert counts(records) == {
        ("train", "good"): TRAIN,
        ("test", "good"): TEST_GOOD,
        ("test", "anomaly"): TEST_BAD,
    }
    assert {record.defect for record in records} == {GOOD, *FAMILIES["tray"].kinds}
    for record in records:
        assert all(mask.parent.name == record.defect for mask in record.masks)
        assert not record.saturations
    assert not toy_ad.saturated


def test_mvtec_loco_tells_logical_from_structural(toy_loco: Source) -> None:
    assert counts(toy_loco.scan("tray")) == {
        ("train", "good"): TRAIN,
        ("val", "good"): VALIDATION,
        ("test", "good"): TEST_GOOD,
        ("test", "logical"): TEST_BAD // 2,
        ("test", "structural"): TEST_BAD // 2,
    }
    assert counts(toy_loco.scan("weave"))["test", "structural"] == TEST_BAD
    assert toy_loco.saturated
    assert all(record.saturations for record in toy_loco.scan("tray") if record.label)


def test_mvtec_ad2_groups_a_part_under_all_its_lights(toy_ad2: Source) -> None:
    records = toy_ad2.scan("tray")
    assert counts(records) == {
        ("train", "good"): TRAIN,
        ("val", "good"): VALIDATION,
        ("test", "good"): 4 * TEST_GOOD,
        ("test", "anomaly"): 4 * TEST_BAD,
    }
    lights: dict[str, set[str]] = {}
    for record in records:
        lights.setdefault(record.group, set()).add(record.condition)
        assert all(mask.name == f"{record.path.stem}_mask.png" for mask in record.masks)
    assert all(seen == (LIGHTS if "test" in group else {"regular"}) for group, seen in lights.items())
    assert not any("private" in str(record.path) for record in records)


@pytest.mark.parametrize(
    ("name", "mask"), [("toy_ad", "*_mask.png"), ("toy_ad2", "*_mask.png"), ("toy_loco", "*.png")]
)
def test_a_missing_mask_names_the_image_and_the_path_expected(
    name: str, mask: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    toy = copy(request.getfixturevalue(name), tmp_path)
    lost = min(Path(toy.root).rglob("ground_truth")).rglob(mask)
    lost = sorted(lost)[0]
    for sibling in lost.parent.iterdir() if name == "toy_loco" else [lost]:
        sibling.unlink()
    with pytest.raises(AdframeError, match=r"no ground-truth mask for .*\.png: expected ") as error:
        toy.scan("tray")
    assert str(lost) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("state", ["does not exist", "is empty", "has another layout"])
def test_a_wrong_root_says_what_should_be_where_and_how_to_get_it(
    toy: Source, state: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    if state != "does not exist":
        root.mkdir()
    if state == "has another layout":
        (root / "images" / "train").mkdir(parents=True)
    wrong = source(root, toy.name)
    with pytest.raises(AdframeError, match=state) as error:
        wrong.choose("all")
    text = str(error.value)
    assert "\n" not in text
    for part in (f"dataset={toy.name}", str(root), wrong.tree, wrong.homepage, "dataset.root="):
        assert part in text


def test_a_misspelt_category_is_recognised(toy: Source) -> None:
    with pytest.raises(AdframeError, match=r"unknown category 'weav' in .*did you mean 'weave'"):
        toy.choose(["tray", "weav"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "{}x",
        '[{"pixel_value": 255}]',
        "null",
        '[{"pixel_value": "a", "saturation_threshold": 1}]',
    ],
)
def test_a_broken_defects_config_is_one_line(text: str, toy_loco: Source, tmp_path: Path) -> None:
    toy = copy(toy_loco, tmp_path)
    path = Path(toy.root) / "tray" / "defects_config.json"
    path.write_text(text)
    with pytest.raises(AdframeError, match=r"cannot read .*defects_config\.json") as error:
        toy.scan("tray")
    assert "\n" not in str(error.value)


def test_saturations_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "defects_config.json"
    entry = {"defect_name": "a", "pixel_value": 255, "saturation_threshold": 0.5, "relative_saturation": True}
    path.write_text(json.dumps([entry, entry | {"pixel_value": 7, "relative_saturation": False}]))
    first, second = read_saturations(path)
    assert (first.pixel_value, first.threshold, first.relative) == (255, 0.5, True)
    assert (second.pixel_value, second.relative) == (7, False)


@pytest.mark.parametrize("layout", ["mvtec_ad", "mvtec_loco", "mvtec_ad2"])
def test_the_toy_source_writes_itself_once_and_reads_like_the_real_one(layout: str, tmp_path: Path) -> None:
    counts_of = {"train": 2, "validation": 1, "test_good": 1, "test_bad": 2, "size": 64}
    named = {"homepage": "", "licence": "", "tree": ""}
    toy = Toy(name="toy", root=tmp_path / "toy", layout=layout, products=["tray"], **counts_of, **named)
    toy.prepare("all")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "toy").rglob("*.png")}
    toy.prepare("all")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "toy").rglob("*.png")}
    assert toy.scan("tray") == source(tmp_path / "toy", layout).scan("tray")
    with pytest.raises(AdframeError, match=r"unknown dataset\.layout 'mvtec'; did you mean 'mvtec_ad'"):
        Toy(name="toy", root=tmp_path, layout="mvtec", **named)
