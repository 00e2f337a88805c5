"""Illuminates the part unevenly: gradients and spotlights.

This resembles the light conditions of MVTec AD 2 (Heckler-Kram et al., 2025), where a lamp stands to one side
or a spotlight leaves the rest darker. No library has such a field with a chosen smoothness. It is evaluated
in closed form on a coarse grid and enlarged by OpenCV, because it has no finer details.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy.special import ndtr

from adframe.errors import AdframeError, Range, unknown
from adframe.transforms.shift.transform import TRANSFORMS_KEY, Params, Pixel, impossible, interval, single

LIGHT_KINDS = ("left", "right", "top", "bottom", "radial")
# Largest number of grid points per side.
FIELD_POINTS = 128


class Gradient(Pixel):
    """Multiplies by a field that falls from 1, where the light is, to 1 - strength.

    `left`, `right`, `top`, `bottom` are positions of the light; the field falls in a linear ramp to the other
    side. `radial` is a spotlight; its ramp reaches half of the image's diagonal. The two kinks of the ramp
    are rounded by convolution with a Gaussian of `sigma` pixels for images whose shorter side is `reference`,
    and in proportion for others, so that one picture at two resolutions has the same light. Rounding keeps
    the ends of the ramp off the extremes by 0.4 sigma (3.5 % of the strength).

    Args:
        strength: share of a value that is lost at the dark end, a range in [0, 1].
        probability: share of images that get a gradient, in [0, 1].
        kinds: kinds to draw from, with equal probability.
        centre: range of a spotlight's centre, as a share of height and of width.
        sigma: standard deviation of the rounding in pixels.
        reference: shorter side in pixels of the images to which `sigma` refers.

    Raises:
        AdframeError: if a number is out of its range, or a kind is unknown.

    Example:
        >>> light = Gradient(
        ...     strength=0.5, probability=1.0, kinds=["left"], centre=0.5, sigma=20, reference=256
        ... )
        >>> light.draw(np.random.default_rng(0))
        {'kind': 'left', 'strength': 0.5}
    """

    def __init__(
        self,
        *,
        strength: Range,
        probability: float,
        kinds: Sequence[str],
        centre: Range,
        sigma: float,
        reference: float,
    ) -> None:
        place = interval("gradient.centre", centre, low=0, high=1)
        self.bounds = {
            "strength": interval("gradient.strength", strength, low=0, high=1),
            "y": place,
            "x": place,
        }
        self.probability = single("gradient.probability", probability, low=0, high=1)
        self.kinds = _checked_kinds(kinds)
        reference = single("gradient.reference", reference, low=1, high=1e5)
        self.softness = single("gradient.sigma", sigma, low=1, high=1e5) / reference  # of the shorter side

    def draw(self, generator: np.random.Generator) -> Params:
        """Draws the kind of light and its numbers; the kind is `none` for images without a gradient.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        lit = generator.random() < self.probability
        kind = self.kinds[int(generator.integers(len(self.kinds)))]
        # Always, so that the probability does not change the following draws.
        drawn = super().draw(generator)
        if not lit:
            return {"kind": "none"}
        return {"kind": kind} | (drawn if kind == "radial" else {"strength": drawn["strength"]})

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Multiplies the image by the field.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        if params["kind"] == "none":
            return image
        height, width, _ = image.shape
        size = height, width
        sigma = self.softness * min(size)

        def field(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            distance, length = _distance_from_light(y * height, x * width, params=params, size=size)
            darkness = soft_ramp(distance / length, sigma=sigma / length)
            return 1 - float(params["strength"]) * darkness

        image *= smooth_field(field, size=size)
        return image


def soft_ramp(t: np.ndarray, *, sigma: float) -> np.ndarray:
    """Computes the ramp that is 0 up to 0, t up to 1, then 1, convolved with a Gaussian.

    Args:
        t: positions along the ramp.
        sigma: standard deviation of the Gaussian, in units of `t`.

    Returns:
        Values in [0, 1] of the shape of `t`.
    """
    ramp: np.ndarray = _soft_hinge(t, sigma) - _soft_hinge(t - 1, sigma)
    return ramp


def smooth_field(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], *, size: tuple[int, int]
) -> np.ndarray:
    """Evaluates a function on the pixels of an image, on a coarse grid with cubic interpolation.

    Args:
        function: maps (y, x), centres of pixels as shares of height and width, to values.
        size: (H, W) in pixels.

    Returns:
        (H, W, 1) float32.
    """
    rows, columns = min(size[0], FIELD_POINTS), min(size[1], FIELD_POINTS)
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns)[None, :] + 0.5) / columns
    coarse = np.broadcast_to(function(y, x), (rows, columns)).astype(np.float32)
    fine = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return fine[:, :, None]


def _distance_from_light(
    y: np.ndarray, x: np.ndarray, *, params: Params, size: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Returns the distance in pixels from the light, and the distance at which the ramp ends."""
    height, width = size
    if params["kind"] == "radial":
        spot_y, spot_x = float(params["y"]) * height, float(params["x"]) * width
        return np.hypot(y - spot_y, x - spot_x), float(np.hypot(height, width)) / 2
    if params["kind"] in ("left", "right"):
        return (x if params["kind"] == "left" else width - x), width
    return (y if params["kind"] == "top" else height - y), height


def _soft_hinge(t: np.ndarray, sigma: float) -> np.ndarray:
    """Computes max(t, 0) convolved with a Gaussian: t Phi(t / sigma) + sigma phi(t / sigma)."""
    u = t / sigma
    hinge: np.ndarray = t * ndtr(u) + sigma * np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
    return hinge


def _checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    if isinstance(kinds, str) or not kinds:
        raise impossible("gradient.kinds", kinds, f"a list of one or more of {', '.join(LIGHT_KINDS)}")
    for kind in kinds:
        if kind not in LIGHT_KINDS:
            raise AdframeError(
                unknown("light", kind, LIGHT_KINDS, where=f"in {TRANSFORMS_KEY}.gradient.kinds")
            )
    return tuple(kinds)
