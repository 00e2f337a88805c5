"""Where LOCO's masks are looked for, and in which order."""

import json
from pathlib import Path

import numpy as np
import pytest

from adframe.contracts import REGIONS
from adframe.data.dataset import ImageDataset, View
from adframe.data.mvtec_loco import MvtecLoco
from adframe.errors import AdframeError
from tests.fakes.pictures import draw, draw_mask

NAMED = {"homepage": "h", "licence": "l", "tree": "t"}


def loco(root: Path, *images: str, **settings: str) -> MvtecLoco:
    """A category with these anomalies below `test`."""
    for image in ("train/good/000.png", "validation/good/000.png", "test/good/000.png"):
        draw(root / "box" / image)
    for image in images:
        draw(root / "box" / "test" / image, defect=True)
    rule = {"defect_name": "a", "pixel_value": 255, "saturation_threshold": 9, "relative_saturation": False}
    (root / "box" / "defects_config.json").write_text(json.dumps([rule]))
    return MvtecLoco(name="mvtec_loco", root=root, **NAMED, **settings)


def masks(source: MvtecLoco) -> list[str]:
    truth = Path(source.root) / "box" / "ground_truth"
    return [mask.relative_to(truth).as_posix() for record in source.scan("box") for mask in record.masks]


LOGICAL = "logical_anomalies/000"
IN_ORDER = [f"{LOGICAL}/000.png", f"{LOGICAL}.png", f"{LOGICAL}_mask.png"]


@pytest.mark.parametrize("first", range(3))
def test_a_folder_of_channels_then_one_file_then_a_file_with_mask(first: int, tmp_path: Path) -> None:
    source = loco(tmp_path, f"{LOGICAL}.png")
    for place in IN_ORDER[first:]:
        draw_mask(tmp_path / "box" / "ground_truth" / place)
    assert masks(source) == IN_ORDER[first : first + 1]


def test_all_channels_of_a_folder_are_taken_and_an_empty_folder_is_none(tmp_path: Path) -> None:
    source = loco(tmp_path, f"{LOGICAL}.png")
    truth = tmp_path / "box" / "ground_truth"
    (truth / LOGICAL).mkdir(parents=True)
    draw_mask(truth / f"{LOGICAL}.png")
    assert masks(source) == [f"{LOGICAL}.png"]
    for i in range(3):
        draw_mask(truth / LOGICAL / f"{i:03d}.png")
    assert masks(source) == [f"{LOGICAL}/{i:03d}.png" for i in range(3)]


@pytest.mark.parametrize("place", ["structural_anomalies/000", "structural_anomalies/dirt/000"])
def test_anomalies_lie_flat_or_one_level_deeper(place: str, tmp_path: Path) -> None:
    source = loco(tmp_path, f"{place}.png")
    draw_mask(tmp_path / "box" / "ground_truth" / place / "000.png")
    (record,) = [record for record in source.scan("box") if record.label]
    assert (record.subset, record.defect) == ("structural", "structural_anomalies")
    assert record.masks == (tmp_path / "box" / "ground_truth" / place / "000.png",)


def test_the_same_number_in_two_deeper_folders_is_two_parts(tmp_path: Path) -> None:
    source = loco(tmp_path, "structural_anomalies/dirt/000.png", "structural_anomalies/dent/000.png")
    for kind in ("dirt", "dent"):
        draw_mask(tmp_path / "box" / "ground_truth" / "structural_anomalies" / kind / "000_mask.png")
    records = [record for record in source.scan("box") if record.label]
    assert len({record.group for record in records}) == len({record.masks for record in records}) == 2


def test_a_missing_mask_names_the_path_expected_unless_zero_is_asked_for(tmp_path: Path) -> None:
    source = loco(tmp_path, f"{LOGICAL}.png")
    with pytest.raises(AdframeError, match=r"no ground-truth mask for .*missing_masks=zero") as error:
        source.scan("box")
    assert str(tmp_path / "box" / "ground_truth" / LOGICAL / "000.png") in str(error.value)
    records = loco(tmp_path, missing_masks="zero").scan("box")
    (bad,) = [record for record in records if record.label]
    assert bad.masks == ()
    assert ImageDataset([bad], view=View(size=(32, 32)), truth=True)[0][REGIONS] == []
    with pytest.raises(AdframeError, match=r"unknown dataset\.missing_masks 'zeros'; did you mean 'zero'"):
        loco(tmp_path, missing_masks="zeros")


def test_a_channel_of_two_values_names_its_image(tmp_path: Path) -> None:
    from PIL import Image

    source = loco(tmp_path, f"{LOGICAL}.png")
    path = draw_mask(tmp_path / "box" / "ground_truth" / f"{LOGICAL}.png")
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] = 7
    Image.fromarray(pixels).save(path)
    bad = [record for record in source.scan("box") if record.label]
    with pytest.raises(AdframeError, match=r"logical_anomalies/000\.png: .*exactly one positive value"):
        ImageDataset(bad, view=View(size=(32, 32)), truth=True)[0]
