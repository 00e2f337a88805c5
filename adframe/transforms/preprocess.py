"""Preprocesses images as camera software does: white balance and even illumination.

A preprocessing maps (H, W, 3) RGB of uint8 or uint16 to the same shape and dtype, at native resolution, each
image by itself; normal and test images are treated alike. Any callable of this kind can be used. Those below
are frozen dataclasses, so that their numbers are checked at construction, before any work, and so that they
can be sent to processes that load images. `PREPROCESSES` lists them by name.
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
# Pixels of the longer side at which slow changes of light are computed.
SLOW_LIGHT_SIDE = 256


@dataclass(frozen=True)
class Untouched:
    """Leaves the image unchanged.

    Example:
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> Untouched()(image) is image
        True
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return image


@dataclass(frozen=True)
class GreyWorld:
    """Balances white by the grey-world assumption: the mean of a scene is grey (Buchsbaum, 1980).

    All channels get the mean of the three channel means, up to rounding and clipping. A scene of one colour
    violates the assumption: on a yellow background the part turns blue.

    Example:
        >>> GreyWorld()(np.full((1, 1, 3), [30, 60, 90], np.uint8)).tolist()
        [[[60, 60, 60]]]
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        means = np.array(cv2.mean(pixels)[:3])
        return from_unit(_scale_channels(pixels, to=float(means.mean()), levels=means), image.dtype)


@dataclass(frozen=True)
class MaxRgb:
    """Balances white by Land's white patch (1977): the brightest value of a scene is white.

    All channels get the largest of the three maxima, so nothing is clipped. A single reflection in one
    channel misleads it.

    Example:
        >>> MaxRgb()(np.full((1, 1, 3), [30, 60, 90], np.uint8)).tolist()
        [[[90, 90, 90]]]
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        peaks = np.array([cv2.minMaxLoc(pixels[..., channel])[1] for channel in range(3)])
        return from_unit(_scale_channels(pixels, to=float(peaks.max()), levels=peaks), image.dtype)


@dataclass(frozen=True)
class Homomorphic:
    """Evens out illumination by a homomorphic filter (Oppenheim, Schafer and Stockham, 1968; Gonzalez and
    Woods, sec. 4.9).

    An image is illumination times reflectance, so their logarithms add. Illumination changes slowly: the log
    luminance below `cutoff` is reduced around its mean, the rest is multiplied, and the exponential is taken.
    The low-pass filter is a Gaussian blur, which is the Gaussian transfer function of the textbook, but with
    reflected instead of wrapped borders. Filtering luminance preserves hues.

    Args:
        cutoff: standard deviation of the Gaussian in the frequency domain, in cycles per shorter side, in
            [0.1, 100].
        low_gain: factor of slow changes, in [0, 10].
        high_gain: factor of details, in [0, 10].

    Raises:
        AdframeError: if a number is out of its range.

    Example:
        >>> flat = np.full((8, 8, 3), 128, np.uint8)
        >>> np.array_equal(Homomorphic(cutoff=1.0)(flat), flat)
        True
    """

    cutoff: float = 2.0
    low_gain: float = 0.4
    high_gain: float = 1.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.cutoff <= 100:
            raise AdframeError(f"preprocess.cutoff={self.cutoff} must be in [0.1, 100] cycles per side")
        for name in ("low_gain", "high_gain"):
            if not 0 <= (gain := getattr(self, name)) <= 10:
                raise AdframeError(f"preprocess.{name}={gain} must be in [0, 10]; 1 changes nothing")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = to_unit(image)
        # Keeps the logarithm finite; 8-bit images have no smaller step.
        floor = 1 / 255
        light = np.log(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) + np.float32(floor))  # (H, W)
        slow = slow_part(light, sigma=min(light.shape) / (2 * math.pi * self.cutoff))
        mean = float(slow.mean())
        change = (self.low_gain - 1) * (slow - mean) + (self.high_gain - 1) * (light - slow)
        pixels *= np.exp(change)[:, :, None]
        return from_unit(pixels, image.dtype)


def slow_part(field: np.ndarray, *, sigma: float) -> np.ndarray:
    """Blurs a field by a Gaussian, on a coarse copy, because the result has no details.

    Args:
        field: (H, W) float32.
        sigma: standard deviation in pixels.

    Returns:
        (H, W) float32.
    """
    height, width = field.shape
    # A sigma of 4 coarse pixels is fine enough
    scale = min(1.0, SLOW_LIGHT_SIDE / max(height, width), 4 / sigma)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        coarse = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    else:
        coarse = field
    blurred = cv2.GaussianBlur(coarse, (0, 0), sigma * scale, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


def _scale_channels(pixels: np.ndarray, *, to: float, levels: np.ndarray) -> np.ndarray:
    """Scales the channels so that their `levels` (3,) become equal; a black channel stays black."""
    pixels *= np.divide(to, levels, out=np.ones(3), where=levels > 0).astype(np.float32)
    return pixels


PREPROCESSES: dict[str, Preprocess] = {
    "none": Untouched(),
    "grey_world": GreyWorld(),
    "max_rgb": MaxRgb(),
    "homomorphic": Homomorphic(),
}
