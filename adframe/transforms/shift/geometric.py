"""The part lies or the camera stands a little differently: rotation, crop, translation.

All of them are affine, so they compose into one matrix and the image is interpolated once
(bilinear), the masks once (nearest neighbour: they keep their pixel values, which carry meaning in
MVTec LOCO). OpenCV's `warpAffine` does the resampling: it reads integers and floats, reflects
borders, and takes milliseconds where torchvision's `affine` builds a sampling grid and cannot reflect.

What comes in over the edge is the image reflected (the edge pixel not repeated): black corners
would be an anomaly of their own, and the backgrounds of inspection images continue well. The masks
are 0 there. So a defect at the very edge may be seen a second time, mirrored and unlabelled, and a
defect that leaves the frame loses its mask, wholly if it leaves wholly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import Range
from adframe.transforms.shift.transform import Params, Warp, interval


class Rotation(Warp):
    """About the image's centre, anticlockwise.

    Args:
        degrees: angle.
    """

    def __init__(self, *, degrees: Range) -> None:
        self.bounds = {"degrees": interval("rotation.degrees", degrees, low=-180, high=180)}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        height, width = size
        centre = ((width - 1) / 2, (height - 1) / 2)
        return _square(cv2.getRotationMatrix2D(centre, float(params["degrees"]), 1.0))


class Crop(Warp):
    """A window of the image's own aspect, stretched back to the image's size.

    Args:
        area: of the window, as a share of the image's.
    """

    def __init__(self, *, area: Range) -> None:
        room = (0.0, 1.0)  # of what the window leaves, above it and to its left
        self.bounds = {"area": interval("crop.area", area, low=0.05, high=1), "top": room, "left": room}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        height, width = size
        side = math.sqrt(float(params["area"]))
        left = float(params["left"]) * (1 - side) * width
        top = float(params["top"]) * (1 - side) * height
        # Edges map to edges, not centres to centres: x' + 1/2 = (x + 1/2 - left) / side.
        across, down = (0.5 - left) / side - 0.5, (0.5 - top) / side - 0.5
        return np.array([[1 / side, 0, across], [0, 1 / side, down], [0, 0, 1]])


class Translation(Warp):
    """Down and to the right, each drawn by itself; negative is up and to the left.

    Args:
        share: of the image's height and width.
    """

    def __init__(self, *, share: Range) -> None:
        either = interval("translation.share", share, low=-0.5, high=0.5)
        self.bounds = {"down": either, "right": either}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        height, width = size
        return np.array(
            [[1, 0, float(params["right"]) * width], [0, 1, float(params["down"]) * height], [0, 0, 1]]
        )


def warp(
    image: np.ndarray, masks: Sequence[np.ndarray], *, matrix: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Moves an image and its masks.

    Args:
        image: (H, W, 3) float32.
        masks: (H, W) uint8 or uint16 each.
        matrix: (3, 3), as `Warp.matrix` gives it, or a product of such.
    """
    size = image.shape[1], image.shape[0]  # OpenCV: width first
    moved = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return moved, [
        cv2.warpAffine(mask, matrix[:2], size, flags=cv2.INTER_NEAREST, borderValue=0) for mask in masks
    ]


def _square(affine: np.ndarray) -> np.ndarray:
    return np.vstack([affine, [0.0, 0.0, 1.0]])
