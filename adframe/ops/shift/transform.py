"""What a transform of a domain shift is: numbers drawn first, then pixels changed by them.

Drawing is apart from applying so that what was drawn can be written down, and so that geometric
transforms can be composed before any pixel is touched.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from adframe.contracts import AdframeError

Params = dict[str, float | str]  # what was drawn; JSON can hold it
Range = float | Sequence[float]  # [lowest, highest], or one number: always that
KEY = "shift.transforms"  # where a transform's numbers stand in the configuration


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


def interval(key: str, value: Range, *, low: float, high: float) -> tuple[float, float]:
    """A range from the configuration, checked.

    Args:
        key: `rotation.degrees` and the like, for the error.
        value: [lowest, highest], or one number that stands for both.
        low: the least that is possible.
        high: the most that is possible.

    Raises:
        AdframeError: not one or two finite numbers in ascending order within [low, high].
    """
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if (
        len(pair) == 2
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in pair)
        and all(math.isfinite(number) for number in pair)
        and low <= pair[0] <= pair[1] <= high
    ):
        return float(pair[0]), float(pair[1])
    right = f"a number or [lowest, highest] between {low:g} and {high:g}"
    raise impossible(key, value, right)


def whole_interval(key: str, value: int | Sequence[int], *, low: int, high: int) -> tuple[int, int]:
    """A range of whole numbers; raises like `interval`."""
    first, last = interval(key, value, low=low, high=high)
    if first % 1 or last % 1:
        raise impossible(key, value, f"a whole number or two between {low} and {high}")
    return int(first), int(last)


def single(key: str, value: float, *, low: float, high: float) -> float:
    """One number from the configuration; raises like `interval`."""
    if isinstance(value, Sequence):
        raise impossible(key, value, f"a number between {low:g} and {high:g}")
    return interval(key, value, low=low, high=high)[0]


def impossible(key: str, value: object, right: str) -> AdframeError:
    """The error for a value that cannot be: key, value, what would be right, in one line."""
    plain = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    text = str(plain).replace(" ", "").replace("'", "")
    return AdframeError(f"{KEY}.{key}={text} is not possible; {KEY}.{key} must be {right}")
