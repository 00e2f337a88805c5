"""Defines the transforms of a domain shift: numbers are drawn first, then pixels are changed.

Drawing is separate from applying so that drawn numbers can be recorded, and so that geometric transforms can
be composed before any pixel is changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from adframe.errors import Ranges

Params = dict[str, float | str]  # drawn numbers; JSON values
# Place of the transforms in the configuration.
TRANSFORMS_KEY = "shift.transforms"
_transform_ranges = Ranges(TRANSFORMS_KEY)
interval, whole_interval = _transform_ranges.interval, _transform_ranges.whole_interval
impossible = _transform_ranges.impossible


class UniformDraws:
    """Draws numbers uniformly from intervals, in the order of `bounds`.

    Attributes:
        bounds: (lowest, highest) by name; one draw is made even where both are equal.

    Example:
        >>> from adframe.transforms.shift.photometric import Brightness
        >>> Brightness(factor=[1, 1]).draw(np.random.default_rng(0))
        {'factor': 1.0}
    """

    bounds: Mapping[str, tuple[float, float]]

    def draw(self, generator: np.random.Generator) -> Params:
        """Draws one number per interval.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        return {name: float(generator.uniform(*interval)) for name, interval in self.bounds.items()}


class Warp(UniformDraws, ABC):
    """Moves pixels; masks move with them.

    Example:
        >>> from adframe.transforms.shift.geometric import Rotation
        >>> Rotation(degrees=0).matrix({"degrees": 0.0}, size=(4, 4)).shape
        (3, 3)
    """

    @abstractmethod
    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        """Returns the matrix that maps (x, y, 1) of the original to the shifted image.

        Integer coordinates are centres of pixels.

        Args:
            params: result of `draw`.
            size: (H, W) of the image in pixels.

        Returns:
            (3, 3) float64.
        """


class Pixel(UniformDraws, ABC):
    """Changes values of pixels in place; masks do not change.

    Example:
        >>> from adframe.transforms.shift.photometric import Brightness
        >>> Brightness(factor=2).apply(np.ones((1, 1, 3), np.float32), params={"factor": 0.5})[0, 0].tolist()
        [0.5, 0.5, 0.5]
    """

    @abstractmethod
    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Changes an image.

        Args:
            image: (H, W, 3) float32 RGB, nominally in [0, 1]; may be overwritten.
            params: result of `draw`. The result depends on it and the image only.

        Returns:
            (H, W, 3) float32. It may leave [0, 1]: `Shift` clips once, at the end.
        """


Transform = Warp | Pixel


def single(key: str, value: float, *, low: float, high: float) -> float:
    """Checks one number of the configuration.

    Args:
        key: name below the place of transforms, such as `noise.sigma`.
        value: the number.
        low: smallest possible value.
        high: largest possible value.

    Returns:
        The number.

    Raises:
        AdframeError: if it is not a finite number in [low, high].
    """
    if isinstance(value, Sequence):
        raise impossible(key, value, f"a number between {low:g} and {high:g}")
    return interval(key, value, low=low, high=high)[0]
