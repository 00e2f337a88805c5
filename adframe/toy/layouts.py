"""Writes the toy set in the official layouts of MVTec AD, MVTec LOCO AD and MVTec AD 2."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import GOOD
from adframe.errors import AdframeError
from adframe.toy.families import FAMILIES
from adframe.toy.render import Condition, Shot, render_shot
from adframe.toy.writing import write_mask, write_png, write_set

log = logging.getLogger(__name__)

# Increased whenever the images change, so that an old set is not taken for a new one.
GENERATOR = 1
# Pixels per side; below it a thread is thinner than a pixel.
SMALLEST = 64
CONDITIONS: tuple[Condition, ...] = ("regular", "overexposed", "underexposed", "shift_1")
PRIVATE: dict[str, Condition] = {"test_private": "regular", "test_private_mixed": "mixed"}


@dataclass(frozen=True)
class _Plan:
    """Everything that determines a set; the manifest stores it."""

    generator: int
    layout: str
    categories: list[str]
    image_size: int
    train: int
    validation: int
    test_good: int
    test_bad: int
    seed: int

    def take(
        self,
        category: str,
        split: str,
        index: int,
        *,
        defect: str | None = None,
        condition: Condition = "regular",
    ) -> Shot:
        return render_shot(
            category,
            size=self.image_size,
            seed=self.seed,
            split=split,
            index=index,
            defect=defect,
            condition=condition,
        )


def write_toy(
    root: Path,
    *,
    layout: str = "mvtec_ad",
    categories: Sequence[str] = ("weave", "bracket", "tray"),
    image_size: int = 256,
    train: int = 60,
    validation: int = 12,
    test_good: int = 20,
    test_bad: int = 40,
    seed: int = 42,
) -> None:
    """Writes a seeded toy set of inspection images, or finds it already written.

    The set appears at `root` completely or not at all. Image i of a category's split has its own generator,
    so its pixels depend only on the seed, its name and its size.

    Args:
        root: folder of the set: new, empty, or with this very set (then nothing is done).
        layout: `mvtec_ad`, `mvtec_loco` or `mvtec_ad2`.
        categories: some of `weave` (texture), `bracket` (object in any pose), `tray` (kit with logical
            faults).
        image_size: side of the square images in pixels, 64 or more.
        train: number of good training images per category.
        validation: number of good validation images per category; MVTec AD's layout has none.
        test_good: number of good test parts. MVTec AD 2's layout has an image of each in four lights.
        test_bad: number of defective test parts, distributed evenly over the kinds of defect.
        seed: seed of everything, 0 or more.

    Raises:
        AdframeError: if a name is unknown, a number is not possible, `root` has another set or other files,
            or the disk cannot be written.
    """
    _check_toy_names("layout", [layout], list(LAYOUTS))
    _check_toy_names("category", categories, list(FAMILIES))
    plan = _Plan(
        GENERATOR, layout, sorted(set(categories)), image_size, train, validation, test_good, test_bad, seed
    )
    if layout == "mvtec_ad":
        # It is not written, so it must not make another set.
        plan = replace(plan, validation=0)
    _check_plan(plan)
    write_set(root, asdict(plan), fill=partial(_fill, plan))


def _check_toy_names(what: str, given: Sequence[str], allowed: list[str]) -> None:
    strange = [name for name in given if name not in allowed]
    if strange or not given:
        problem = f"unknown {what} {strange[0]!r}" if strange else f"no {what} given"
        raise AdframeError(f"toy: {problem}; allowed: {', '.join(allowed)}")


def _check_plan(plan: _Plan) -> None:
    least = {"image_size": SMALLEST, "train": 1, "validation": 0, "test_good": 1, "test_bad": 1, "seed": 0}
    for name, bound in least.items():
        value = getattr(plan, name)
        if value < bound:
            raise AdframeError(f"toy: {name}={value} is too small; it must be {bound} or more")


def _fill(plan: _Plan, folder: Path) -> None:
    for category in plan.categories:
        log.info("toy: painting %s (%s layout, %d px)", category, plan.layout, plan.image_size)
        LAYOUTS[plan.layout](plan, category, folder / category)


def _defective_parts(kinds: Sequence[str], count: int) -> Iterator[tuple[str, int]]:
    """Distributes `count` defective parts over the kinds: yields (kind, number within the kind)."""
    for i in range(count):
        yield kinds[i % len(kinds)], i // len(kinds)


def _union_of_channels(shot: Shot) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce([channel.mask for channel in shot.channels]), dtype=np.bool_)


def _write_good(
    plan: _Plan, category: str, split: str, count: int, folder: Path, *, suffix: str = ""
) -> None:
    for i in range(count):
        write_png(folder / f"{i:03d}{suffix}.png", plan.take(category, split, i).image)


def _mvtec_ad(plan: _Plan, category: str, folder: Path) -> None:
    _write_good(plan, category, "train", plan.train, folder / "train" / GOOD)
    _write_good(plan, category, "test", plan.test_good, folder / "test" / GOOD)
    for kind, i in _defective_parts(list(FAMILIES[category].kinds), plan.test_bad):
        shot = plan.take(category, f"test/{kind}", i, defect=kind)
        write_png(folder / "test" / kind / f"{i:03d}.png", shot.image)
        write_mask(folder / "ground_truth" / kind / f"{i:03d}_mask.png", _union_of_channels(shot))


def _mvtec_loco(plan: _Plan, category: str, folder: Path) -> None:
    """Writes MVTec LOCO AD's layout.

    Half of the bad parts have a logical fault, if the family has any; there is one file per channel.
    """
    _write_good(plan, category, "train", plan.train, folder / "train" / GOOD)
    _write_good(plan, category, "validation", plan.validation, folder / "validation" / GOOD)
    _write_good(plan, category, "test", plan.test_good, folder / "test" / GOOD)
    config = _defects_config(plan, category)
    (folder / "defects_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    values = {str(entry["defect_name"]): int(entry["pixel_value"]) for entry in config}
    # Structural faults first, because a family may have no others.
    subsets = sorted(set(FAMILIES[category].kinds.values()), reverse=True)
    for n, subset in enumerate(subsets):
        kinds = [kind for kind, of in FAMILIES[category].kinds.items() if of == subset]
        share = (plan.test_bad + len(subsets) - 1 - n) // len(subsets)
        for number, (kind, i) in enumerate(_defective_parts(kinds, share)):
            shot = plan.take(category, f"test/{kind}", i, defect=kind)
            name = f"{subset}_anomalies"
            write_png(folder / "test" / name / f"{number:03d}.png", shot.image)
            for c, channel in enumerate(shot.channels):
                path = folder / "ground_truth" / name / f"{number:03d}" / f"{c:03d}.png"
                write_mask(path, channel.mask, value=values[channel.name])


def _defects_config(plan: _Plan, category: str) -> list[dict[str, str | int | float | bool]]:
    """Lists the saturation of each kind: a number of pixels for a logical fault, all (1.0, relative) for a
    structural one.
    """
    pixels = plan.image_size**2
    return [
        {
            "defect_name": kind.name,
            "pixel_value": 255 - i,
            "saturation_threshold": 1.0
            if kind.saturation is None
            else max(1, round(kind.saturation * pixels)),
            "relative_saturation": kind.saturation is None,
        }
        for i, kind in enumerate(FAMILIES[category].annotations())
    ]


def _mvtec_ad2(plan: _Plan, category: str, folder: Path) -> None:
    """Writes MVTec AD 2's layout.

    The same part has the same number in every light; the private folders are flat and unlabelled.
    """
    _write_good(plan, category, "train", plan.train, folder / "train" / GOOD, suffix="_regular")
    _write_good(
        plan, category, "validation", plan.validation, folder / "validation" / GOOD, suffix="_regular"
    )
    public, kinds = folder / "test_public", list(FAMILIES[category].kinds)
    for light in CONDITIONS:
        for i in range(plan.test_good):
            write_png(
                public / GOOD / f"{i:03d}_{light}.png", plan.take(category, "test", i, condition=light).image
            )
        for number, (kind, i) in enumerate(_defective_parts(kinds, plan.test_bad)):
            shot = plan.take(category, f"test/{kind}", i, defect=kind, condition=light)
            write_png(public / "bad" / f"{number:03d}_{light}.png", shot.image)
            write_mask(
                public / "ground_truth" / "bad" / f"{number:03d}_{light}_mask.png", _union_of_channels(shot)
            )
    _write_private(plan, category, folder)


def _write_private(plan: _Plan, category: str, folder: Path) -> None:
    """Writes half as many parts as in public, good and bad alternating, each once in the training light and
    once in any.
    """
    kinds = list(FAMILIES[category].kinds)
    for i in range(max(1, (plan.test_good + plan.test_bad) // 2)):
        kind = kinds[i // 2 % len(kinds)] if i % 2 else None
        for name, light in PRIVATE.items():
            shot = plan.take(category, "private", i, defect=kind, condition=light)
            write_png(folder / name / f"{i:03d}_{light}.png", shot.image)


LAYOUTS: dict[str, Callable[[_Plan, str, Path], None]] = {
    "mvtec_ad": _mvtec_ad,
    "mvtec_loco": _mvtec_loco,
    "mvtec_ad2": _mvtec_ad2,
}
