"""Simulates lens, sensor and transmission: vignetting, exposure, channel gain, JPEG.

JPEG is OpenCV's codec (libjpeg-turbo). The others are one formula each, written here, because no available
library has them without clamping.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import AdframeError, Range
from adframe.transforms.shift.dtype import from_unit, to_unit
from adframe.transforms.shift.illumination import smooth_field
from adframe.transforms.shift.transform import Params, Pixel, interval, whole_interval

# Gamma of stored pixel values: light is proportional to value ** GAMMA.
GAMMA = 2.2


class Vignetting(Pixel):
    """Darkens towards the corners by the cos^4 law of a simple lens.

    Args:
        strength: share of a value that is lost in the corners, a range in [0, 0.95].

    Example:
        >>> dark = Vignetting(strength=0.5).apply(np.ones((64, 64, 3), np.float32), params={"strength": 0.5})
        >>> bool(dark[0, 0, 0] < dark[32, 32, 0])
        True
    """

    def __init__(self, *, strength: Range) -> None:
        self.bounds = {"strength": interval("vignetting.strength", strength, low=0, high=0.95)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Multiplies the image by the falloff of the lens.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        height, width, _ = image.shape
        squared_tangent = (1 - float(params["strength"])) ** -0.5 - 1  # cos^4 = (1 + tan^2)^-2

        def field(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            squared = ((y - 0.5) * height) ** 2 + ((x - 0.5) * width) ** 2  # pixels^2 from the centre
            falloff: np.ndarray = (1 + squared_tangent * squared * 4 / (height**2 + width**2)) ** -2.0
            return falloff

        image *= smooth_field(field, size=(height, width))
        return image


class Exposure(Pixel):
    """Changes the exposure: light times 2^stops, through the gamma of stored values.

    Args:
        stops: exposure value, a range in [-8, 8]; +1 is twice the light.

    Example:
        >>> pixel = np.full((1, 1, 3), 0.5, np.float32)
        >>> float(Exposure(stops=0).apply(pixel, params={"stops": 0.0})[0, 0, 0])
        0.5
    """

    def __init__(self, *, stops: Range) -> None:
        self.bounds = {"stops": interval("exposure.stops", stops, low=-8, high=8)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Multiplies the image by one factor.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        image *= np.float32(2 ** (float(params["stops"]) / GAMMA))
        return image


class ChannelGain(Pixel):
    """Adds a colour cast: a gain for red and one for blue, relative to green, as white balance sets them.

    More red and less blue is a warmer light. A grey image takes on the cast.

    Args:
        gain: range of the gain in [0, 10], drawn independently for red and for blue.

    Example:
        >>> pixel = np.full((1, 1, 3), 0.5, np.float32)
        >>> ChannelGain(gain=[0.5, 2]).apply(pixel, params={"red": 2.0, "blue": 0.5})[0, 0].tolist()
        [1.0, 0.5, 0.25]
    """

    def __init__(self, *, gain: Range) -> None:
        either = interval("channel_gain.gain", gain, low=0, high=10)
        self.bounds = {"red": either, "blue": either}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Multiplies red and blue by their gains.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].
        """
        image *= np.array([params["red"], 1.0, params["blue"]], dtype=np.float32)
        return image


class Jpeg(Pixel):
    """Compresses to JPEG and decompresses. The file has 8 bits per sample, also for a 16-bit image.

    Args:
        quality: 1 to 100, on libjpeg's scale, with colour at half resolution; one number or [lowest,
            highest].

    Example:
        >>> Jpeg(quality=80).draw(np.random.default_rng(0))
        {'quality': 80}
    """

    def __init__(self, *, quality: int | Sequence[int]) -> None:
        self.quality = whole_interval("jpeg.quality", quality, low=1, high=100)

    def draw(self, generator: np.random.Generator) -> Params:
        """Draws a quality.

        Args:
            generator: source of the draws.

        Returns:
            Drawn numbers by name.
        """
        low, high = self.quality
        return {"quality": int(generator.integers(low, high + 1))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        """Compresses the image to JPEG and decompresses it.

        Args:
            image: (H, W, 3) float32 RGB, may be overwritten.
            params: result of `draw`.

        Returns:
            (H, W, 3) float32, not clipped to [0, 1].

        Raises:
            AdframeError: if a side of the image exceeds 65500 pixels.
        """
        if max(image.shape) > 65500:
            raise AdframeError(f"an image of {image.shape[0]}x{image.shape[1]} does not fit in a JPEG file")
        pixels = cv2.cvtColor(from_unit(image, np.dtype(np.uint8)), cv2.COLOR_RGB2BGR)
        _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(params["quality"])])
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was just encoded
        return to_unit(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
