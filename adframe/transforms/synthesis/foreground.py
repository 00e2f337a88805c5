"""Where the part is, where that can be told: a part before an even ground, and nothing for textures."""

from __future__ import annotations

import cv2
import numpy as np

COARSE = 128  # pixels of the longer side on which the part is looked for
UNEVEN = 1.5  # what of the ground's own unevenness is taken off: times the border's 90th percentile
SHARES = (0.01, 0.9)  # of the image that a part may take
APART = 3.0  # mean distance of the part from the ground's colour, in mean distances of the ground
WHOLE = 0.5  # share of what stands out that its largest connected piece must have


def foreground_of(image: np.ndarray) -> np.ndarray | None:
    """The part in an image, or None where no part can be told from a ground.

    The border's median colour is taken for the ground's, and Otsu's threshold (1979) cuts the distances
    from it, less what its border is uneven by. Of a texture nothing is left, as its border is as uneven
    as its middle, or what is left is in pieces. A part that reaches over a tenth of the border is not found.

    Args:
        image: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W) bool with at least one pixel set, or None.
    """
    height, width = image.shape[:2]
    scale = min(1.0, COARSE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    ground = np.median(_ring(small), axis=0)  # (3,)
    distance = np.linalg.norm(small - ground, axis=2) / np.sqrt(3)  # (h, w), in [0, 1]
    part = _largest(_cut(distance))
    if part is None or not _stands_out(distance, part):
        return None
    return cv2.resize(part.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _cut(distance: np.ndarray) -> np.ndarray:
    """(h, w) uint8: what lies above Otsu's threshold, small gaps closed."""
    beyond = np.maximum(distance - UNEVEN * np.percentile(_ring(distance), 90), 0)
    # The root lets dim pieces of a part count beside bright ones.
    levels = np.round(255 * np.sqrt(beyond / max(float(beyond.max()), 1e-6))).astype(np.uint8)
    _, above = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))


def _largest(above: np.ndarray) -> np.ndarray | None:
    """(h, w) bool, the largest connected piece; None where it is not most of what stands out."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    piece: np.ndarray = labels == 1 + int(areas.argmax())
    return piece if areas.max() >= WHOLE * areas.sum() else None


def _stands_out(distance: np.ndarray, part: np.ndarray) -> bool:
    if not SHARES[0] <= part.mean() <= SHARES[1]:
        return False
    ground = float(distance[~part].mean())
    return float(distance[part].mean()) > max(APART * ground, 0.05)


def _ring(values: np.ndarray) -> np.ndarray:
    """The outermost two pixels of (h, w, ...) in one row."""
    inside = np.zeros(values.shape[:2], bool)
    inside[2:-2, 2:-2] = True
    ring: np.ndarray = values[~inside]
    return ring
