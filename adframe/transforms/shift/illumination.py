"""Light that falls on the part unevenly: gradients and spotlights.

Like the light conditions of MVTec AD 2 (Heckler-Kram et al., 2025), where a lamp stands to one side
or a spotlight leaves the rest darker. No library has such a field with a chosen smoothness. It is
evaluated in closed form on a coarse grid and enlarged by OpenCV: it has nothing finer to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy.special import ndtr

from adframe.errors import AdframeError, Range, unknown
from adframe.transforms.shift.transform import KEY, Params, Pixel, impossible, interval, single

KINDS = ("left", "right", "top", "bottom", "radial")
COARSE = 128  # points of the grid a side, at most


class Gradient(Pixel):
    """Multiplies by a field that falls from 1, where the light is, to 1 - strength.

    `left`, `right`, `top`, `bottom` say where the light is; the field falls in a straight ramp to the
    other side. `radial` is a spotlight; its ramp reaches half the image's diagonal. The ramp's two
    kinks are rounded: it is convolved with a Gaussian of `sigma` pixels, for images whose shorter
    side is `reference`, and in proportion for others, so that one picture at two resolutions is lit
    the same. Rounding keeps the very ends off the extremes by 0.4 sigma of the ramp (3.5 % of the strength).

    Args:
        strength: share of a value that is lost at the dark end.
        probability: share of images that get a gradient.
        kinds: which to draw from, each as often.
        centre: where a spotlight's centre may lie, as a share of height and of width.
        sigma: see above, pixels.
        reference: see above, pixels.
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
        self.kinds = _known(kinds)
        reference = single("gradient.reference", reference, low=1, high=1e5)
        self.softness = single("gradient.sigma", sigma, low=1, high=1e5) / reference  # of the shorter side

    def draw(self, generator: np.random.Generator) -> Params:
        lit = generator.random() < self.probability
        kind = self.kinds[int(generator.integers(len(self.kinds)))]
        drawn = super().draw(generator)  # always, so that no probability changes what is drawn next
        if not lit:
            return {"kind": "none"}
        return {"kind": kind} | (drawn if kind == "radial" else {"strength": drawn["strength"]})

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        if params["kind"] == "none":
            return image
        height, width, _ = image.shape
        size = height, width
        sigma = self.softness * min(size)

        def field(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            distance, length = _from_light(y * height, x * width, params=params, size=size)
            darkness = soft_ramp(distance / length, sigma=sigma / length)
            return 1 - float(params["strength"]) * darkness

        image *= smooth_field(field, size=size)
        return image


def soft_ramp(t: np.ndarray, *, sigma: float) -> np.ndarray:
    """The ramp that is 0 up to 0, t up to 1, then 1, convolved with a Gaussian of `sigma`."""
    ramp: np.ndarray = _soft_hinge(t, sigma) - _soft_hinge(t - 1, sigma)
    return ramp


def smooth_field(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], *, size: tuple[int, int]
) -> np.ndarray:
    """(H, W, 1) float32 of a function of (y, x), the centres of pixels as shares of height and width."""
    rows, columns = min(size[0], COARSE), min(size[1], COARSE)
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns)[None, :] + 0.5) / columns
    coarse = np.broadcast_to(function(y, x), (rows, columns)).astype(np.float32)
    fine = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return fine[:, :, None]


def _from_light(
    y: np.ndarray, x: np.ndarray, *, params: Params, size: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Distance in pixels to where the light is, and the one at which the ramp ends."""
    height, width = size
    if params["kind"] == "radial":
        spot_y, spot_x = float(params["y"]) * height, float(params["x"]) * width
        return np.hypot(y - spot_y, x - spot_x), float(np.hypot(height, width)) / 2
    if params["kind"] in ("left", "right"):
        return (x if params["kind"] == "left" else width - x), width
    return (y if params["kind"] == "top" else height - y), height


def _soft_hinge(t: np.ndarray, sigma: float) -> np.ndarray:
    """max(t, 0) convolved with a Gaussian: t Phi(t / sigma) + sigma phi(t / sigma)."""
    u = t / sigma
    hinge: np.ndarray = t * ndtr(u) + sigma * np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
    return hinge


def _known(kinds: Sequence[str]) -> tuple[str, ...]:
    if isinstance(kinds, str) or not kinds:
        raise impossible("gradient.kinds", kinds, f"a list of one or more of {', '.join(KINDS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise AdframeError(unknown("light", kind, KINDS, where=f"in {KEY}.gradient.kinds"))
    return tuple(kinds)
