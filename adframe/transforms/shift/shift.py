"""Applies a domain shift: transforms in a fixed order, with the same result for the same seed and index.

The order follows the light: the part moves, is illuminated, is imaged by a lens, exposed, read out with
noise, and stored. It does not depend on the order of names in a configuration.

Random numbers depend on `seed + index` only, and every transform has its own generator, keyed by its name:
the result is the same for any number of workers, order and process, and removing a transform does not change
what the others draw. Widening a range scales the same draw, so presets can be compared image by image.
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
from adframe.transforms.shift.transform import TRANSFORMS_KEY, Params, Pixel, Transform, Warp, impossible

ORDER = (
    "rotation", "crop", "translation",
    "gradient",
    "blur", "corruption_defocus", "vignetting",
    "exposure", "channel_gain",
    "brightness", "corruption_brightness", "contrast", "corruption_contrast", "saturation",
    # Last but JPEG, so that nothing scales the configured sigma.
    "noise", "corruption_noise",
    "jpeg",
)  # fmt: skip
SHIFTABLE_SPLITS = ("train", "val", "test")


class Shift:
    """Shifts an image at its native resolution together with its masks.

    Args:
        transforms: transforms by their names in `ORDER`; an empty mapping leaves images unchanged.
        name: name of the shift in tables.
        seed: 0 or more.
        splits: the splits to shift, of train, val and test. The code that reads images checks this.

    Raises:
        AdframeError: if a name or split is unknown, or the seed is negative.

    Example:
        >>> from adframe.transforms.shift.photometric import Brightness
        >>> shift = Shift({"brightness": Brightness(factor=2)}, name="bright", seed=0)
        >>> image, masks, drawn = shift(np.full((1, 1, 3), 50, np.uint8), [], index=0)
        >>> image.tolist(), drawn
        ([[[100, 100, 100]]], {'brightness.factor': 2.0})
    """

    def __init__(
        self,
        transforms: Mapping[str, Transform],
        *,
        name: str,
        seed: int,
        splits: Sequence[str] = ("test",),
    ) -> None:
        _check_shift(transforms, seed=seed, splits=splits)
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
            index: number of the image, 0 or more, on which the draws depend.

        Returns:
            Image and masks of the same shapes and dtypes, and the drawn numbers by names such as
            `rotation.degrees`. Without transforms, the objects that were passed in.
        """
        if not self.transforms:
            return image, masks, {}
        drawn = self.draw(index)
        pixels, masks = self._warped(to_unit(image), masks, drawn)
        for key, transform in self.transforms.items():
            if isinstance(transform, Pixel):
                pixels = transform.apply(pixels, params=drawn[key])
        return from_unit(pixels, image.dtype), masks, _flattened(drawn)

    def draw(self, index: int) -> dict[str, Params]:
        """Draws the numbers of every transform.

        Args:
            index: number of the image, 0 or more.

        Returns:
            Drawn numbers by transform.
        """
        root = int(np.random.default_rng(self.seed + index).integers(2**63))
        return {
            key: transform.draw(np.random.default_rng([root, zlib.crc32(key.encode())]))
            for key, transform in self.transforms.items()
        }

    def facts(self, index: int) -> Params:
        """Returns the numbers that are drawn for an image under flat names such as `rotation.degrees`.

        Args:
            index: number of the image, 0 or more.

        Returns:
            Drawn numbers by name.
        """
        return _flattened(self.draw(index))

    def settings(self) -> dict[str, Any]:
        """Returns the ranges of every transform as JSON values, which distinguish two shifts of one name."""
        described: dict[str, Any] = json.loads(json.dumps({k: vars(t) for k, t in self.transforms.items()}))
        return described

    def _warped(
        self, pixels: np.ndarray, masks: list[np.ndarray], drawn: Mapping[str, Params]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Applies all geometric transforms as one warp, which interpolates once."""
        size = pixels.shape[0], pixels.shape[1]
        matrix = np.eye(3)
        for key, transform in self.transforms.items():
            if isinstance(transform, Warp):
                matrix = transform.matrix(drawn[key], size=size) @ matrix
        if np.array_equal(matrix, np.eye(3)):
            return pixels, masks
        return warp(pixels, masks, matrix=matrix)


def _flattened(drawn: Mapping[str, Params]) -> Params:
    return {f"{key}.{name}": value for key, params in drawn.items() for name, value in params.items()}


def _check_shift(transforms: Mapping[str, Transform], *, seed: int, splits: Sequence[str]) -> None:
    for key, transform in transforms.items():
        if key not in ORDER:
            raise AdframeError(unknown("transform", key, ORDER, where=f"in {TRANSFORMS_KEY}"))
        if not isinstance(transform, Warp | Pixel):
            raise impossible(key, transform, f"a transform (~{TRANSFORMS_KEY}.{key} removes it)")
    if seed < 0:
        raise AdframeError(f"shift.seed={seed} must be 0 or more")
    for split in splits:
        if split not in SHIFTABLE_SPLITS:
            raise AdframeError(unknown("split", split, SHIFTABLE_SPLITS, where="in shift.splits"))
