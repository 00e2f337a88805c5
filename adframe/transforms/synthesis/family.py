"""Defines a family of synthetic anomalies: it changes pixels, and the visible changes are the mask.

Images are (H, W, 3) float32 RGB in [0, 1], in the network's view or in the original frame. Sizes are shares
of the image, so that they are valid at any resolution.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from adframe.errors import Ranges
from adframe.transforms.shift.dtype import is_grey
from adframe.transforms.synthesis.foreground import foreground_of
from adframe.transforms.synthesis.sharpness import optical_blur, softened

# Place of the families in the configuration.
FAMILIES_KEY = "synthesis.families"
_family_ranges = Ranges(FAMILIES_KEY)
interval, whole_interval = _family_ranges.interval, _family_ranges.whole_interval
impossible = _family_ranges.impossible
# Smallest difference in any channel that counts: 10 of 255 grey levels.
VISIBLE_CHANGE = 0.04
# Share of the image's pixels; smaller connected changes are undone: 13 pixels of 256 x 256.
SPECK = 0.0002

# Draws another normal image of the scene's size.
Donor = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One normal image, with everything that a family may use to draw an anomaly into it.

    Attributes:
        image: (H, W, 3) float32 in [0, 1]; must not be changed.
        donor: draws another normal image of the same shape, which is decoded only on demand.
        foreground: (H, W) bool, where centres of anomalies may lie; None for anywhere.
        grey: whether the image has no colour, so that an anomaly must have none.
        speck: share of the image's pixels; smaller connected changes are undone.
        blur: standard deviation in pixels by which anomalies are blurred; 0 for none.

    Example:
        >>> image = np.zeros((4, 6, 3), np.float32)
        >>> scene = scene_of(image, donor=lambda _: image, foreground=False)
        >>> scene.size, scene.area, scene.grey
        ((4, 6), 24, True)
    """

    image: np.ndarray
    donor: Donor
    foreground: np.ndarray | None
    grey: bool
    speck: float = SPECK
    blur: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Returns (H, W) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def area(self) -> int:
        """Returns the number of pixels."""
        return self.size[0] * self.size[1]

    def centre(self, generator: np.random.Generator) -> tuple[float, float]:
        """Draws a pixel of the foreground, or any pixel where there is no foreground.

        Args:
            generator: source of the draw.

        Returns:
            (y, x) in pixels.
        """
        return random_pixel(self.foreground, self.size, generator)

    def borrowed(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws another normal image.

        Args:
            generator: source of the draw.

        Returns:
            The image, and its foreground where this scene has a foreground as well.
        """
        donor = self.donor(generator)
        return donor, None if self.foreground is None else foreground_of(donor)


class Family(ABC):
    """One kind of synthetic anomaly.

    Attributes:
        weight: relative frequency of the family among all families.

    Example:
        >>> from adframe.transforms.synthesis.stages import Structural
        >>> family = Structural(area=0.05, patches=1, shapes=["ellipse"], contrast=0.5, opacity=1)
        >>> image = np.full((64, 64, 3), 0.5, np.float32)
        >>> scene = scene_of(image, donor=lambda _: image, foreground=False)
        >>> changed, mask = family(scene, generator=np.random.default_rng(0))
        >>> changed.shape, bool(mask.any())
        ((64, 64, 3), True)
    """

    weight: float

    def __call__(self, scene: Scene, *, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws one anomaly into an image.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32 in [0, 1], and its mask (H, W) bool, empty where nothing visible changed.
            Outside the mask no channel differs from the image by more than `VISIBLE_CHANGE`.
        """
        changed = softened(scene.image, self.change(scene, generator=generator), blur=scene.blur)
        changed = np.clip(changed, 0, 1)
        return mark_changes(scene.image, changed, speck=scene.speck)

    @abstractmethod
    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Changes pixels of the scene.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """


def scene_of(
    image: np.ndarray, *, donor: Donor, foreground: bool, speck: float = SPECK, soften: bool = False
) -> Scene:
    """Builds the scene of an image.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        donor: draws another normal image of the same shape.
        foreground: whether to look for the foreground.
        speck: share of the image's pixels; smaller connected changes are undone.
        soften: whether anomalies are blurred as much as the image is (`optical_blur`).

    Returns:
        The scene.
    """
    return Scene(
        image=image,
        donor=donor,
        foreground=foreground_of(image) if foreground else None,
        grey=is_grey(image),
        speck=speck,
        blur=optical_blur(image) if soften else 0.0,
    )


def mark_changes(
    before: np.ndarray, after: np.ndarray, *, speck: float = SPECK
) -> tuple[np.ndarray, np.ndarray]:
    """Marks visible changes, closes small gaps between them, and undoes specks.

    Args:
        before: (H, W, 3) float32.
        after: (H, W, 3) float32, changed; not overwritten.
        speck: share of the image's pixels; smaller connected changes are undone.

    Returns:
        The image and its mask (H, W) bool.
    """
    difference = cv2.absdiff(after, before)
    # Channel by channel, because numpy reduces a short last axis ten times slower.
    largest = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    seen = (largest > VISIBLE_CHANGE).astype(np.uint8)  # (H, W)
    if not seen.any():
        return after, seen.astype(bool)
    reach = max(1, round(0.008 * min(seen.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= speck * seen.size
    large[0] = False  # the background
    mask = large[labels]
    specks = (seen > 0) & ~mask
    return (np.where(specks[..., None], before, after) if specks.any() else after), mask


def random_pixel(
    inside: np.ndarray | None, size: tuple[int, int], generator: np.random.Generator
) -> tuple[float, float]:
    """Draws one pixel with equal probabilities.

    Args:
        inside: (H, W) bool, the possible pixels; None for all.
        size: (H, W).
        generator: source of the draw.

    Returns:
        (y, x) in pixels.
    """
    height, width = size
    if inside is None:
        return float(generator.integers(height)), float(generator.integers(width))
    places = np.flatnonzero(inside)
    y, x = divmod(int(places[generator.integers(len(places))]), width)
    return float(y), float(x)


def pixel_near_part(
    inside: np.ndarray | None, size: tuple[int, int], generator: np.random.Generator
) -> tuple[float, float]:
    """Draws a pixel in the bounding box of the part: on it or next to it, so that pieces of it can go
    missing.

    Args:
        inside: (H, W) bool, the part; None for all pixels.
        size: (H, W).
        generator: source of the draw.

    Returns:
        (y, x) in pixels.
    """
    if inside is None:
        return random_pixel(None, size, generator)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return float(generator.integers(rows[0], rows[-1] + 1)), float(
        generator.integers(columns[0], columns[-1] + 1)
    )


def uniform(generator: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draws uniformly.

    Args:
        generator: source of the draw.
        bounds: (lowest, highest).

    Returns:
        The number.
    """
    return float(generator.uniform(*bounds))


def log_uniform(generator: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draws uniformly on a logarithmic scale: 1/3 is as likely as 3, a small area as a large one.

    Args:
        generator: source of the draw.
        bounds: (lowest, highest), above 0.

    Returns:
        The number.
    """
    return math.exp(generator.uniform(math.log(bounds[0]), math.log(bounds[1])))


def checked_weight(key: str, weight: float) -> float:
    """Checks the weight of a family.

    Args:
        key: name of the family in the configuration.
        weight: 0 or more; a family with weight 0 is never drawn.

    Returns:
        The weight.

    Raises:
        AdframeError: if it is not a finite number of 0 or more.
    """
    if isinstance(weight, bool) or not (math.isfinite(weight) and weight >= 0):
        raise impossible(f"{key}.weight", weight, "a number, 0 or more")
    return float(weight)
