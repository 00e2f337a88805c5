"""roi=auto: the region in which the training images show the product, and whole frames for textures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Record
from adframe.data.auto_roi import AutoRoi
from adframe.errors import AdframeError
from tests.real import DATA, needs

SIDE = 120
SCREWS = DATA / "mvtec_ad" / "screw" / "train" / "good"


def drawn(folder: Path, shapes: list[tuple[int, int, int, int]]) -> list[Record]:
    """One image per (left, top, width, height) with a dark bar there, on a light background with noise."""
    noise = np.random.default_rng(0)
    records = []
    for number, (left, top, width, height) in enumerate(shapes):
        pixels = 200 + noise.integers(-4, 5, (SIDE, SIDE, 3))
        pixels[top : top + height, left : left + width] = 60
        path = folder / f"{number:03d}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        records.append(Record(path=path, category="bar", split="train"))
    return records


def test_a_product_that_stands_still_has_its_own_place_and_a_margin(tmp_path: Path) -> None:
    roi = AutoRoi(margin=0.05)
    (line,) = roi.find(drawn(tmp_path, [(40, 50, 40, 20)] * 4))
    inside = roi.inside("bar", (SIDE, SIDE))
    assert inside is not None
    rows, columns = np.nonzero(inside)
    for found, wanted in zip(
        (rows.min(), rows.max(), columns.min(), columns.max()), (50, 69, 40, 79), strict=True
    ):
        assert 5 <= abs(found - wanted) <= 10  # 6 pixels of margin, and the precision of the search
    assert inside[48:72, 38:82].all()
    assert f"inspects {inside.mean():.0%} of the frame" in line
    double = roi.inside("bar", (2 * SIDE, 2 * SIDE))
    assert double is not None
    assert abs(double.mean() - inside.mean()) < 0.01


def test_a_product_that_moves_has_all_of_its_places(tmp_path: Path) -> None:
    roi = AutoRoi(margin=0)
    places = [(20 + 4 * step, 50, 40, 20) for step in range(10)]
    roi.find(drawn(tmp_path, places))
    inside = roi.inside("bar", (SIDE, SIDE))
    assert inside is not None
    for left, top, width, height in places:
        assert inside[top : top + height, left : left + width].all()
    # Each place is inside the region of the others: the margin is a step.
    assert inside[55:65, 20 - 3].all()
    assert not inside[:30].any()


def test_a_defect_in_the_image_to_inspect_changes_nothing(tmp_path: Path) -> None:
    roi = AutoRoi()
    roi.find(drawn(tmp_path, [(40, 50, 40, 20)] * 4))
    before = roi.inside("bar", (SIDE, SIDE))
    assert roi.find(drawn(tmp_path, [(0, 0, 9, 9)] * 4)) == []  # the region is known
    assert np.array_equal(before, roi.inside("bar", (SIDE, SIDE)))


@pytest.mark.parametrize("texture", ["noise", "stripes", "vignette"])
def test_a_texture_is_inspected_as_a_whole(texture: str, tmp_path: Path) -> None:
    records = []
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE))
        values = {
            "noise": 128 + 40 * cv2.GaussianBlur(noise, (0, 0), 1.5),
            "stripes": 128 + 60 * np.sign(np.sin(20 * across + seed)) + 5 * noise,
            "vignette": 170 - 40 * (across**2 + down**2) + 15 * noise,
        }[texture]
        path = tmp_path / f"{seed}.png"
        Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB").save(path)
        records.append(Record(path=path, category="cloth", split="train"))
    roi = AutoRoi()
    (line,) = roi.find(records)
    assert "cloth: roi=auto inspects the whole frame" in line
    assert roi.inside("cloth", (SIDE, SIDE)) is None
    assert roi.named == []


def test_regions_are_refused_before_they_are_found_and_with_impossible_numbers() -> None:
    with pytest.raises(AdframeError, match="not read yet"):
        AutoRoi().inside("bar", (8, 8))
    with pytest.raises(AdframeError, match=r"roi\.margin=0\.5"):
        AutoRoi(margin=0.5)


@needs(SCREWS)
def test_corners_that_no_screw_reaches_are_left_out() -> None:
    roi = AutoRoi()
    roi.find([Record(path=path, category="screw", split="train") for path in sorted(SCREWS.glob("*.png"))])
    inside = roi.inside("screw", (512, 512))
    assert inside is not None
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert inside[64:-64, 64:-64].all()
