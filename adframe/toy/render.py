"""Renders one image of one specimen: painted large, reduced, and seen through a camera."""

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
from adframe.toy.surface import Lamp, photograph

Condition = Literal["regular", "overexposed", "underexposed", "shift_1", "mixed"]

# A pixel belongs to a fault where the fault changes it by more than this.
CHANGED = 3.5 / 255
# The smallest change of a fault where it is strongest.
MIN_FAULT_CONTRAST = 12 / 255


@dataclass(frozen=True)
class Channel:
    """One annotated fault.

    Attributes:
        name: name of the annotation.
        mask: (H, W) bool, never empty.
    """

    name: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Shot:
    """An image and its annotated faults.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        channels: annotated faults; empty where the specimen is good.
    """

    image: NDArray[np.uint8]
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class _Setup:
    """Light and camera of one condition."""

    light: Lamp
    exposure: float
    tint: tuple[float, float, float]
    # Change of the light down and across the frame.
    tilt: tuple[float, float]


def keyed_generator(seed: int, *key: str | int) -> Rng:
    """Makes a generator for (seed, *key), independent of all other keys.

    Args:
        seed: seed of the set.
        key: identifies the purpose.

    Returns:
        The generator.
    """
    words = [zlib.crc32(str(part).encode()) for part in key]
    return np.random.default_rng([seed, *words])


def render_shot(
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
    """Renders the image of specimen (seed, category, split, index).

    Args:
        category: one of `FAMILIES`.
        size: side of the square image in pixels, 64 or more.
        seed: seed of the whole set.
        split: folder that the specimen belongs to; any text.
        index: its number there.
        defect: one of the family's kinds, or None for a good specimen.
        condition: light condition; the specimen and its defect are the same in all of them.
        twin: whether to render the specimen as it was before the defect. Such an image equals the defective
            one in every pixel outside all channels.

    Returns:
        The image; where it is defective, with a channel for each annotated fault.
    """
    key = (seed, category, split, index)
    side = size * max(2, min(4, round(512 / size)))
    setup = _setup(keyed_generator(*key, "setup"), keyed_generator(*key, "setup", condition), condition)
    family = FAMILIES[category]
    clean = _reduced(
        photograph(
            family.paint(keyed_generator(*key, "part"), side, setup.light, None).surface, light=setup.light
        ),
        size,
    )
    if defect is None or twin:
        return Shot(_exposed(clean, setup, keyed_generator(*key, "noise", condition)))
    fault = Fault(defect, _severity(*key, defect), keyed_generator(*key, "fault", defect))
    painting = family.paint(keyed_generator(*key, "part"), side, setup.light, fault)
    spoiled = _reduced(photograph(painting.surface, light=setup.light), size)
    picture, changed = _combine(clean, spoiled)
    channels = _channels(painting.places, changed, size) if family.kinds[defect] == LOGICAL else None
    if channels is None:
        channels = (Channel(defect, changed),)
    inside = np.logical_or.reduce([channel.mask for channel in channels])
    picture = np.where(inside[..., None], picture, clean)
    return Shot(_exposed(picture, setup, keyed_generator(*key, "noise", condition)), channels)


def _severity(seed: int, category: str, split: str, index: int, defect: str) -> float:
    """Spreads severities over [0, 1) by the golden ratio, so that even a few images have slight and severe
    defects.
    """
    return float((keyed_generator(seed, category, split, defect).uniform() + 0.618034 * index) % 1)


def _reduced(picture: Field, size: int) -> Field:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _combine(clean: Field, spoiled: Field) -> tuple[Field, NDArray[np.bool_]]:
    """Returns the defective image where it differs visibly, and the clean one elsewhere."""
    clean, spoiled = np.clip(clean, 0, 1.1), np.clip(spoiled, 0, 1.1)
    change = np.abs(spoiled - clean).max(axis=2)
    # At least this many pixels must show it: 16 in an image of 256 by 256.
    few = max(4, change.size // 4096)
    strength = float(np.partition(change, -few, axis=None)[-few])
    gain = max(1.0, MIN_FAULT_CONTRAST / max(strength, 1e-6))
    changed = change * gain > CHANGED
    return np.where(changed[..., None], clean + (spoiled - clean) * np.float32(gain), clean), changed


def _channels(places: list[tuple[str, Field]], changed: NDArray[np.bool_], size: int) -> tuple[Channel, ...]:
    """Returns the annotated places at the size of the image, each with the changes nearest to it, such as its
    shadow.
    """
    masks = np.stack([_reduced(place, size) > 0.5 for _, place in places])
    masks = masks | (changed & (_nearest_mask(masks) == np.arange(len(masks))[:, None, None]))
    return tuple(Channel(name, mask) for (name, _), mask in zip(places, masks, strict=True))


def _nearest_mask(masks: NDArray[np.bool_]) -> NDArray[np.intp]:
    away = [cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) for mask in masks]
    return np.asarray(np.argmin(np.stack(away), axis=0), dtype=np.intp)


def _setup(rng: Rng, own: Rng, condition: Condition) -> _Setup:
    """Draws light and camera of this specimen (`rng`), and the change of the condition (`own`)."""
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
        Lamp(azimuth, elevation), float(exposure), (red, green, blue), (float(tilt[0]), float(tilt[1]))
    )


def _exposed(picture: Field, setup: _Setup, rng: Rng) -> NDArray[np.uint8]:
    """Applies lens fall-off, exposure, a film-like shoulder, read and shot noise, and 8-bit rounding, pixel
    by pixel.
    """
    size = picture.shape[0]
    y, x = axes(size)
    y, x = y - np.float32(0.5), x - np.float32(0.5)
    fall = 1 + setup.tilt[0] * y + setup.tilt[1] * x - np.float32(0.16) * (y * y + x * x)
    seen = picture * (fall * np.float32(setup.exposure))[..., None] * np.asarray(setup.tint, dtype=np.float32)
    seen = np.where(seen > 0.8, 0.8 + 0.2 * np.tanh((seen - 0.8) * 5), seen)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    seen = seen + noise * np.sqrt(np.float32(1.2e-5) + np.float32(7e-5) * np.maximum(seen, 0))
    return np.asarray(np.clip(np.rint(seen * 255), 0, 255), dtype=np.uint8)
