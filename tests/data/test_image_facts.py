"""What a model knows about the kind of its training images, and when it doubts another image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Record
from adframe.data.image_facts import ImageFacts


def record(path: Path, size: tuple[int, int], *, grey: bool, orientation: int = 1) -> Record:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    if grey:
        pixels[:] = pixels[:, :, :1]
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return Record(path=path, category="plate", split="train")


@pytest.mark.parametrize("grey", [True, False])
def test_facts_are_those_of_the_shown_images_and_survive_a_file(tmp_path: Path, grey: bool) -> None:
    records = [
        record(tmp_path / "a.png", (40, 60), grey=grey),
        record(tmp_path / "b.png", (80, 50), grey=grey, orientation=6),  # shown with 50 rows and 80 columns
    ]
    facts = ImageFacts.of(records)
    assert facts == ImageFacts(count=2, bits=16, grey=grey, sides=(40, 50), aspects=(1.5, 1.6))
    assert ImageFacts.from_plain(json.loads(json.dumps(facts.plain()))) == facts


def test_one_colour_image_among_grey_ones_is_colour(tmp_path: Path) -> None:
    records = [record(tmp_path / f"{n}.png", (20, 20), grey=n != 3) for n in range(5)]
    assert not ImageFacts.of(records).grey


FACTS = ImageFacts(count=9, bits=16, grey=True, sides=(100, 200), aspects=(1.0, 1.2))


@pytest.mark.parametrize(
    ("size", "grey", "doubts"),
    [
        ((100, 110), True, []),
        ((100, 110), False, ["in colour"]),
        ((49, 50), True, ["50x49 pixels"]),
        ((401, 420), True, ["420x401 pixels"]),
        ((100, 160), True, ["width / height of the image is 1.60"]),
        ((30, 300), False, ["in colour", "300x30 pixels", "width / height"]),
    ],
)
def test_doubts_name_each_difference(size: tuple[int, int], grey: bool, doubts: list[str]) -> None:
    found = FACTS.doubts(size, grey=grey)
    assert len(found) == len(doubts)
    assert all(part in line for part, line in zip(doubts, found, strict=True))
