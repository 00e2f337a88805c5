"""Taking a piece of an image to another place: moved, turned and resized in one step, then blended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from adframe.transforms.synthesis.shapes import box_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a piece comes from and how it lies.

    Args:
        source: (y, x) that goes ...
        target: ... to (y, x).
        degrees: by which it is turned.
        scale: 2 is twice as large.
    """

    source: tuple[float, float]
    target: tuple[float, float]
    degrees: float = 0.0
    scale: float = 1.0


def cut(image: np.ndarray, how: Cut, *, alpha: np.ndarray) -> np.ndarray:
    """What lies under a shape when an image is moved there; elsewhere the result is of no meaning.

    Args:
        image: (H, W, 3) float32; reflected where the piece reaches over its edge.
        how: the movement.
        alpha: (H, W) float32, the shape at the target; only its box is computed.

    Returns:
        (H, W, 3) float32.
    """
    rows, columns = box_of(alpha, margin=2)
    moved = np.zeros_like(image)
    size = columns.stop - columns.start, rows.stop - rows.start  # OpenCV: width first
    if min(size) == 0:
        return moved
    cos, sin = (f(math.radians(how.degrees)) / how.scale for f in (math.cos, math.sin))
    # From a pixel of the box to one of the source: about the target, then on to the source.
    down, right = rows.start - how.target[0], columns.start - how.target[1]
    matrix = np.array(
        [
            [cos, sin, how.source[1] + cos * right + sin * down],
            [-sin, cos, how.source[0] - sin * right + cos * down],
        ]
    )
    moved[rows, columns] = cv2.warpAffine(
        image,
        matrix,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return moved


def blended(image: np.ndarray, content: np.ndarray, *, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3): `content` (or one colour, (1, 1, 3)) over an image, where alpha (H, W) in [0, 1] says so."""
    rows, columns = box_of(alpha)
    result, share = image.copy(), alpha[rows, columns, None]
    new = content[rows, columns] if content.shape == image.shape else content
    result[rows, columns] += share * (new - image[rows, columns])
    return result


def cloned(image: np.ndarray, content: np.ndarray, *, alpha: np.ndarray, mixed: bool) -> np.ndarray:
    """Poisson image editing (Perez et al., SIGGRAPH 2003): gradients of `content`, edges of `image`.

    OpenCV solves it, on 8 bits a channel and on the shape's box alone. The image's outermost pixels
    stay as they are.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        content: (H, W, 3) float32 in [0, 1], in place.
        alpha: (H, W) float32, the shape.
        mixed: keep the stronger of both gradients instead, so that a texture shines through.
    """
    rows, columns = box_of(alpha, margin=4)
    shape = (alpha[rows, columns] > 0.5).astype(np.uint8) * 255
    shape[:2], shape[-2:], shape[:, :2], shape[:, -2:] = 0, 0, 0, 0
    left, top, width, height = cv2.boundingRect(shape)
    if min(width, height) < 8:  # OpenCV erodes the shape by three pixels a side
        return image.copy()
    flags = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
    middle = (left + width // 2, top + height // 2)
    inside = (shape > 0)[..., None]  # seen before OpenCV turns the shape it is given inside out
    solved = cv2.seamlessClone(
        _bytes(content[rows, columns]), _bytes(image[rows, columns]), shape, middle, flags
    )
    result = image.copy()
    result[rows, columns] = np.where(inside, solved.astype(np.float32) / 255, image[rows, columns])
    return result


def _bytes(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return rounded
