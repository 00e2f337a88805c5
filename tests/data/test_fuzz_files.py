"""Sets drawn at random from image kinds, mask kinds, orientations and sizes, each read as a run reads it.

Each set is also written as plain PNG. What can be read must give the plain set's pixels and regions; what
cannot must be refused, by name, before any work.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from adframe.errors import AdframeError
from adframe.ops.regions import union
from tests.fakes.formats import IMAGES, MASKS, NO_IMAGES, NO_MASKS, exif_of, turned
from tests.fakes.sources import source

SEED, SETS = 20_240, 360


class Drawn(NamedTuple):
    """One set: how its images and its masks are written."""

    image: str
    mask: str
    size: tuple[int, int]
    orientation: int  # of the images
    lies: str  # the mask: on the picture `shown`, on the `stored` pixels, or turned by its `own` EXIF


def draw_one(rng: np.random.Generator, place: int) -> Drawn:
    """A set; every kind comes up in turn, and one in four is of a kind that is refused."""
    images, masks = list(NO_IMAGES if place % 8 == 0 else IMAGES), list(NO_MASKS if place % 8 == 4 else MASKS)
    turn = place // 8 if place % 4 == 0 else place - place // 4 - 1  # counts the sets of its own sort
    image, mask = images[turn % len(images)], masks[(turn + turn // len(images)) % len(masks)]
    side = tuple(int(n) for n in rng.integers(24, 97, 2))
    size = (side[0], side[0]) if rng.random() < 0.25 else (side[0], side[1])
    turns = image in IMAGES and IMAGES[image][2]
    orientation = int(rng.integers(1, 9)) if turns else 1
    options = ["shown"]
    if mask in MASKS and MASKS[mask][0] not in ("bmp",):
        options.append("own")
    if orientation > 4 and size[0] != size[1] and mask in MASKS:
        options.append("stored")
    return Drawn(image, mask, size, orientation, options[int(rng.integers(len(options)))])


def picture(rng: np.random.Generator, size: tuple[int, int], *, colour: bool) -> np.ndarray:
    """A smooth picture with one black and one white pixel."""
    coarse = rng.integers(30, 220, (4, 4, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    pixels = pixels if colour else pixels[:, :, 0].copy()
    pixels[0, 0], pixels[-1, -1] = 0, 255
    return pixels


def defect(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: a disc and a bar, away from the border and from each other."""
    mask = np.zeros(size, np.uint8)
    radius = int(rng.integers(3, min(size) // 5 + 1))
    centre = int(rng.integers(radius + 1, size[1] // 2)), int(rng.integers(radius + 1, size[0] // 3 + radius))
    cv2.circle(mask, centre, radius, 1, -1)
    top = min(centre[1] + radius + 5, size[0] - 5)
    mask[top : top + 3, 2 : size[1] // 2 + int(rng.integers(size[1] // 3))] = 1
    return mask > 0


def write(root: Path, drawn: Drawn, rng: np.random.Generator, *, plain: bool) -> None:
    """Three images to train on, one good, one with a defect and its mask."""
    known = drawn.image in IMAGES
    suffix, colour = IMAGES[drawn.image][:2] if known else (NO_IMAGES[drawn.image][0], False)
    writer = IMAGES[drawn.image][4] if known else NO_IMAGES[drawn.image][1]
    for name in ("train/good/0", "train/good/1", "train/good/2", "test/good/3", "test/cut/4"):
        path = root / "part" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = picture(rng, drawn.size, colour=colour)
        odd = not known and not name.startswith("test/good")  # one bad file is enough
        if plain or odd:
            Image.fromarray(pixels).save(f"{path}.png")
        else:
            writer(Path(f"{path}.{suffix}"), turned(pixels, drawn.orientation), exif_of(drawn.orientation))
    truth = root / "part/ground_truth/cut"
    truth.mkdir(parents=True, exist_ok=True)
    mask = defect(rng, drawn.size)
    if plain:
        Image.fromarray(mask).save(truth / "4_mask.png")
        return
    suffix, paint = MASKS[drawn.mask][::2] if drawn.mask in MASKS else NO_MASKS[drawn.mask]
    own = int(rng.integers(2, 9)) if drawn.lies == "own" else 1
    paint(
        truth / f"4_mask.{suffix}",
        turned(mask, drawn.orientation if drawn.lies == "stored" else own),
        exif_of(own),
    )


def set_up(root: Path) -> AnomalyData:
    """After all checks that come before any work."""
    data = AnomalyData(
        source(root, "mvtec_ad"), categories=["part"], view=View(size=None), batch_size=1, num_workers=0,
        protocol=Holdout(0.34), seed=1,
    )  # fmt: skip
    data.setup()
    return data


def read(data: AnomalyData) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    """All images, and the pixels of their regions, by name."""
    loaders = (data.plain_dataloader(), data.val_dataloader(), data.test_on("part"))
    items = [batch for loader in loaders for batch in loader]
    items.sort(key=lambda batch: batch[RECORD][0].path.stem)
    regions = [union((batch[REGIONS] or [[]])[0] or [], batch[GEOMETRY][0].original) for batch in items]
    return [batch[IMAGE][0] for batch in items], regions


def outcome(root: Path, drawn: Drawn, seed: int) -> str:
    """`same` as the plain set, `refused` by name, or what differs."""
    for name in ("plain", "drawn"):
        shutil.rmtree(root / name, ignore_errors=True)
        write(root / name, drawn, np.random.default_rng(seed), plain=name == "plain")
    images, regions = read(set_up(root / "plain"))
    try:
        data = set_up(root / "drawn")
    except AdframeError as error:
        named = "/3." in str(error) if drawn.image in NO_IMAGES else "4_mask." in str(error)
        return "refused" if named and "\n" not in str(error) else f"refused without a name: {error}"
    found, masks = read(data)
    off = max(float((one - other).abs().mean()) for one, other in zip(images, found, strict=True))
    if off > IMAGES.get(drawn.image, ("", 0, 0, 0))[3]:
        return f"pixels differ by {off:.5f}"
    loose = drawn.mask in MASKS and MASKS[drawn.mask][1]
    for one, other in zip(regions, masks, strict=True):
        edge = cv2.dilate(one.astype(np.uint8), np.ones((3, 3))) != cv2.erode(
            one.astype(np.uint8), np.ones((3, 3))
        )
        if ((one != other) & ~(edge & loose)).any():
            return "regions differ"
    if (drawn.lies == "stored") != any("are turned with their images" in line for line in data.warnings):
        return "a turned mask is not said"
    return "same"


def run(root: Path, *, seed: int, sets: int) -> Counter[tuple[str, str, str]]:
    """How many sets of each kind came to what: (`image` or `mask`, its kind, outcome)."""
    rng, counts = np.random.default_rng(seed), Counter[tuple[str, str, str]]()
    for place in range(sets):
        drawn = draw_one(rng, place)
        result = outcome(root, drawn, seed + place)
        right = "refused" if drawn.image in NO_IMAGES or drawn.mask in NO_MASKS else "same"
        assert result == right, f"set {place} of seed {seed}, {drawn}: {result}"
        part = "mask" if drawn.mask in NO_MASKS else "image"
        counts["image", drawn.image, "same" if part == "mask" else result] += 1
        if drawn.image in IMAGES:
            counts["mask", drawn.mask, result] += 1
    return counts


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [SEED])
def test_whatever_is_drawn_is_the_plain_set_or_refused_by_name(seed: int, tmp_path: Path) -> None:
    counts = run(tmp_path, seed=seed, sets=SETS)
    tried = {(part, kind) for part, kind, _ in counts}
    assert tried == {
        *(("image", kind) for kind in (*IMAGES, *NO_IMAGES)),
        *(("mask", kind) for kind in (*MASKS, *NO_MASKS)),
    }
