"""Finds the part in an image with an even background; finds nothing in textures."""

from __future__ import annotations

import cv2
import numpy as np

# Pixels of the longer side at which the part is searched.
SEARCH_SIDE = 128
# This multiple of the border's 90th percentile counts as unevenness of the background.
BORDER_FACTOR = 1.5
# Possible share of the image that a part covers.
PART_SHARES = (0.01, 0.9)
# mean distance of the part from the background colour, in mean distances of the background
MIN_CONTRAST = 3.0
# Share of the salient pixels that the largest connected piece must have.
MIN_PIECE_SHARE = 0.5


def foreground_of(image: np.ndarray) -> np.ndarray | None:
    """Finds the part in an image.

    The median colour of the border counts as background. Otsu's threshold (1979) cuts the distances from it,
    minus the unevenness of the border. For a texture nothing remains, because its border is as uneven as its
    middle, or what remains is in pieces. A part that covers more than a tenth of the border is not found.

    Args:
        image: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W) bool with at least one pixel set; None where no part is distinct from a background.
    """
    height, width = image.shape[:2]
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    ground = np.median(_border(small), axis=0)  # (3,)
    distance = np.linalg.norm(small - ground, axis=2) / np.sqrt(3)  # (h, w), in [0, 1]
    part = _largest_piece(_above_ground(distance))
    if part is None or not _stands_out(distance, part):
        return None
    return cv2.resize(part.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _above_ground(distance: np.ndarray) -> np.ndarray:
    """Returns (h, w) uint8: pixels above Otsu's threshold, with small gaps closed."""
    beyond = np.maximum(distance - BORDER_FACTOR * np.percentile(_border(distance), 90), 0)
    # The square root makes dim pieces of a part count next to bright ones.
    levels = np.round(255 * np.sqrt(beyond / max(float(beyond.max()), 1e-6))).astype(np.uint8)
    _, above = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))


def _largest_piece(above: np.ndarray) -> np.ndarray | None:
    """Returns the largest connected piece, (h, w) bool; None where it is too small a share of the salient
    pixels.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    piece: np.ndarray = labels == 1 + int(areas.argmax())
    return piece if areas.max() >= MIN_PIECE_SHARE * areas.sum() else None


def _stands_out(distance: np.ndarray, part: np.ndarray) -> bool:
    if not PART_SHARES[0] <= part.mean() <= PART_SHARES[1]:
        return False
    ground = float(distance[~part].mean())
    return float(distance[part].mean()) > max(MIN_CONTRAST * ground, 0.05)


def _border(values: np.ndarray) -> np.ndarray:
    """Returns the outermost two pixels of (h, w, ...) in one row."""
    inside = np.zeros(values.shape[:2], bool)
    inside[2:-2, 2:-2] = True
    ring: np.ndarray = values[~inside]
    return ring
