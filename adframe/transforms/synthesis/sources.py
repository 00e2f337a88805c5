"""Alters normal images to fill anomalies without external textures."""

from __future__ import annotations

import cv2
import numpy as np


def shuffle_tiles(image: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
    """Shuffles the tiles of an image, each flipped or rotated independently.

    Args:
        image: (H, W, 3) float32.
        generator: draws the number of tiles per side (2, 4 or 8), their order and orientation.

    Returns:
        (H, W, 3) float32, a new array.
    """
    height, width = image.shape[:2]
    count = min(int(generator.choice([2, 4, 8])), height, width)
    tall, wide = height // count, width // count
    whole = image[: count * tall, : count * wide]
    tiles = whole.reshape(count, tall, count, wide, 3).swapaxes(1, 2).reshape(-1, tall, wide, 3)
    tiles = tiles[generator.permutation(count * count)]
    flips = generator.random((3, count * count)) < 0.5
    tiles[flips[0]] = tiles[flips[0], ::-1]
    tiles[flips[1]] = tiles[flips[1], :, ::-1]
    if tall == wide:
        tiles[flips[2]] = tiles[flips[2]].swapaxes(1, 2)
    # The remainder at the edges does not change.
    result = image.copy()
    result[: count * tall, : count * wide] = (
        tiles.reshape(count, count, tall, wide, 3).swapaxes(1, 2).reshape(whole.shape)
    )
    return result


def blur_image(image: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
    """Blurs an image with a Gaussian of sigma 1 to 3 % of the shorter side.

    Args:
        image: (H, W, 3) float32.
        generator: draws sigma.

    Returns:
        (H, W, 3) float32, a new array.
    """
    sigma = float(generator.uniform(0.01, 0.03)) * min(image.shape[:2])
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def recolour(image: np.ndarray, *, strength: float, grey: bool, generator: np.random.Generator) -> np.ndarray:
    """Changes brightness and contrast, and with colour also saturation and hue, each by up to `strength`.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        strength: 0 changes nothing; 1 changes brightness from black to double, hue by up to half a turn.
        grey: whether to leave colour unchanged.
        generator: draws the four numbers, also for grey images.

    Returns:
        (H, W, 3) float32, a new array, which may leave [0, 1].
    """
    gain, contrast, saturation, hue = generator.uniform(-strength, strength, 4)
    mean = np.array(cv2.mean(image)[:3], np.float32)
    changed: np.ndarray = ((image - mean) * np.float32(1 + contrast) + mean) * np.float32(1 + gain)
    if grey:
        return changed
    hsv = cv2.cvtColor(np.clip(changed, 0, 1), cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + 180 * hue) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * (1 + saturation), 0, 1)
    recoloured: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return recoloured
