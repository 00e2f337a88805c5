"""Another camera or other settings: brightness, contrast, saturation, blur, noise.

OpenCV blurs and weighs colours. Brightness, contrast and saturation are written here, in one line
each, as torchvision's `adjust_*` clamp after every step: a bright then dimmed image would lose its
lights, and here everything is clipped once, at the end. Noise comes from NumPy's generators, whose
streams are the same in every process.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import Range
from adframe.transforms.shift.dtype import is_grey
from adframe.transforms.shift.transform import Params, Pixel, impossible, interval, whole_interval


class Brightness(Pixel):
    """Every value times a factor.

    Args:
        factor: 1 changes nothing.
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("brightness.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        image *= np.float32(params["factor"])
        return image


class Contrast(Pixel):
    """Distances to the image's mean luminance times a factor.

    Args:
        factor: 1 changes nothing, 0 leaves plain grey.
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("contrast.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        factor = float(params["factor"])
        red, green, blue, _ = cv2.mean(image)
        mean = 0.299 * red + 0.587 * green + 0.114 * blue  # BT.601, as OpenCV weighs
        image *= np.float32(factor)
        image += np.float32(mean * (1 - factor))
        return image


class Saturation(Pixel):
    """Distances to each pixel's own luminance times a factor; a grey image stays as it is.

    Args:
        factor: 1 changes nothing, 0 leaves a grey image.
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("saturation.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        factor = float(params["factor"])
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(image, factor, grey, 1 - factor, 0.0)


class Blur(Pixel):
    """Gaussian blur; its sigma follows from the kernel as in OpenCV: 0.8 px for 3, 1.1 px for 5.

    Args:
        kernel: odd side in pixels, [lowest, highest] or one; 1 blurs nothing.
    """

    def __init__(self, *, kernel: int | Sequence[int]) -> None:
        low, high = self.kernel = whole_interval("blur.kernel", kernel, low=1, high=99)
        if low % 2 == 0 or high % 2 == 0:
            raise impossible("blur.kernel", kernel, "odd: a Gaussian kernel has a middle")

    def draw(self, generator: np.random.Generator) -> Params:
        low, high = self.kernel
        return {"kernel": low + 2 * int(generator.integers((high - low) // 2 + 1))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        side = int(params["kernel"])
        return cv2.GaussianBlur(image, (side, side), 0)


class Noise(Pixel):
    """Gaussian noise, each value by itself; a grey image gets one noise for its three channels.

    Args:
        sigma: standard deviation, of values in [0, 1].
    """

    def __init__(self, *, sigma: Range) -> None:
        self.bounds = {"sigma": interval("noise.sigma", sigma, low=0, high=1)}

    def draw(self, generator: np.random.Generator) -> Params:
        return super().draw(generator) | {"field": int(generator.integers(2**32))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        channels = 1 if is_grey(image) else 3  # a monochrome sensor has one noise
        image += gaussian_field((*image.shape[:2], channels), params=params)
        return image


def gaussian_field(shape: tuple[int, ...], *, params: Params) -> np.ndarray:
    """float32 noise of standard deviation `sigma`; `field`, its seed, is a number drawn like others."""
    generator = np.random.default_rng(int(params["field"]))
    field: np.ndarray = generator.standard_normal(shape, dtype=np.float32)
    field *= np.float32(params["sigma"])
    return field
