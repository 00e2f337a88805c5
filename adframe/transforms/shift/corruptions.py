"""Implements the four corruptions of the ADShift protocol, severities 1 to 5.

Cao, Zhu and Pang (Anomaly Detection under Distribution Shift, ICCV 2023) corrupt the test images of MVTec AD
by brightness, contrast, defocus blur and Gaussian noise at severity 3, at native resolution, and train on
clean images. The corruptions and all constants of the tables below (`BRIGHTNESS`, `CONTRAST`, `DEFOCUS`,
`NOISE_LEVELS`) are those of ImageNet-C: Hendrycks and Dietterich (Benchmarking Neural Network Robustness to
Common Corruptions and Perturbations, ICLR 2019). They were tuned for 224 pixels and are in pixels here as
well, as in that protocol, so a defocus is weaker the larger the image is.

There are three small differences from the authors' tools: values are rounded instead of truncated; clipping
is done at the end; and the largest disk is also normalised after its smoothing, without which severity 5
would be 1 % brighter. The code is independent and convolves with OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from adframe.transforms.shift.photometric import gaussian_field
from adframe.transforms.shift.transform import Params, Pixel, impossible

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV
# Share of the distance to the mean that remains.
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
# Radius and smoothing of the disk, in pixels.
DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
# Standard deviation of values in [0, 1].
NOISE_LEVELS = (0.08, 0.12, 0.18, 0.26, 0.38)


class Corruption(Pixel):
    """The base of the four corruptions: it has a severity and draws no number.

    Args:
        severity: 1 to 5.

    Raises:
        AdframeError: if the severity is not one of these.

    Example:
        >>> ContrastCorruption(severity=3).draw(np.random.default_rng(0))
        {'severity': 3}
    """

    name: str
    bounds: Mapping[str, tuple[float, float]] = {}

    def __init__(self, *, severity: int) -> None:
        if isinstance(severity, bool) or severity not in (1, 2, 3, 4, 5):
            raise impossible(f"{self.name}.severity", severity, "1, 2, 3, 4 or 5")
        self.severity = int(severity)

    def draw(self, generator: np.random.Generator) -> Params:
        """Returns the severity, and draws the numbers of `bounds`.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        return {"severity": self.severity, **super().draw(generator)}


class BrightnessCorruption(Corruption):
    """Adds to the value of HSV; hue and saturation stay unchanged.

    Example:
        >>> grey = np.full((1, 1, 3), 0.5, np.float32)
        >>> BrightnessCorruption(severity=1).apply(grey, params={"severity": 1})[0, 0].round(3).tolist()
        [0.6..., 0.6..., 0.6...]
    """

    name = "corruption_brightness"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Brightens the image.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        value = np.maximum(np.maximum(image[..., :1], image[..., 1:2]), image[..., 2:])  # (H, W, 1)
        brighter = np.minimum(value + np.float32(BRIGHTNESS[int(params["severity"]) - 1]), 1)
        # With hue and saturation fixed, colour is proportional to value; black has no hue and turns grey.
        scaled = image * (brighter / np.maximum(value, 1e-6))
        brightened: np.ndarray = np.where(value > 1e-6, scaled, brighter)
        return brightened


class ContrastCorruption(Corruption):
    """Moves every channel towards its own mean.

    Example:
        >>> image = np.zeros((1, 2, 3), np.float32)
        >>> image[0, 1] = 1
        >>> ContrastCorruption(severity=1).apply(image, params={"severity": 1})[0, :, 0].round(2).tolist()
        [0.3..., 0.69...]
    """

    name = "corruption_contrast"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Reduces the contrast.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        means = np.array(cv2.mean(image)[:3], dtype=np.float32)
        faded: np.ndarray = (image - means) * np.float32(CONTRAST[int(params["severity"]) - 1]) + means
        return faded


class DefocusCorruption(Corruption):
    """Convolves with a disk, which is the image of a point out of focus.

    Example:
        >>> image = np.ones((32, 32, 3), np.float32)
        >>> bool(np.allclose(DefocusCorruption(severity=2).apply(image, params={"severity": 2}), 1))
        True
    """

    name = "corruption_defocus"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Blurs the image.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        return cv2.filter2D(image, -1, disk(*DEFOCUS[int(params["severity"]) - 1]))


class NoiseCorruption(Corruption):
    """Adds Gaussian noise to each channel independently, also to grey images, as the tool of the protocol
    does.

    Example:
        >>> sorted(NoiseCorruption(severity=3).draw(np.random.default_rng(0)))
        ['field', 'severity', 'sigma']
    """

    name = "corruption_noise"

    def draw(self, generator: np.random.Generator) -> Params:
        """Returns severity and standard deviation, and draws the seed of the noise.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        sigma = NOISE_LEVELS[self.severity - 1]
        return super().draw(generator) | {"sigma": sigma, "field": int(generator.integers(2**32))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Adds the noise.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        image += gaussian_field(image.shape, params=params)
        return image


def disk(radius: int, smoothing: float) -> np.ndarray:
    """Computes the kernel of a disk whose edge is softened by a small Gaussian.

    Args:
        radius: in pixels.
        smoothing: sigma of the Gaussian in pixels; its kernel is 3 wide up to radius 8, 5 above.

    Returns:
        (side, side) float32 that sums to 1.
    """
    reach = max(radius, 8)
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    inside = (np.hypot(offsets[:, None], offsets[None, :]) <= radius).astype(np.float32)
    width = 3 if radius <= 8 else 5
    kernel: np.ndarray = cv2.GaussianBlur(inside, (width, width), smoothing)
    kernel /= kernel.sum()
    return kernel
