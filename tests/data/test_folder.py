"""`dataset=folder`: any tree, told place by place."""

from collections import Counter
from pathlib import Path

import pytest

from adframe.contracts import GEOMETRY, REGIONS, Record
from adframe.data.dataset import ImageDataset, View
from adframe.data.folder import Folder
from adframe.data.splits import Holdout, shared_group
from adframe.errors import AdframeError
from adframe.ops.regions import union
from tests.fakes.pictures import draw, draw_mask, square

NAMED = {"homepage": "h", "licence": "l", "tree": "t"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Ten normals, two kinds of defects two levels deep, two unlabelled."""
    root = tmp_path / "bolts"
    for i in range(10):
        draw(root / "good" / f"{i}.png")
    for kind in ("scratch", "dent"):
        for i in range(2):
            draw(root / "bad" / "line 1" / kind / f"{i}.jpg", defect=True)
    for i in range(2):
        draw(root / "new" / f"{i}.bmp")
    return root


def folder(root: Path, **places: object) -> Folder:
    return Folder(name="folder", root=root, **NAMED, **places)


def sides(records: list[Record]) -> dict[tuple[str, str, int | None], int]:
    return dict(Counter((record.split, record.defect, record.label) for record in records))


def test_a_folder_of_normal_images_is_enough(tree: Path) -> None:
    source = folder(tree)
    assert source.choose("all") == ["bolts"]
    assert sides(source.scan("bolts")) == {("train", "good", 0): 8, ("test", "good", 0): 2}
    assert source.scan("bolts") == source.scan("bolts")
    drawn = {tuple(r.path for r in folder(tree, seed=s).scan("bolts") if r.split == "test") for s in range(9)}
    assert len(drawn) > 1


def test_every_place_with_its_meaning(tree: Path) -> None:
    records = folder(tree, abnormal="bad", unlabelled="new").scan("bolts")
    assert sides(records) == {
        ("train", "good", 0): 8,
        ("test", "good", 0): 2,
        ("test", "scratch", 1): 2,
        ("test", "dent", 1): 2,
        ("test", "unlabelled", None): 2,
    }
    assert {r.subset for r in records if r.label is None} == {"unlabelled"}
    assert shared_group(Holdout(0.2).draw(records, seed=0)) is None


@pytest.mark.parametrize("normal", ["good/*.png", "go*", ["good/[0-4].png", "good/[3-9].png"], "**/*.png"])
def test_globs_and_lists_name_the_same_images(normal: str | list[str], tree: Path) -> None:
    assert folder(tree, normal=normal).scan("bolts") == folder(tree).scan("bolts")


def test_normals_to_test_on_are_not_trained_on(tree: Path) -> None:
    records = folder(tree, normal="good", normal_test="good/[01].png").scan("bolts")
    assert [r.path.name for r in records if r.split == "test"] == ["0.png", "1.png"]
    assert sides(records)["train", "good", 0] == 8


@pytest.mark.parametrize(
    "places",
    [
        {"normal": "**/*.*", "abnormal": "bad"},
        {"normal_test": "bad/**/*.jpg", "abnormal": "bad"},
        {"abnormal": ["bad", "new"], "unlabelled": "new"},
    ],
)
def test_an_image_of_two_kinds_is_refused(places: dict[str, object], tree: Path) -> None:
    with pytest.raises(
        AdframeError, match=r"dataset\.\w+=.* and dataset\.\w+=.* both name .*one kind"
    ) as error:
        folder(tree, **places).scan("bolts")
    assert "\n" not in str(error.value)


def test_one_picture_in_two_formats_stays_on_one_side(tree: Path) -> None:
    for path in list((tree / "good").iterdir()):
        draw(path.with_suffix(".jpg"))
    records = folder(tree, test_share=0.5).scan("bolts")
    assert sides(records) == {("train", "good", 0): 10, ("test", "good", 0): 10}
    assert shared_group(records) is None


@pytest.mark.parametrize("name", ["scratch/{}.png", "line 1/scratch/{}_mask.png", "line 1/scratch/{}.bmp"])
def test_masks_are_found_by_relative_path_and_name(name: str, tree: Path) -> None:
    for i in range(2):
        draw_mask(tree / "masks" / name.format(i))
        draw_mask(tree / "masks" / name.format(i).replace("scratch", "dent"))
    records = folder(tree, abnormal="bad/line 1", masks="masks").scan("bolts")
    bad = [record for record in records if record.label]
    for record, item in zip(bad, ImageDataset(bad, view=View(size=(32, 32)), truth=True), strict=True):
        assert record.masks[0].parent.name == record.defect
        found = union(item[REGIONS], item[GEOMETRY].original)
        assert found[square((64, 64))].all()
        assert found.sum() == found[square((64, 64))].size


def test_a_missing_mask_is_named_with_the_way_out(tree: Path) -> None:
    (tree / "masks").mkdir()
    with pytest.raises(AdframeError, match=r"no ground-truth mask for .*0\.jpg: expected .*masks=null"):
        folder(tree, abnormal="bad", masks="masks").scan("bolts")


def test_masks_beside_the_images_are_no_images(tree: Path) -> None:
    for kind in ("scratch", "dent"):
        for i in range(2):
            draw_mask(tree / "bad" / "masks" / "line 1" / kind / f"{i}_mask.png")
    records = folder(tree, abnormal="bad", masks="bad/masks").scan("bolts")
    assert sum(record.label == 1 for record in records) == 4
    assert all(mask.name.endswith("_mask.png") for record in records for mask in record.masks)


def test_without_masks_nobody_has_annotated_the_anomalies(tree: Path) -> None:
    records = [r for r in folder(tree, abnormal="bad").scan("bolts") if r.split == "test"]
    items = list(ImageDataset(records, view=View(size=(32, 32)), truth=True))
    assert [item[REGIONS] for item in items] == [[], [], None, None, None, None]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({"abnormal": "missing"}, r"dataset\.abnormal=missing: no images there"),
        ({"unlabelled": ["new/*.gif", "x"]}, r"dataset\.unlabelled=\[new/\*\.gif,x\]: no images there"),
        ({"normal_test": "good/*.txt"}, r"dataset\.normal_test=good/\*\.txt: no images there"),
        ({"abnormal": "**bad"}, r"dataset\.abnormal=\*\*bad is not possible"),
        ({"normal": "/etc"}, r"dataset\.normal=/etc is not possible: it must lie below dataset\.root"),
        ({"abnormal": "../bolts/bad"}, r"dataset\.abnormal=\.\./bolts/bad is not possible"),
        ({"test_share": 0}, r"dataset\.test_share=0 must lie between 0 and 1"),
        ({"masks": "."}, r"dataset\.masks must be a folder of its own"),
        ({"product": "a/b"}, r"dataset\.product='a/b'"),
        ({"product": ".."}, r"dataset\.product='\.\.'"),
        (
            {"preprocess": "gray_world"},
            r"unknown dataset\.preprocess 'gray_world'; did you mean 'grey_world'",
        ),
    ],
)
def test_places_that_cannot_be_are_one_line(places: dict[str, object], words: str, tree: Path) -> None:
    with pytest.raises(AdframeError, match=words) as error:
        folder(tree, **places).scan("bolts")
    assert "\n" not in str(error.value)


def test_no_normal_images_is_the_error_that_helps(tree: Path) -> None:
    with pytest.raises(AdframeError, match=r"dataset=folder: the folder .*bolts has another layout"):
        folder(tree, normal="ok").choose("all")


def test_the_product_names_the_category(tree: Path) -> None:
    assert folder(tree, product="M6 bolt").choose("all") == ["M6 bolt"]
    with pytest.raises(AdframeError, match=r"category 'mean' .* rename"):
        folder(tree, product="mean").choose("all")


def test_a_missing_folder_of_ones_own_is_not_said_to_come_from_anywhere(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="does not exist") as error:
        Folder(root=tmp_path / "none", normal="good", tree="a folder").categories()
    assert "get the data" not in str(error.value)


def test_a_split_that_was_drawn_is_called_so(tree: Path) -> None:
    drawn = "a split that adframe drew: 20% of the normal images are for testing"
    assert folder(tree).split_origin == drawn
    assert folder(tree, normal_test="more").split_origin == "the split of its folders"
