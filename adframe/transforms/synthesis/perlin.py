"""Implements the anomalies of DRAEM: blobs of Perlin noise, filled with altered normal images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import AdframeError, Range, unknown
from adframe.transforms.synthesis.family import (
    Family,
    Scene,
    checked_weight,
    interval,
    uniform,
    whole_interval,
)
from adframe.transforms.synthesis.pasting import blend
from adframe.transforms.synthesis.sources import blur_image, recolour, shuffle_tiles

FILLINGS = ("donor", "self", "colour", "blur")
# Pixels of the longer side at which noise is drawn: 4 per smallest cell.
_NOISE_SIDE = 128


class Perlin(Family):
    """Fills blobs of thresholded Perlin noise (Zavrtanik et al., DRAEM, ICCV 2021, sec. 3.3).

    DRAEM fills them with an external set of textures; here the filling is another normal image, or the image
    itself with shuffled tiles, changed colours or blur. Where a foreground is known, blobs stay on it.

    Args:
        scales: exponents of 2 of the noise cells per side, 0 to 6, drawn for each axis.
        threshold: noise above it is anomalous, in [0, 0.9]; noise is in [-1, 1].
        beta: share of the image that remains visible, a range in [0, 0.95].
        sources: fillings to draw from: `donor`, `self`, `colour`, `blur`.
        weight: relative frequency of the family.

    Example:
        >>> Perlin(scales=[0, 6], threshold=0.5, beta=[0, 0.8], sources=["self"]).scales
        (0, 6)
    """

    def __init__(
        self,
        *,
        scales: int | Sequence[int],
        threshold: float,
        beta: Range,
        sources: Sequence[str],
        weight: float = 1.0,
    ) -> None:
        self.scales = whole_interval("perlin.scales", scales, low=0, high=6)
        self.threshold = interval("perlin.threshold", threshold, low=0, high=0.9)[0]
        self.beta = interval("perlin.beta", beta, low=0, high=0.95)
        self.sources = _checked_fillings(sources)
        self.weight = checked_weight("perlin", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Fills blobs of the image.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        blobs = self._blobs(scene, generator)
        source = _filling(str(generator.choice(self.sources)), scene, generator)
        return blend(scene.image, source, alpha=blobs * np.float32(1 - uniform(generator, self.beta)))

    def _blobs(self, scene: Scene, generator: np.random.Generator) -> np.ndarray:
        """Returns (H, W) float32, 0 or 1."""
        low, high = self.scales
        rows, columns = (2 ** int(generator.integers(low, high + 1)) for _ in range(2))
        noise = perlin_noise((rows, columns), size=scene.size, generator=generator)
        blobs = rotate_field(noise, degrees=float(generator.uniform(-90, 90))) > self.threshold
        if scene.foreground is not None:
            blobs &= scene.foreground
        alpha: np.ndarray = blobs.astype(np.float32)
        return alpha


def perlin_noise(
    cells: tuple[int, int], *, size: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Computes gradient noise (Perlin, SIGGRAPH 1985, with the smoother fade of 2002).

    Args:
        cells: number of cells of the lattice, down and across.
        size: (H, W); the noise is computed on a coarse grid and interpolated.
        generator: draws the gradients of the lattice.

    Returns:
        (H, W) float32 in [-1, 1], 0 at the points of the lattice.
    """
    angles = generator.uniform(0, 2 * math.pi, (cells[0] + 1, cells[1] + 1))
    down, across = np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
    scale = min(1.0, _NOISE_SIDE / max(size))
    height, width = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    (top, y), (left, x) = _lattice(cells[0], height), _lattice(cells[1], width)
    y, x = y[:, None], x[None, :]

    def corner(below: int, right: int) -> np.ndarray:
        at = np.ix_(top + below, left + right)
        ramp: np.ndarray = down[at] * (y - below) + across[at] * (x - right)
        return ramp

    fade_y, fade_x = (t**3 * (t * (6 * t - 15) + 10) for t in (y, x))
    upper = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    lower = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    noise = np.float32(math.sqrt(2)) * (upper + fade_y * (lower - upper))  # (height, width)
    full: np.ndarray = cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return full


def rotate_field(field: np.ndarray, *, degrees: float) -> np.ndarray:
    """Rotates a field about its centre; it is reflected beyond its edges.

    Args:
        field: (H, W) float32.
        degrees: angle, anticlockwise.

    Returns:
        (H, W) float32.
    """
    height, width = field.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(
        field, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def _lattice(cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cell of each pixel, and its position inside the cell, in [0, 1)."""
    places = (np.arange(pixels, dtype=np.float32) + 0.5) * np.float32(cells / pixels)
    whole = np.minimum(places.astype(np.int64), cells - 1)
    return whole, (places - whole).astype(np.float32)


def _filling(source: str, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """Returns (H, W, 3) float32, the content of the blobs."""
    if source == "donor":
        return shuffle_tiles(scene.donor(generator), generator=generator)
    if source == "self":
        return shuffle_tiles(scene.image, generator=generator)
    if source == "blur":
        return blur_image(scene.image, generator=generator)
    return recolour(scene.image, strength=0.7, grey=scene.grey, generator=generator)


def _checked_fillings(sources: Sequence[str]) -> tuple[str, ...]:
    for name in sources:
        if name not in FILLINGS:
            raise AdframeError(
                unknown("source", name, FILLINGS, where="in synthesis.families.perlin.sources")
            )
    if not sources:
        raise AdframeError("synthesis.families.perlin.sources=[] is not possible; name at least one")
    return tuple(sources)
