"""Between pixels as they are stored and float32 in [0, 1], and what grey means."""

from __future__ import annotations

import cv2
import numpy as np


def to_unit(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 to float32 in [0, 1], always a copy.

    Raises:
        ValueError: another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"(H, W, 3) of uint8 or uint16 needed, got {image.shape} of {image.dtype}")
    unit: np.ndarray = np.multiply(image, 1.0 / np.iinfo(image.dtype).max, dtype=np.float32)
    return unit


def from_unit(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(H, W, 3) float32 back to its integers: clipped to [0, 1], rounded; overwrites `image`."""
    top = np.iinfo(dtype).max
    image *= top
    np.rint(image, out=image)
    np.clip(image, 0, top, out=image)
    return image.astype(dtype)


def is_grey(image: np.ndarray) -> bool:
    """Whether the three channels of (H, W, 3) float32 are the same: a monochrome camera's picture.

    Up to less than a step of 16 bits: vectorised filters may round the channels differently.
    """
    difference = max(cv2.norm(image[..., 0], image[..., k], cv2.NORM_INF) for k in (1, 2))
    return difference < 1e-5
