"""MVTec-Shift on disk: what it writes, and that it writes it once."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from adframe.data.base import Source
from adframe.data.folder import Folder
from adframe.data.masks import read_mask
from adframe.data.mvtec_shift import MvtecShift
from adframe.data.splits import MvtecShiftProtocol, shared_group
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.transforms.shift.geometric import Rotation, Translation
from adframe.transforms.shift.photometric import Noise
from adframe.transforms.shift.shift import Shift
from tests.data.test_ad2_private import private
from tests.fakes.pictures import draw, files
from tests.fakes.sources import source

NAMED = {"homepage": "h", "licence": "l", "tree": "t"}


def moved(*, seed: int = 3, degrees: float = 10, name: str = "moved") -> Shift:
    parts = {"rotation": Rotation(degrees=[-degrees, degrees]), "noise": Noise(sigma=[0.01, 0.05])}
    return Shift(parts, name=name, seed=seed)


def shifted(origin: Source, root: Path, *, shift: Shift | None = None, **changes: object) -> MvtecShift:
    settings = {"protocol": MvtecShiftProtocol(), "seed": 1, "shift": shift or moved(), **changes}
    return MvtecShift(name="mvtec_shift", root=root, origin=origin, **NAMED, **settings)


@pytest.fixture(scope="module")
def written(toy_ad: Source, tmp_path_factory: pytest.TempPathFactory) -> MvtecShift:
    """Nobody may change it."""
    made = shifted(toy_ad, tmp_path_factory.mktemp("shift") / "set")
    made.prepare("all")
    return made


@pytest.fixture
def copied(written: MvtecShift, toy_ad: Source, tmp_path: Path) -> MvtecShift:
    return shifted(toy_ad, Path(shutil.copytree(written.root, tmp_path / "set")))


def contents(root: Path) -> dict[str, bytes]:
    return {name: data for name, (_, data) in files(root).items()}


def test_the_layout_and_the_names_are_the_studys(written: MvtecShift) -> None:
    root = Path(written.root)
    assert written.categories() == ["tray", "weave"]
    assert {p.name for p in root.iterdir()} == {"tray", "weave", "shifted_splits.json"}
    folders = {p.relative_to(root / "weave").as_posix() for p in root.glob("weave/*/*")}
    assert folders == {"train/images", "val/images", "val/masks", "test/images", "test/masks"}
    names = sorted(p.name for p in (root / "tray/train/images").iterdir())
    assert len(names) == 5
    assert all(name.startswith("good_00") and name.endswith("_shifted.png") for name in names)
    assert not list(root.rglob("*.tmp"))


def test_the_book_tells_of_every_picture(written: MvtecShift, toy_ad: Source) -> None:
    book = json.loads((Path(written.root) / "shifted_splits.json").read_text())
    assert {"origin", "shift", "shift_seed", "transforms", "split", "split_seed", "bits"} == set(
        book["settings"]
    )
    entries = [entry for side in book["categories"]["tray"].values() for entry in side]
    originals = {r.path.relative_to(toy_ad.root).as_posix(): i for i, r in enumerate(toy_ad.scan("tray"))}
    assert {entry["original"] for entry in entries} == set(originals)
    for entry in entries:
        assert entry["parameters"] == moved().facts(originals[entry["original"]])
        assert (entry["mask"] is None) == (entry["defect"] == "good")


def test_records_are_pre_split_and_nothing_is_on_two_sides(written: MvtecShift, toy_ad: Source) -> None:
    records = written.scan("tray")
    expected = MvtecShiftProtocol().draw(toy_ad.scan("tray"), seed=1)
    assert Counter((r.split, r.defect, r.label) for r in records) == Counter(
        (r.split, r.defect, r.label) for r in expected
    )
    assert shared_group(records) is None
    assert written.scan("tray") == records


def test_pictures_are_those_that_the_shift_makes_on_the_fly(written: MvtecShift, toy_ad: Source) -> None:
    book = json.loads((Path(written.root) / "shifted_splits.json").read_text())
    written_as = {e["original"]: e for side in book["categories"]["tray"].values() for e in side}
    for index, record in enumerate(toy_ad.scan("tray")):
        entry = written_as[record.path.relative_to(toy_ad.root).as_posix()]
        masks = [read_mask(path) for path in record.masks]
        pixels, masks, _ = moved()(read_image(record.path), masks, index=index)
        assert np.array_equal(read_image(Path(written.root) / entry["image"]), pixels)
        for mask in masks:
            assert np.array_equal(read_mask(Path(written.root) / entry["mask"]), mask)


def test_masks_sit_on_the_moved_defects(tmp_path: Path) -> None:
    from tests.fakes.pictures import draw_mask

    for i in range(3):
        draw(tmp_path / "ad/bolt/train/good" / f"{i}.png")
        draw(tmp_path / "ad/bolt/test/dent" / f"{i}.png", defect=True)
        draw_mask(tmp_path / "ad/bolt/ground_truth/dent" / f"{i}_mask.png")
    parts = {"rotation": Rotation(degrees=25), "translation": Translation(share=0.1)}
    made = shifted(
        source(tmp_path / "ad", "mvtec_ad"), tmp_path / "set", shift=Shift(parts, name="x", seed=0)
    )
    made.prepare("all")
    bad = [record for record in made.scan("bolt") if record.label]
    for record in bad:
        white, mask = read_image(record.path).min(axis=2) > 200, read_mask(record.masks[0]) > 0
        assert (white & mask).sum() / (white | mask).sum() > 0.75
        assert not np.array_equal(mask, read_mask(tmp_path / "ad/bolt/ground_truth/dent/0_mask.png") > 0)


def test_a_second_time_writes_nothing(copied: MvtecShift) -> None:
    before = files(Path(copied.root))
    copied.prepare("all")
    copied.prepare("tray")
    assert files(Path(copied.root)) == before


@pytest.mark.parametrize(
    "lost", ["tray/train/images/*", "*/test/masks/*", "shifted_splits.json", "weave/*/*/*"]
)
def test_what_is_half_written_is_completed_to_the_same(lost: str, copied: MvtecShift) -> None:
    root, before = Path(copied.root), contents(Path(copied.root))
    for path in list(root.glob(lost)):
        path.unlink()
    copied.prepare("all")
    assert contents(root) == before


def test_an_interruption_is_completed_and_knows_its_settings(toy_ad: Source, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shifted(toy_ad, tmp_path / "set").prepare("tray", progress=stop)
    with pytest.raises(AdframeError, match=r"was written with dataset\.shift\.seed=3, not 4"):
        shifted(toy_ad, tmp_path / "set", shift=moved(seed=4)).prepare("tray")
    shifted(toy_ad, tmp_path / "set").prepare("tray")
    shifted(toy_ad, tmp_path / "whole").prepare("tray")
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_pictures_without_their_book_are_not_taken_for_its_own(copied: MvtecShift, toy_ad: Source) -> None:
    (Path(copied.root) / "shifted_splits.json").unlink()
    other = shifted(toy_ad, Path(copied.root), shift=moved(seed=99))
    other.prepare("tray")
    fresh = shifted(toy_ad, Path(copied.root).with_name("fresh"), shift=moved(seed=99))
    fresh.prepare("tray")
    kept = {name: data for name, data in contents(Path(other.root)).items() if not name.startswith("weave")}
    assert kept == contents(Path(fresh.root))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shift": moved(seed=4)}, r"dataset\.shift\.seed=3, not 4"),
        ({"shift": moved(name="x")}, r"dataset\.shift=moved, not x"),
        (
            {"shift": moved(degrees=5)},
            r"dataset\.shift\.transforms\.rotation\.degrees=\[-10\.0, 10\.0\], not \[-5\.0, 5\.0\]",
        ),
        ({"seed": 2}, r"dataset\.seed=1, not 2"),
        ({"protocol": MvtecShiftProtocol(anomalies=0.5)}, r"dataset\.protocol=.*0\.3.*not .*0\.5"),
    ],
)
def test_other_settings_are_refused_by_name(changes: dict, words: str, written: MvtecShift) -> None:
    with pytest.raises(AdframeError, match=f"was written with {words}.*dataset.root=") as error:
        shifted(written.origin, Path(written.root), **changes).prepare("all")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"settings": {}, "categories": {"tray": {"train": [{}]}}}']
)
def test_a_damaged_book_is_one_line(text: str, copied: MvtecShift) -> None:
    (Path(copied.root) / "shifted_splits.json").write_text(text)
    with pytest.raises(AdframeError, match=r"shifted_splits\.json is damaged .*delete it") as error:
        copied.prepare("all")
    assert "\n" not in str(error.value)


def test_the_originals_may_go_once_it_is_written(copied: MvtecShift, tmp_path: Path) -> None:
    gone = shifted(source(tmp_path / "gone", "mvtec_ad"), Path(copied.root))
    gone.prepare("all")
    gone.prepare(["tray"])
    assert gone.scan("tray") == copied.scan("tray")
    next((Path(copied.root) / "tray/test/images").iterdir()).unlink()
    with pytest.raises(AdframeError, match=r"dataset=mvtec_ad: the folder .*gone does not exist"):
        gone.prepare("all")


def test_channels_that_saturate_are_refused(toy_loco: Source, tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="cannot shift mvtec_loco: it has several masks per image"):
        shifted(toy_loco, tmp_path / "set").prepare("tray")
    assert not (tmp_path / "set").exists()


def test_an_origin_with_its_own_validation_keeps_its_sides_groups_and_lights(
    toy_ad2: Source, tmp_path: Path
) -> None:
    made, origin = shifted(private(toy_ad2), tmp_path / "set"), private(toy_ad2).scan("tray")
    made.prepare("tray")
    records = made.scan("tray")
    assert len({r.path for r in records}) == len(origin)
    told = ("split", "defect", "subset", "label", "group", "condition")
    assert Counter(tuple(getattr(r, n) for n in told) for r in records) == Counter(
        tuple(getattr(r, n) for n in told) for r in origin
    )


def test_two_originals_of_one_name_are_refused(tmp_path: Path) -> None:
    for i in range(5):
        draw(tmp_path / "f/good" / f"{i}.png")
        draw(tmp_path / "f/bad/a/dent" / f"{i}.png")
        draw(tmp_path / "f/bad/b/dent" / f"{i}.png")
    origin = Folder(name="folder", root=tmp_path / "f", abnormal="bad", **NAMED)
    with pytest.raises(AdframeError, match=r"would both become f/.*; rename one"):
        shifted(origin, tmp_path / "set").prepare("all")


def test_a_category_that_is_written_needs_no_original(
    copied: MvtecShift, toy_ad: Source, tmp_path: Path
) -> None:
    shutil.copytree(Path(toy_ad.root) / "tray", tmp_path / "half" / "tray")
    half = shifted(source(tmp_path / "half", "mvtec_ad"), Path(copied.root))
    before = files(Path(copied.root))
    half.prepare(["weave"])
    half.prepare("all")
    assert files(Path(copied.root)) == before
    with pytest.raises(AdframeError, match="unknown category 'weve'"):
        half.prepare("weve")
