"""Moves a piece of an image to another place: shifted, rotated and resized in one step, then blended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from adframe.transforms.synthesis.shapes import box_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The source of a piece and its position in the target.

    Attributes:
        source: (y, x) in the source image, in pixels.
        target: (y, x) in the target image to which the source point is moved.
        degrees: angle of rotation.
        scale: factor of size; 2 is twice as large.
    """

    source: tuple[float, float]
    target: tuple[float, float]
    degrees: float = 0.0
    scale: float = 1.0


def cut_out(image: np.ndarray, how: Placement, *, alpha: np.ndarray) -> np.ndarray:
    """Moves an image so that a piece of it lies under a shape.

    Args:
        image: (H, W, 3) float32; reflected where the piece reaches beyond its edge.
        how: the movement.
        alpha: (H, W) float32, the shape at the target; only its bounding box is computed.

    Returns:
        (H, W, 3) float32; values outside the shape are meaningless.
    """
    rows, columns = box_of(alpha, margin=2)
    moved = np.zeros_like(image)
    size = columns.stop - columns.start, rows.stop - rows.start  # OpenCV: width first
    if min(size) == 0:
        return moved
    cos, sin = (f(math.radians(how.degrees)) / how.scale for f in (math.cos, math.sin))
    # Maps a pixel of the box to the source: relative to the target, then to the source point.
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


def blend(image: np.ndarray, content: np.ndarray, *, alpha: np.ndarray) -> np.ndarray:
    """Blends content over an image.

    Args:
        image: (H, W, 3) float32.
        content: (H, W, 3), or one colour (1, 1, 3).
        alpha: (H, W) opacity in [0, 1].

    Returns:
        (H, W, 3), a new array.
    """
    rows, columns = box_of(alpha)
    result, share = image.copy(), alpha[rows, columns, None]
    new = content[rows, columns] if content.shape == image.shape else content
    result[rows, columns] += share * (new - image[rows, columns])
    return result


def poisson_clone(image: np.ndarray, content: np.ndarray, *, alpha: np.ndarray, mixed: bool) -> np.ndarray:
    """Blends by Poisson image editing (Perez et al., SIGGRAPH 2003): gradients of `content`, edges of
    `image`.

    OpenCV solves it with 8 bits per channel, in the bounding box of the shape only. The outermost pixels of
    the image do not change.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        content: (H, W, 3) float32 in [0, 1], in place.
        alpha: (H, W) float32, the shape.
        mixed: whether to keep the stronger of both gradients, so that a texture remains visible.

    Returns:
        (H, W, 3) float32, a new array.
    """
    rows, columns = box_of(alpha, margin=4)
    shape = (alpha[rows, columns] > 0.5).astype(np.uint8) * 255
    shape[:2], shape[-2:], shape[:, :2], shape[:, -2:] = 0, 0, 0, 0
    left, top, width, height = cv2.boundingRect(shape)
    # OpenCV erodes the shape by three pixels per side.
    if min(width, height) < 8:
        return image.copy()
    flags = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
    middle = (left + width // 2, top + height // 2)
    # Computed before OpenCV inverts the shape in place.
    inside = (shape > 0)[..., None]
    solved = cv2.seamlessClone(
        _to_bytes(content[rows, columns]), _to_bytes(image[rows, columns]), shape, middle, flags
    )
    result = image.copy()
    result[rows, columns] = np.where(inside, solved.astype(np.float32) / 255, image[rows, columns])
    return result


def _to_bytes(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return rounded
