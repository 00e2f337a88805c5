"""Simulates another camera or other settings: brightness, contrast, saturation, blur, noise.

OpenCV blurs and computes luminance. Brightness, contrast and saturation are written here, in one line each,
because torchvision's `adjust_*` clamp after every step: an image that is brightened and then dimmed would
lose its highlights. Here values are clipped once, at the end. Noise comes from NumPy's generators, whose
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
    """Multiplies every value by a factor.

    Args:
        factor: a range in [0, 10]; 1 changes nothing.

    Example:
        >>> image = np.full((1, 1, 3), 0.25, np.float32)
        >>> Brightness(factor=2).apply(image, params={"factor": 2.0})[0, 0].tolist()
        [0.5, 0.5, 0.5]
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("brightness.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Multiplies the image by the factor.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        image *= np.float32(params["factor"])
        return image


class Contrast(Pixel):
    """Multiplies the distance from the image's mean luminance by a factor.

    Args:
        factor: a range in [0, 10]; 1 changes nothing, 0 gives uniform grey.

    Example:
        >>> image = np.full((1, 1, 3), 0.25, np.float32)
        >>> Contrast(factor=2).apply(image, params={"factor": 2.0})[0, 0].round(3).tolist()
        [0.25, 0.25, 0.25]
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("contrast.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Changes the contrast.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        factor = float(params["factor"])
        red, green, blue, _ = cv2.mean(image)
        mean = 0.299 * red + 0.587 * green + 0.114 * blue  # BT.601, the weights of OpenCV
        image *= np.float32(factor)
        image += np.float32(mean * (1 - factor))
        return image


class Saturation(Pixel):
    """Multiplies the distance from each pixel's own luminance by a factor; a grey image does not change.

    Args:
        factor: a range in [0, 10]; 1 changes nothing, 0 gives a grey image.

    Example:
        >>> image = np.full((1, 1, 3), 0.25, np.float32)
        >>> Saturation(factor=2).apply(image, params={"factor": 2.0})[0, 0].round(3).tolist()
        [0.25, 0.25, 0.25]
    """

    def __init__(self, *, factor: Range) -> None:
        self.bounds = {"factor": interval("saturation.factor", factor, low=0, high=10)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Changes the saturation.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        factor = float(params["factor"])
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(image, factor, grey, 1 - factor, 0.0)


class Blur(Pixel):
    """Blurs with a Gaussian; its sigma follows from the kernel as in OpenCV: 0.8 px for 3, 1.1 px for 5.

    Args:
        kernel: odd side in pixels, [lowest, highest] or one number; 1 does not blur.

    Raises:
        AdframeError: if a side is even or out of range.

    Example:
        >>> Blur(kernel=[3, 3]).draw(np.random.default_rng(0))
        {'kernel': 3}
    """

    def __init__(self, *, kernel: int | Sequence[int]) -> None:
        low, high = self.kernel = whole_interval("blur.kernel", kernel, low=1, high=99)
        if low % 2 == 0 or high % 2 == 0:
            raise impossible("blur.kernel", kernel, "odd, because a Gaussian kernel has a centre")

    def draw(self, generator: np.random.Generator) -> Params:
        """Draws an odd side of the kernel.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        low, high = self.kernel
        return {"kernel": low + 2 * int(generator.integers((high - low) // 2 + 1))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Blurs the image.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        side = int(params["kernel"])
        return cv2.GaussianBlur(image, (side, side), 0)


class Noise(Pixel):
    """Adds Gaussian noise to each value independently; a grey image gets the same noise in its three
    channels.

    Args:
        sigma: standard deviation of values in [0, 1], a range in [0, 1].

    Example:
        >>> sorted(Noise(sigma=0.1).draw(np.random.default_rng(0)))
        ['field', 'sigma']
    """

    def __init__(self, *, sigma: Range) -> None:
        self.bounds = {"sigma": interval("noise.sigma", sigma, low=0, high=1)}

    def draw(self, generator: np.random.Generator) -> Params:
        """Draws the standard deviation and the seed of the noise.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        return super().draw(generator) | {"field": int(generator.integers(2**32))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Adds the noise.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        # A monochrome sensor has one noise for all channels.
        channels = 1 if is_grey(image) else 3
        image += gaussian_field((*image.shape[:2], channels), params=params)
        return image


def gaussian_field(shape: tuple[int, ...], *, params: Params) -> np.ndarray:
    """Computes the noise of drawn numbers.

    Args:
        shape: shape of the result.
        params: `sigma`, the standard deviation, and `field`, the seed of the noise.

    Returns:
        float32 noise.
    """
    generator = np.random.default_rng(int(params["field"]))
    field: np.ndarray = generator.standard_normal(shape, dtype=np.float32)
    field *= np.float32(params["sigma"])
    return field
