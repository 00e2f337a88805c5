"""Moves the part or the camera: rotation, crop, translation.

All of these are affine, so they are composed into one matrix. The image is interpolated once (bilinear), and
so are the masks (nearest neighbour, which keeps their pixel values; these carry meaning in MVTec LOCO).
OpenCV's `warpAffine` resamples: it reads integers and floats, reflects borders, and takes milliseconds where
torchvision's `affine` builds a sampling grid and cannot reflect.

Beyond its edge the image is reflected (without repeating the edge pixel): black corners would be anomalies,
and the backgrounds of inspection images continue well. The masks are 0 there. So a defect at the very edge
may appear a second time, mirrored and unlabelled, and a defect that leaves the frame loses its mask,
completely if it leaves completely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import Range
from adframe.transforms.shift.transform import Params, Warp, interval


class Rotation(Warp):
    """Rotates about the centre of the image, anticlockwise.

    Args:
        degrees: angle, a range in [-180, 180].

    Example:
        >>> Rotation(degrees=90).matrix({"degrees": 90.0}, size=(3, 3)).round().astype(int).tolist()
        [[0, 1, 0], [-1, 0, 2], [0, 0, 1]]
    """

    def __init__(self, *, degrees: Range) -> None:
        self.bounds = {"degrees": interval("rotation.degrees", degrees, low=-180, high=180)}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        """Returns the matrix of the rotation.

        Args:
            params: result of `draw`.
            size: (H, W) of the image in pixels.

        Returns:
            (3, 3) float64 that maps (x, y, 1) of the original to the shifted image.
        """
        height, width = size
        centre = ((width - 1) / 2, (height - 1) / 2)
        affine = cv2.getRotationMatrix2D(centre, float(params["degrees"]), 1.0)
        return np.vstack([affine, [0.0, 0.0, 1.0]])


class Crop(Warp):
    """Cuts out a window of the image's own aspect ratio and enlarges it to the size of the image.

    Args:
        area: area of the window as a share of the image's, a range in [0.05, 1].

    Example:
        >>> params = {"area": 0.25, "top": 0.0, "left": 0.0}
        >>> float(Crop(area=0.25).matrix(params, size=(4, 4))[0, 0])
        2.0
    """

    def __init__(self, *, area: Range) -> None:
        # Shares of the free space above the window and to its left.
        room = (0.0, 1.0)
        self.bounds = {"area": interval("crop.area", area, low=0.05, high=1), "top": room, "left": room}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        """Returns the matrix that enlarges the window.

        Args:
            params: result of `draw`.
            size: (H, W) of the image in pixels.

        Returns:
            (3, 3) float64 that maps (x, y, 1) of the original to the shifted image.
        """
        height, width = size
        side = math.sqrt(float(params["area"]))
        left = float(params["left"]) * (1 - side) * width
        top = float(params["top"]) * (1 - side) * height
        # Edges map to edges, not centres to centres: x' + 1/2 = (x + 1/2 - left) / side.
        across, down = (0.5 - left) / side - 0.5, (0.5 - top) / side - 0.5
        return np.array([[1 / side, 0, across], [0, 1 / side, down], [0, 0, 1]])


class Translation(Warp):
    """Moves the image down and to the right, or up and to the left where the number is negative.

    Args:
        share: share of the image's height and of its width, a range in [-0.5, 0.5]; drawn independently for
            both.

    Example:
        >>> params = {"down": 0.0, "right": 0.5}
        >>> float(Translation(share=0.5).matrix(params, size=(4, 4))[0, 2])
        2.0
    """

    def __init__(self, *, share: Range) -> None:
        either = interval("translation.share", share, low=-0.5, high=0.5)
        self.bounds = {"down": either, "right": either}

    def matrix(self, params: Params, *, size: tuple[int, int]) -> np.ndarray:
        """Returns the matrix of the translation.

        Args:
            params: result of `draw`.
            size: (H, W) of the image in pixels.

        Returns:
            (3, 3) float64 that maps (x, y, 1) of the original to the shifted image.
        """
        height, width = size
        return np.array(
            [[1, 0, float(params["right"]) * width], [0, 1, float(params["down"]) * height], [0, 0, 1]]
        )


def warp(
    image: np.ndarray, masks: Sequence[np.ndarray], *, matrix: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Warps an image and its masks.

    Args:
        image: (H, W, 3) float32.
        masks: (H, W) uint8 or uint16 each.
        matrix: (3, 3), a result of `Warp.matrix` or a product of such.

    Returns:
        The image and the masks, of the same shapes and dtypes.
    """
    size = image.shape[1], image.shape[0]  # OpenCV: width first
    moved = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return moved, [
        cv2.warpAffine(mask, matrix[:2], size, flags=cv2.INTER_NEAREST, borderValue=0) for mask in masks
    ]
