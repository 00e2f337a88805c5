"""One picture of one specimen: painted large, made small, seen through a camera."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.toy.families import FAMILIES
from adframe.toy.family import LOGICAL, Fault
from adframe.toy.fields import Field, Rng, axes
from adframe.toy.surface import Light, photograph

Condition = Literal["regular", "overexposed", "underexposed", "shift_1", "mixed"]

CHANGED = 3.5 / 255  # a pixel belongs to a fault where the fault moves it by more than this
VISIBLE = 12 / 255  # and no fault is fainter than this where it is strongest


@dataclass(frozen=True)
class Channel:
    """One annotated fault: the annotation's name and its (H, W) bool mask, never empty."""

    name: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Shot:
    """A picture (H, W, 3) uint8 RGB and its annotated faults; none where the specimen is good."""

    image: NDArray[np.uint8]
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class _Setup:
    """Light and camera of one condition."""

    light: Light
    exposure: float
    tint: tuple[float, float, float]
    tilt: tuple[float, float]  # how the light falls off down and across the frame


def dice(seed: int, *key: str | int) -> Rng:
    """A generator of one's own for (seed, *key): what it draws depends on nothing else."""
    words = [zlib.crc32(str(part).encode()) for part in key]
    return np.random.default_rng([seed, *words])


def render(
    category: str,
    *,
    size: int,
    seed: int,
    split: str,
    index: int,
    defect: str | None = None,
    condition: Condition = "regular",
    twin: bool = False,
) -> Shot:
    """Take the picture of specimen (seed, category, split, index).

    Args:
        category: A family of `FAMILIES`.
        size: Side of the square picture in pixels, 64 or more.
        seed: The whole set's seed.
        split: The folder that the specimen belongs to; any text.
        index: Its number there.
        defect: One of the family's kinds, or None for a good specimen.
        condition: The light it is seen in; the specimen and its defect are the same in all of them.
        twin: Take the picture of the specimen as it was before the defect. It equals the
            defective one in every pixel that no channel holds.

    Returns:
        The picture, and where it is defective a channel for each annotated fault.
    """
    key = (seed, category, split, index)
    side = size * max(2, min(4, round(512 / size)))
    setup = _setup(dice(*key, "setup"), dice(*key, "setup", condition), condition)
    family = FAMILIES[category]
    clean = _shrunk(
        photograph(family.paint(dice(*key, "part"), side, setup.light, None).surface, light=setup.light), size
    )
    if defect is None or twin:
        return Shot(_exposed(clean, setup, dice(*key, "noise", condition)))
    fault = Fault(defect, _severity(*key, defect), dice(*key, "fault", defect))
    painting = family.paint(dice(*key, "part"), side, setup.light, fault)
    spoiled = _shrunk(photograph(painting.surface, light=setup.light), size)
    picture, changed = _joined(clean, spoiled)
    channels = _channels(painting.places, changed, size) if family.kinds[defect] == LOGICAL else None
    if channels is None:
        channels = (Channel(defect, changed),)
    inside = np.logical_or.reduce([channel.mask for channel in channels])
    picture = np.where(inside[..., None], picture, clean)
    return Shot(_exposed(picture, setup, dice(*key, "noise", condition)), channels)


def _severity(seed: int, category: str, split: str, index: int, defect: str) -> float:
    """Spread over [0, 1) by the golden ratio: even a handful of images has slight and blatant ones."""
    return float((dice(seed, category, split, defect).uniform() + 0.618034 * index) % 1)


def _shrunk(picture: Field, size: int) -> Field:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _joined(clean: Field, spoiled: Field) -> tuple[Field, NDArray[np.bool_]]:
    """The spoiled picture where it differs enough to be seen, and the clean one elsewhere."""
    clean, spoiled = np.clip(clean, 0, 1.1), np.clip(spoiled, 0, 1.1)
    change = np.abs(spoiled - clean).max(axis=2)
    few = max(4, change.size // 4096)  # that many pixels must show it: 16 in a picture of 256 by 256
    strength = float(np.partition(change, -few, axis=None)[-few])
    gain = max(1.0, VISIBLE / max(strength, 1e-6))
    changed = change * gain > CHANGED
    return np.where(changed[..., None], clean + (spoiled - clean) * np.float32(gain), clean), changed


def _channels(places: list[tuple[str, Field]], changed: NDArray[np.bool_], size: int) -> tuple[Channel, ...]:
    """Annotated places at the picture's size, each with the changes nearest to it, as its shadow."""
    masks = np.stack([_shrunk(place, size) > 0.5 for _, place in places])
    masks = masks | (changed & (_nearest(masks) == np.arange(len(masks))[:, None, None]))
    return tuple(Channel(name, mask) for (name, _), mask in zip(places, masks, strict=True))


def _nearest(masks: NDArray[np.bool_]) -> NDArray[np.intp]:
    away = [cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) for mask in masks]
    return np.asarray(np.argmin(np.stack(away), axis=0), dtype=np.intp)


def _setup(rng: Rng, own: Rng, condition: Condition) -> _Setup:
    """How the station looked for this specimen (`rng`), and what the condition makes of it (`own`)."""
    azimuth, elevation = -2.2 + rng.normal(0, 0.12), 0.92 + rng.normal(0, 0.03)
    exposure, tint = 1 + rng.normal(0, 0.03), 1 + rng.normal(0, 0.008, 3)
    tilt = rng.normal(0, 0.045, 2)
    mix = own.uniform(-1, 1) if condition == "mixed" else 0.0
    if condition == "overexposed" or mix > 0.3:
        exposure *= 1.5 if mix == 0 else 1.1 + 0.5 * mix
    elif condition == "underexposed" or mix < -0.3:
        exposure *= 0.5 if mix == 0 else 0.95 + 0.5 * mix
    elif condition == "shift_1" or condition == "mixed":
        azimuth += 1.9 + mix
        elevation -= 0.17
        tint = tint * np.array([1.05, 1.0, 0.90])
        tilt = tilt * 2 + np.array([0.0, 0.14])
    red, green, blue = (float(t) for t in tint)
    return _Setup(
        Light(azimuth, elevation), float(exposure), (red, green, blue), (float(tilt[0]), float(tilt[1]))
    )


def _exposed(picture: Field, setup: _Setup, rng: Rng) -> NDArray[np.uint8]:
    """Lens fall-off, exposure, film-like shoulder, read and shot noise, eight bits. Pixel by pixel."""
    size = picture.shape[0]
    y, x = axes(size)
    y, x = y - np.float32(0.5), x - np.float32(0.5)
    fall = 1 + setup.tilt[0] * y + setup.tilt[1] * x - np.float32(0.16) * (y * y + x * x)
    seen = picture * (fall * np.float32(setup.exposure))[..., None] * np.asarray(setup.tint, dtype=np.float32)
    seen = np.where(seen > 0.8, 0.8 + 0.2 * np.tanh((seen - 0.8) * 5), seen)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    seen = seen + noise * np.sqrt(np.float32(1.2e-5) + np.float32(7e-5) * np.maximum(seen, 0))
    return np.asarray(np.clip(np.rint(seen * 255), 0, 255), dtype=np.uint8)
