"""What a camera's software could have done before: white balance, and light evened out.

(H, W, 3) RGB of uint8 or uint16 in, the same shape and dtype out, at native resolution, one image by
itself: a normal image and a test image go the same way. A preprocessing is any callable of that kind;
those below are frozen dataclasses, so that their numbers are checked when they are made, before any
work, and so that processes that load images can be given them. `PREPROCESSES` has them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from adframe.errors import AdframeError
from adframe.transforms.shift.dtype import from_unit, to_unit

Preprocess = Callable[[np.ndarray], np.ndarray]
COARSE = 256  # pixels of the longer side on which slow light is looked at


@dataclass(frozen=True)
class Untouched:
    """The image itself."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return image


@dataclass(frozen=True)
class GreyWorld:
    """White balance by Buchsbaum (1980): the mean of a scene is grey.

    All channels get the mean of the three channel means, up to rounding and to what is clipped. A scene
    of one colour breaks the assumption: on a yellow ground the part turns blue.
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        means = np.array(cv2.mean(pixels)[:3])
        return from_unit(_scaled(pixels, to=float(means.mean()), levels=means), image.dtype)


@dataclass(frozen=True)
class MaxRgb:
    """White balance by Land's white patch (1977): the brightest of a scene is white.

    All channels get the largest of the three maxima, so nothing is clipped. One glare in one channel
    misleads it.
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        peaks = np.array([cv2.minMaxLoc(pixels[..., channel])[1] for channel in range(3)])
        return from_unit(_scaled(pixels, to=float(peaks.max()), levels=peaks), image.dtype)


@dataclass(frozen=True)
class Homomorphic:
    """Homomorphic filter (Oppenheim, Schafer and Stockham, 1968; Gonzalez and Woods, sec. 4.9).

    An image is light times reflectance, so their logarithms add. Light changes slowly: the log
    luminance below `cutoff` is weakened around its mean, the rest multiplied, and the exponential taken.
    The low-pass is a Gaussian blur, in the frequency domain the Gaussian transfer function of the
    textbook, but with reflected instead of wrapped borders. Working on luminance keeps hues.

    Args:
        cutoff: the Gaussian's standard deviation in the frequency domain, cycles per shorter side.
        low_gain: of slow changes, 0 or more.
        high_gain: of details, 0 or more.

    Raises:
        AdframeError: a number is out of its range.
    """

    cutoff: float = 2.0
    low_gain: float = 0.4
    high_gain: float = 1.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.cutoff <= 100:
            raise AdframeError(f"preprocess.cutoff={self.cutoff} must lie in [0.1, 100] cycles a side")
        for name in ("low_gain", "high_gain"):
            if not 0 <= (gain := getattr(self, name)) <= 10:
                raise AdframeError(f"preprocess.{name}={gain} must lie in [0, 10]; 1 changes nothing")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        floor = 1 / 255  # the logarithm needs one; 8 bits know nothing below
        light = np.log(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) + np.float32(floor))  # (H, W)
        slow = slow_part(light, sigma=min(light.shape) / (2 * math.pi * self.cutoff))
        mean = float(slow.mean())
        change = (self.low_gain - 1) * (slow - mean) + (self.high_gain - 1) * (light - slow)
        pixels *= np.exp(change)[:, :, None]
        return from_unit(pixels, image.dtype)


def slow_part(field: np.ndarray, *, sigma: float) -> np.ndarray:
    """(H, W) float32 blurred by a Gaussian of `sigma` pixels, on a coarse copy: it has no details."""
    height, width = field.shape
    scale = min(1.0, COARSE / max(height, width), 4 / sigma)  # sigma of 4 coarse pixels is resolved well
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        coarse = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    else:
        coarse = field
    blurred = cv2.GaussianBlur(coarse, (0, 0), sigma * scale, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


def _scaled(pixels: np.ndarray, *, to: float, levels: np.ndarray) -> np.ndarray:
    """Brings the channels' `levels` (3,) to one; a channel that is black stays black."""
    pixels *= np.divide(to, levels, out=np.ones(3), where=levels > 0).astype(np.float32)
    return pixels


PREPROCESSES: dict[str, Preprocess] = {
    "none": Untouched(),
    "grey_world": GreyWorld(),
    "max_rgb": MaxRgb(),
    "homomorphic": Homomorphic(),
}
