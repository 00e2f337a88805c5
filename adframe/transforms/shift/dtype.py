"""Converts between stored pixels and float32 in [0, 1], and recognises grey images."""

from __future__ import annotations

import cv2
import numpy as np


def to_unit(image: np.ndarray) -> np.ndarray:
    """Converts an image to float32, always as a copy.

    Args:
        image: (H, W, 3) uint8 or uint16.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        ValueError: if the shape or dtype is another one.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"an image must be (H, W, 3) of uint8 or uint16, not {image.shape} of {image.dtype}")
    unit: np.ndarray = np.multiply(image, 1.0 / np.iinfo(image.dtype).max, dtype=np.float32)
    return unit


def from_unit(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Converts an image back to integers: scaled, rounded and clipped.

    Args:
        image: (H, W, 3) float32, overwritten.
        dtype: uint8 or uint16.

    Returns:
        (H, W, 3) of this dtype.
    """
    top = np.iinfo(dtype).max
    image *= top
    np.rint(image, out=image)
    np.clip(image, 0, top, out=image)
    return image.astype(dtype)


def is_grey(image: np.ndarray) -> bool:
    """Tells whether the three channels are equal, as in the image of a monochrome camera.

    Args:
        image: (H, W, 3) float32 in [0, 1].

    Returns:
        True if they differ by less than a step of 16 bits, because vectorised filters may round channels
        differently.
    """
    difference = max(cv2.norm(image[..., 0], image[..., k], cv2.NORM_INF) for k in (1, 2))
    return difference < 1e-5
