"""What a transform of a domain shift is: numbers drawn first, then pixels changed by them.

Drawing is apart from applying so that what was drawn can be written down, and so that geometric
transforms can be composed before any pixel is touched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from adframe.errors import Ranges

Params = dict[str, float | str]  # what was drawn; JSON can hold it
KEY = "shift.transforms"  # where a transform's numbers stand in the configuration
_ranges = Ranges(KEY)
interval, whole_interval, impossible = _ranges.interval, _ranges.whole_interval, _ranges.impossible


class Drawn:
    """Numbers that are drawn evenly out of intervals, in the order in which `bounds` names them."""

    bounds: Mapping[str, tuple[float, float]]  # [lowest, highest]; one draw even where both are the same

    def draw(self, generator: np.random.Generator) -> Params:
        return {name: float(generator.uniform(*interval)) for name, interval in self.bounds.items()}


class Warp(Drawn, ABC):
    """Moves pixels; masks move along."""

    @abstractmethod
    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        """(3, 3) float64, takes (x, y, 1) of the original to the shifted image of `size` (H, W).

        Integer coordinates are centres of pixels.
        """


class Pixel(Drawn, ABC):
    """Changes pixels where they are; masks stay."""

    @abstractmethod
    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Changes an image.

        Args:
            image: (H, W, 3) float32 RGB, nominally in [0, 1]; may be overwritten.
            params: what `draw` gave. The result follows from it and the image alone.

        Returns:
            (H, W, 3) float32. It may leave [0, 1]: `Shift` clips once, at the end.
        """


Transform = Warp | Pixel


def single(key: str, value: float, *, low: float, high: float) -> float:
    """One number from the configuration; raises like `interval`."""
    if isinstance(value, Sequence):
        raise impossible(key, value, f"a number between {low:g} and {high:g}")
    return interval(key, value, low=low, high=high)[0]
