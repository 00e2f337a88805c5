"""The four corruptions of the ADShift protocol, severities 1 to 5.

Cao, Zhu and Pang (Anomaly Detection under Distribution Shift, ICCV 2023) corrupt the test images of
MVTec AD by brightness, contrast, defocus blur and Gaussian noise at severity 3, at native resolution,
and train on clean ones. The corruptions and all constants of the tables below (`BRIGHTNESS`,
`CONTRAST`, `DEFOCUS`, `NOISE`) are those of ImageNet-C: Hendrycks and Dietterich (Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations, ICLR 2019). They were tuned for 224 pixels
and are in pixels here too, as in that protocol, so a defocus is weaker the larger the image.

Not the same as the authors' tools in three small ways: values are rounded, not cut off; the clip
comes at the end; and the largest disk is normalised after its smoothing too, without which severity 5
would be 1 % brighter. The code is our own. OpenCV convolves.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from adframe.transforms.shift.photometric import gaussian_field
from adframe.transforms.shift.transform import Params, Pixel, impossible

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)  # of the distance to the mean that remains
DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # the disk's radius, its smoothing; pixels
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, of [0, 1]


class Corruption(Pixel):
    """What the four have in common: a severity, and no number drawn.

    Args:
        severity: 1 to 5.

    Raises:
        AdframeError: another severity.
    """

    name: str
    bounds: Mapping[str, tuple[float, float]] = {}

    def __init__(self, *, severity: int) -> None:
        if isinstance(severity, bool) or severity not in (1, 2, 3, 4, 5):
            raise impossible(f"{self.name}.severity", severity, "1, 2, 3, 4 or 5")
        self.severity = int(severity)

    def draw(self, generator: np.random.Generator) -> Params:
        return {"severity": self.severity, **super().draw(generator)}


class BrightnessCorruption(Corruption):
    """Adds to the value of HSV, hue and saturation as they are."""

    name = "corruption_brightness"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        value = np.maximum(np.maximum(image[..., :1], image[..., 1:2]), image[..., 2:])  # (H, W, 1)
        brighter = np.minimum(value + np.float32(BRIGHTNESS[int(params["severity"]) - 1]), 1)
        # With hue and saturation fixed, colour is proportional to value; black has none and turns grey.
        scaled = image * (brighter / np.maximum(value, 1e-6))
        brightened: np.ndarray = np.where(value > 1e-6, scaled, brighter)
        return brightened


class ContrastCorruption(Corruption):
    """Draws every channel towards its own mean."""

    name = "corruption_contrast"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        means = np.array(cv2.mean(image)[:3], dtype=np.float32)
        faded: np.ndarray = (image - means) * np.float32(CONTRAST[int(params["severity"]) - 1]) + means
        return faded


class DefocusCorruption(Corruption):
    """Convolves with a disk, the picture of a point out of focus."""

    name = "corruption_defocus"

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        return cv2.filter2D(image, -1, disk(*DEFOCUS[int(params["severity"]) - 1]))


class NoiseCorruption(Corruption):
    """Gaussian noise, each channel by itself, on grey images too: so the protocol's tool does it."""

    name = "corruption_noise"

    def draw(self, generator: np.random.Generator) -> Params:
        sigma = NOISE[self.severity - 1]
        return super().draw(generator) | {"sigma": sigma, "field": int(generator.integers(2**32))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        image += gaussian_field(image.shape, params=params)
        return image


def disk(radius: int, smoothing: float) -> np.ndarray:
    """(side, side) float32 that sums to 1: a disk whose edge a small Gaussian softens.

    Args:
        radius: pixels.
        smoothing: the Gaussian's sigma in pixels; its kernel is 3 wide up to radius 8, 5 above.
    """
    reach = max(radius, 8)
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    inside = (np.hypot(offsets[:, None], offsets[None, :]) <= radius).astype(np.float32)
    width = 3 if radius <= 8 else 5
    kernel: np.ndarray = cv2.GaussianBlur(inside, (width, width), smoothing)
    kernel /= kernel.sum()
    return kernel
