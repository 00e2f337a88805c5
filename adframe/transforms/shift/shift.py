"""A domain shift: transforms in a fixed order, the same picture for the same seed and index.

The order is that of the light's way: the part moves, is lit, is imaged by a lens, exposed, read out
with noise, and stored. It does not depend on the order in which a configuration names them.

Randomness comes from `seed + index` alone, and every transform has a generator of its own, keyed by
its name: the same picture results whatever the number of workers, the order or the process, and
taking a transform out does not change what the others draw. A range that is widened scales the same
draw, so presets can be compared image by image.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adframe.errors import AdframeError, unknown
from adframe.transforms.shift.dtype import from_unit, to_unit
from adframe.transforms.shift.geometric import warp
from adframe.transforms.shift.transform import KEY, Params, Pixel, Transform, Warp, impossible

ORDER = (
    "rotation", "crop", "translation",
    "gradient",
    "blur", "corruption_defocus", "vignetting",
    "exposure", "channel_gain",
    "brightness", "corruption_brightness", "contrast", "corruption_contrast", "saturation",
    "noise", "corruption_noise",  # after what would scale it: its sigma is then the one that was asked for
    "jpeg",
)  # fmt: skip
SPLITS = ("train", "val", "test")


class Shift:
    """Shifts an image at its native resolution, and its masks along with it.

    Args:
        transforms: by their names in `ORDER`; none of them leaves images as they are.
        name: what to call the shift in tables.
        seed: 0 or more.
        splits: which splits are shifted: of train, val, test. Whoever reads images asks for it.

    Raises:
        AdframeError: an unknown name or split, a negative seed.
    """

    def __init__(
        self,
        transforms: Mapping[str, Transform],
        *,
        name: str,
        seed: int,
        splits: Sequence[str] = ("test",),
    ) -> None:
        _check(transforms, seed=seed, splits=splits)
        self.transforms = {key: transforms[key] for key in ORDER if key in transforms}
        self.name = name
        self.seed = seed
        self.splits = tuple(splits)

    def __call__(
        self, image: np.ndarray, masks: list[np.ndarray], *, index: int
    ) -> tuple[np.ndarray, list[np.ndarray], Params]:
        """Shifts one image.

        Args:
            image: (H, W, 3) RGB, uint8 or uint16; not changed.
            masks: (H, W) uint8 or uint16 each; not changed.
            index: of the image, 0 or more: which picture it becomes.

        Returns:
            Image and masks of the same shapes and dtypes, and what was drawn, as `rotation.degrees`
            and the like. Without transforms the very objects that were given.
        """
        if not self.transforms:
            return image, masks, {}
        drawn = self.draw(index)
        pixels, masks = self._moved(to_unit(image), masks, drawn)
        for key, transform in self.transforms.items():
            if isinstance(transform, Pixel):
                pixels = transform.apply(pixels, params=drawn[key])
        return from_unit(pixels, image.dtype), masks, _flat(drawn)

    def draw(self, index: int) -> dict[str, Params]:
        """What every transform does to the image of this index."""
        root = int(np.random.default_rng(self.seed + index).integers(2**63))
        return {
            key: transform.draw(np.random.default_rng([root, zlib.crc32(key.encode())]))
            for key, transform in self.transforms.items()
        }

    def facts(self, index: int) -> Params:
        """What was, or would be, drawn for the image of this index, flat: `rotation.degrees`."""
        return _flat(self.draw(index))

    def settings(self) -> dict[str, Any]:
        """Every transform's ranges, as JSON can hold them: what tells two shifts of one name apart."""
        described: dict[str, Any] = json.loads(json.dumps({k: vars(t) for k, t in self.transforms.items()}))
        return described

    def _moved(
        self, pixels: np.ndarray, masks: list[np.ndarray], drawn: Mapping[str, Params]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """All geometric transforms as one warp: interpolated once."""
        size = pixels.shape[0], pixels.shape[1]
        matrix = np.eye(3)
        for key, transform in self.transforms.items():
            if isinstance(transform, Warp):
                matrix = transform.matrix(drawn[key], size=size) @ matrix
        if np.array_equal(matrix, np.eye(3)):
            return pixels, masks
        return warp(pixels, masks, matrix=matrix)


def _flat(drawn: Mapping[str, Params]) -> Params:
    return {f"{key}.{name}": value for key, params in drawn.items() for name, value in params.items()}


def _check(transforms: Mapping[str, Transform], *, seed: int, splits: Sequence[str]) -> None:
    for key, transform in transforms.items():
        if key not in ORDER:
            raise AdframeError(unknown("transform", key, ORDER, where=f"in {KEY}"))
        if not isinstance(transform, Warp | Pixel):
            raise impossible(key, transform, f"a transform (~{KEY}.{key} takes it out)")
    if seed < 0:
        raise AdframeError(f"shift.seed={seed} must be 0 or more")
    for split in splits:
        if split not in SPLITS:
            raise AdframeError(unknown("split", split, SPLITS, where="in shift.splits"))
