"""Which files are data: hidden ones, links, suffixes, masks of two images, and what is left out."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adframe.data.base import Source
from adframe.data.btad import Btad
from adframe.data.folder import Folder
from adframe.data.mvtec_ad2 import MvtecAd2
from adframe.data.mvtec_loco import MvtecLoco
from adframe.data.visa import Visa
from adframe.errors import AdframeError
from tests.data.test_loco_lookup import loco
from tests.fakes.pictures import draw, draw_mask
from tests.fakes.sets import set_up, write_set
from tests.fakes.sources import source

NAMED = {"homepage": "h", "licence": "l", "tree": "t"}
JUNK = (
    "._000.png", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store", ".thumbs/x.png",
    ".ipynb_checkpoints/000-checkpoint.png", "@eaDir/000.png/THUMB.jpg", "__MACOSX/000.png",
)  # fmt: skip


def btad(root: Path) -> Btad:
    for place in ("train/ok/0.bmp", "train/ok/1.bmp", "test/ok/0.bmp"):
        draw(root / "01" / place)
    draw(root / "01/test/ko/0.bmp", defect=True)
    draw_mask(root / "01/ground_truth/ko/0.png")
    return Btad(name="btad", root=root, **NAMED)


def visa(root: Path) -> Visa:
    for place in ("train/good/0.JPG", "train/good/1.JPG", "test/good/0.JPG"):
        draw(root / "pcb" / place)
    draw(root / "pcb/test/bad/0.JPG", defect=True)
    draw_mask(root / "pcb/ground_truth/bad/0.png")
    return Visa(name="visa", root=root, **NAMED)


def folder(root: Path) -> Folder:
    for i in range(4):
        draw(root / "good" / f"{i}.png")
    draw(root / "bad/dent/0.png", defect=True)
    draw_mask(root / "masks/dent/0.png")
    return Folder(name="folder", root=root, abnormal="bad", masks="masks", **NAMED)


def of_layout(root: Path, kind: str, toy: dict[str, Source]) -> Source:
    """A small set of every layout, and one of its categories."""
    if kind in toy:
        shutil.copytree(toy[kind].root, root, dirs_exist_ok=True)
        return replace(toy[kind], root=root)
    if kind == "loco":
        draw_mask(root / "box/ground_truth/logical_anomalies/000/000.png")
        return loco(root, "logical_anomalies/000.png")
    return {"btad": btad, "visa": visa, "folder": folder}[kind](root)


LAYOUTS = ["ad", "loco", "ad2", "btad", "visa", "folder"]


@pytest.fixture
def made(tmp_path: Path, toy_ad: Source, toy_ad2: Source, request: pytest.FixtureRequest) -> Source:
    return of_layout(tmp_path / "set", request.param, {"ad": toy_ad, "ad2": toy_ad2})


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
def test_what_other_programs_hide_is_no_data_anywhere(made: Source) -> None:
    before = {name: made.scan(name) for name in made.choose("all")}
    folders = [path for path in Path(made.root).rglob("*") if path.is_dir()]
    for place in [Path(made.root), *folders]:
        for name in JUNK:
            draw(place / name) if name.endswith((".png", ".jpg")) else (place / name).write_bytes(b"x")
    category = next(iter(before))
    if not isinstance(made, Folder):
        for name in (".trash", "__MACOSX", "@eaDir"):
            shutil.copytree(Path(made.root) / category, Path(made.root) / name, dirs_exist_ok=True)
    assert made.choose("all") == list(before)
    assert {name: made.scan(name) for name in before} == before
    assert made.notes(category) == []


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
def test_upper_case_suffixes_hold_for_images_and_masks(made: Source) -> None:
    category = made.choose("all")[0]
    before = Counter((r.split, r.label, len(r.masks)) for r in made.scan(category))
    for path in [p for p in Path(made.root).rglob("*.*") if p.suffix in (".png", ".bmp", ".JPG")]:
        path.rename(path.with_suffix(path.suffix.swapcase()))
    assert Counter((r.split, r.label, len(r.masks)) for r in made.scan(category)) == before


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
def test_what_a_scanner_skips_is_counted_by_folder_and_suffix(made: Source) -> None:
    category = made.choose("all")[0]
    images = [record.path for record in made.scan(category)]
    for place in (images[0].parent, images[-1].parent):
        for i in range(3):
            (place / f"{i}.npy").write_bytes(b"x")
        (place / "notes.TXT").write_bytes(b"x")
    (line,) = made.notes(category)
    root = Path(made.root) / (category if not isinstance(made, Folder) else "")
    assert line.startswith(f"{category}: files that are not read: ")
    for place in {images[0].parent, images[-1].parent}:
        assert f"{place.relative_to(root).as_posix()}: 3 .npy, 1 .txt" in line


def test_images_deeper_than_a_layout_goes_are_named_in_the_report(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    draw(base / "test/cut/second shift/c9.png")
    draw(base / "train/bad/x.png")
    (base / "readme.txt").write_text("not among the images")
    (line,) = set_up(tmp_path).warnings
    assert line == "part: files that are not read: test/cut/second shift: 1 .png; train/bad: 1 .png"


def linked(tmp_path: Path) -> Folder:
    """Eight normal images, five of them behind a link to another disk."""
    for i in range(8):
        draw(tmp_path / ("set/normal/batch1" if i < 3 else "disk2") / f"{i}.png")
    draw(tmp_path / "set/nok/0.png", defect=True)
    (tmp_path / "set/normal/batch2").symlink_to("../../disk2")
    return Folder(name="folder", root=tmp_path / "set", normal="normal", abnormal="nok", **NAMED)


@pytest.mark.parametrize("normal", ["normal", "normal/**/*.png", "*/batch[12]"])
def test_linked_folders_are_followed(normal: str, tmp_path: Path) -> None:
    made = replace(linked(tmp_path), normal=normal)
    good = [record.path.name for record in made.scan("set") if record.label == 0]
    assert sorted(good) == [f"{i}.png" for i in range(8)]
    assert made.notes("set") == []


def test_a_loop_and_a_second_way_are_named_and_count_once(tmp_path: Path) -> None:
    made = linked(tmp_path)
    (tmp_path / "set/normal/loop").symlink_to("..")
    (tmp_path / "set/normal/a_batch").symlink_to("batch1")
    assert len([record for record in made.scan("set") if record.label == 0]) == 8
    assert [line.partition(":")[2] for line in made.notes("set")] == [
        " the link normal/a_batch leads to a folder that is read already, or back; it is not followed",
        " the link normal/loop leads to a folder that is read already, or back; it is not followed",
    ]


def test_a_link_from_normal_images_to_defects_is_refused(tmp_path: Path) -> None:
    made = linked(tmp_path)
    (tmp_path / "set/normal/more").symlink_to("../nok")
    with pytest.raises(AdframeError, match=r"both name .*normal/more/0\.png .*an image is of one kind only"):
        made.scan("set")


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
@pytest.mark.parametrize("name", ["lost.png", "lost"])
def test_a_link_that_leads_nowhere_stops_by_name(name: str, made: Source) -> None:
    category = made.choose("all")[0]
    place = made.scan(category)[0].path.parent
    (place / name).symlink_to(place / "gone")
    with pytest.raises(AdframeError, match=rf"the link .*{name} leads nowhere; correct it or remove it"):
        made.scan(category)


def test_linked_defect_folders_and_categories_are_followed(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(base / "test/cut", tmp_path / "elsewhere/cut")
    (base / "test/cut").symlink_to(tmp_path / "elsewhere/cut")
    (tmp_path / "twin").symlink_to(base)
    made = source(tmp_path, "mvtec_ad")
    assert made.choose("all") == ["part", "twin"]
    assert [len([r for r in made.scan(name) if r.label]) for name in ("part", "twin")] == [3, 3]


def test_one_mask_for_two_images_stops_any_dataset(tmp_path: Path) -> None:
    base = write_set(tmp_path / "ad")
    draw(base / "test/cut/c1.bmp", defect=True)
    with pytest.raises(
        AdframeError, match=r"the mask .*c1_mask\.png belongs to two images, .*c1\.bmp and .*c1\.png"
    ):
        set_up(tmp_path / "ad")
    made = folder(tmp_path / "own")
    draw(tmp_path / "own/bad/crack/0.png", defect=True)
    (tmp_path / "own/masks/0.png").write_bytes((tmp_path / "own/masks/dent/0.png").read_bytes())
    shutil.rmtree(tmp_path / "own/masks/dent")
    with pytest.raises(AdframeError, match=r"the mask .*masks/0\.png belongs to two images"):
        set_up(made, category="own")


def test_two_masks_for_one_image_are_not_chosen_between(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    draw_mask(base / "ground_truth/cut/c1_mask.bmp")
    with pytest.raises(AdframeError, match=r"c1_mask\.bmp and c1_mask\.png are two masks for one image"):
        set_up(tmp_path)


def test_an_image_that_is_also_in_train_is_said(tmp_path: Path) -> None:
    base = write_set(tmp_path, suffix="bmp")  # all files have one size
    known = next(record.path for record in set_up(tmp_path).records if record.split == "train")
    shutil.copy(known, base / "test/good/again.bmp")
    assert set_up(tmp_path).warnings == [
        "part: test images that are also in train, byte by byte: 1 (test/good/again.bmp)"
    ]


def test_a_plain_set_is_read_without_a_warning(toy_ad: Source, toy_loco: Source) -> None:
    assert [set_up(toy, category="tray").warnings for toy in (toy_ad, toy_loco)] == [[], []]


def spoil(path: Path, what: str) -> None:
    mask = np.asarray(Image.open(path))
    made = {"empty": np.zeros_like(mask), "full": np.full_like(mask, 255), "inverted": 255 - mask}[what]
    Image.fromarray(made).save(path)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("empty", "anomalous images with an empty mask, whose pixels count as normal"),
        ("full", "images with a mask that covers everything"),
        ("inverted", "images with a mask that looks inverted, as it covers more than half and the border"),
    ],
)
def test_masks_that_contradict_their_label_are_said(what: str, words: str, tmp_path: Path) -> None:
    base = write_set(tmp_path)
    for name in ("c0", "c2"):
        spoil(base / f"ground_truth/cut/{name}_mask.png", what)
    assert set_up(tmp_path).warnings == [f"part: {words}: 2 (test/cut/c0.png, test/cut/c2.png)"]


GOOD_MASKS = {
    "ad": "ground_truth/good/{}_mask.png", "loco": "ground_truth/good/{}.png",
    "btad": "ground_truth/ok/{}.png", "visa": "ground_truth/good/{}.png",
}  # fmt: skip


@pytest.mark.parametrize("made", list(GOOD_MASKS), indirect=True)
def test_a_good_image_with_a_mask_is_said_and_measured_as_good(
    made: Source, request: pytest.FixtureRequest
) -> None:
    category = made.choose("all")[0]
    good = next(r.path for r in made.scan(category) if (r.split, r.label) == ("test", 0))
    kind = request.node.callspec.params["made"]
    mask = draw_mask(Path(made.root) / category / GOOD_MASKS[kind].format(good.stem), size=(64, 64))
    line = f"{category}: good images with a mask that is not empty, which are measured as good: 1 ("
    assert any(each.startswith(line) for each in set_up(made, category=category).warnings)
    spoil(mask, "empty")
    assert not any("measured as good" in each for each in set_up(made, category=category).warnings)


def test_a_normal_image_of_a_folder_with_a_mask_is_said(tmp_path: Path) -> None:
    made = folder(tmp_path / "own")
    draw_mask(tmp_path / "own/masks/good/1.png")
    (line,) = set_up(made, category="own").warnings
    assert line.endswith("which are measured as good: 1 (good/1.png)")


def test_private_and_unread_parts_are_not_called_skipped(toy_ad2: Source) -> None:
    assert isinstance(toy_ad2, MvtecAd2)
    assert toy_ad2.notes("tray") == []


def test_a_loco_value_without_an_entry_stops_before_any_work(tmp_path: Path) -> None:
    draw_mask(tmp_path / "box/ground_truth/logical_anomalies/000/000.png", value=3)
    made = loco(tmp_path, "logical_anomalies/000.png")
    assert isinstance(made, MvtecLoco)
    with pytest.raises(AdframeError, match=r"masks of .*000\.png: ground-truth value 3 has no entry"):
        set_up(made, category="box")
