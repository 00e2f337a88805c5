"""What lens, sensor and transmission add: vignetting, exposure, channel gain, JPEG.

JPEG is OpenCV's codec (libjpeg-turbo); the rest are one formula each, written here, as no library at
hand has them without clamping.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import AdframeError, Range
from adframe.transforms.shift.dtype import from_unit, to_unit
from adframe.transforms.shift.illumination import smooth_field
from adframe.transforms.shift.transform import Params, Pixel, interval, whole_interval

GAMMA = 2.2  # of stored pixel values: light is proportional to value ** GAMMA


class Vignetting(Pixel):
    """Darkens towards the corners by the cos^4 law of a plain lens.

    Args:
        strength: share of a value that is lost in the corners.
    """

    def __init__(self, *, strength: Range) -> None:
        self.bounds = {"strength": interval("vignetting.strength", strength, low=0, high=0.95)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        height, width, _ = image.shape
        squared_tangent = (1 - float(params["strength"])) ** -0.5 - 1  # cos^4 = (1 + tan^2)^-2

        def field(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            squared = ((y - 0.5) * height) ** 2 + ((x - 0.5) * width) ** 2  # pixels^2 from the centre
            falloff: np.ndarray = (1 + squared_tangent * squared * 4 / (height**2 + width**2)) ** -2.0
            return falloff

        image *= smooth_field(field, size=(height, width))
        return image


class Exposure(Pixel):
    """Exposure that has drifted: light times 2^stops, through the gamma of stored values.

    Args:
        stops: exposure value; +1 is twice the light.
    """

    def __init__(self, *, stops: Range) -> None:
        self.bounds = {"stops": interval("exposure.stops", stops, low=-8, high=8)}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        image *= np.float32(2 ** (float(params["stops"]) / GAMMA))
        return image


class ChannelGain(Pixel):
    """A colour cast: red and blue times a gain each, against green, as white balance sets them.

    Red up and blue down is a warmer light. A grey image takes on the cast.

    Args:
        gain: of red, and of blue, drawn by themselves.
    """

    def __init__(self, *, gain: Range) -> None:
        either = interval("channel_gain.gain", gain, low=0, high=10)
        self.bounds = {"red": either, "blue": either}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        image *= np.array([params["red"], 1.0, params["blue"]], dtype=np.float32)
        return image


class Jpeg(Pixel):
    """Through a JPEG file and back. The file holds 8 bits a sample, also for a 16-bit image.

    Args:
        quality: 1 to 100, as encoders count it (libjpeg's scale, colour at half resolution).
    """

    def __init__(self, *, quality: int | Sequence[int]) -> None:
        self.quality = whole_interval("jpeg.quality", quality, low=1, high=100)

    def draw(self, generator: np.random.Generator) -> Params:
        low, high = self.quality
        return {"quality": int(generator.integers(low, high + 1))}

    def apply(self, image: np.ndarray, *, params: Params) -> np.ndarray:
        if max(image.shape) > 65500:
            raise AdframeError(f"an image of {image.shape[0]}x{image.shape[1]} does not fit in a JPEG file")
        pixels = cv2.cvtColor(from_unit(image, np.dtype(np.uint8)), cv2.COLOR_RGB2BGR)
        _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(params["quality"])])
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
        assert decoded is not None  # what was just encoded
        return to_unit(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
