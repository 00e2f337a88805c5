"""What a family of synthetic anomalies is: it changes pixels, and what visibly changed is the mask.

Images are (H, W, 3) float32 RGB in [0, 1], at the network's view: drawing there is cheap, and a mask
says what the network can see. Sizes are shares of the image, so that they hold at any resolution.
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

KEY = "synthesis.families"  # where a family's numbers stand in the configuration
_ranges = Ranges(KEY)
interval, whole_interval, impossible = _ranges.interval, _ranges.whole_interval, _ranges.impossible
VISIBLE = 0.04  # difference in any channel from which a change counts: 10 of 255 grey levels
SPECK = 0.0002  # of the image's pixels: a connected change below is put back, 13 pixels of 256 x 256

Donor = Callable[[np.random.Generator], np.ndarray]  # draws another normal image, of the scene's size


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One normal image, and what may be known and borrowed when something is put into it.

    Args:
        image: (H, W, 3) float32 in [0, 1]; not to be changed.
        donor: gives another normal image of the same shape, decoded only when it is asked for.
        foreground: (H, W) bool, where centres of anomalies may lie; None for anywhere.
        grey: whether the image has no colour, so that no anomaly may bring any.
    """

    image: np.ndarray
    donor: Donor
    foreground: np.ndarray | None
    grey: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]

    def centre(self, generator: np.random.Generator) -> tuple[float, float]:
        """(y, x) of a pixel of the foreground, or of any pixel where there is none."""
        return drawn_pixel(self.foreground, self.size, generator)

    def borrowed(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """A donor's image, and its foreground where this image has one too."""
        donor = self.donor(generator)
        return donor, None if self.foreground is None else foreground_of(donor)


class Family(ABC):
    """One way of spoiling an image.

    Args:
        weight: how often it comes, against the other families' weights.
    """

    weight: float

    def __call__(self, scene: Scene, *, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Spoils one image, once.

        Args:
            scene: the image and its surroundings.
            generator: all that is drawn comes from it.

        Returns:
            (H, W, 3) float32 in [0, 1], and its mask (H, W) bool: empty where nothing visible came about.
            Outside the mask no channel is further than `VISIBLE` from the image's.
        """
        changed = np.clip(self.change(scene, generator=generator), 0, 1)
        return marked(scene.image, changed)

    @abstractmethod
    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """(H, W, 3) float32, a new array that may leave [0, 1]."""


def scene_of(image: np.ndarray, *, donor: Donor, foreground: bool) -> Scene:
    """Looks at an image (H, W, 3) float32; `foreground` says whether to look for one."""
    return Scene(
        image=image,
        donor=donor,
        foreground=foreground_of(image) if foreground else None,
        grey=is_grey(image),
    )


def marked(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What visibly changed, closed over small gaps; specks are put back into the image.

    Args:
        before: (H, W, 3) float32.
        after: the same, changed; not overwritten.

    Returns:
        The image and its mask (H, W) bool.
    """
    difference = cv2.absdiff(after, before)
    # Channel by channel: numpy reduces a short last axis ten times slower.
    largest = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    seen = (largest > VISIBLE).astype(np.uint8)  # (H, W)
    if not seen.any():
        return after, seen.astype(bool)
    reach = max(1, round(0.008 * min(seen.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= SPECK * seen.size
    large[0] = False  # the background
    mask = large[labels]
    specks = (seen > 0) & ~mask
    return (np.where(specks[..., None], before, after) if specks.any() else after), mask


def drawn_pixel(
    inside: np.ndarray | None, size: tuple[int, int], generator: np.random.Generator
) -> tuple[float, float]:
    """(y, x) of one pixel of `inside` (H, W) bool, each as likely; of any where it is None."""
    height, width = size
    if inside is None:
        return float(generator.integers(height)), float(generator.integers(width))
    places = np.flatnonzero(inside)
    y, x = divmod(int(places[generator.integers(len(places))]), width)
    return float(y), float(x)


def near(
    inside: np.ndarray | None, size: tuple[int, int], generator: np.random.Generator
) -> tuple[float, float]:
    """(y, x) in the box around `inside`: on the part or just beside it, so that pieces can go missing."""
    if inside is None:
        return drawn_pixel(None, size, generator)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return float(generator.integers(rows[0], rows[-1] + 1)), float(
        generator.integers(columns[0], columns[-1] + 1)
    )


def uniform(generator: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Evenly out of [lowest, highest]."""
    return float(generator.uniform(*bounds))


def by_ratio(generator: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Evenly on a logarithmic scale: 1/3 is as likely as 3, a small area as a large one."""
    return math.exp(generator.uniform(math.log(bounds[0]), math.log(bounds[1])))


def weighed(key: str, weight: float) -> float:
    """A family's weight, checked: 0 or more; 0 never comes."""
    if isinstance(weight, bool) or not (math.isfinite(weight) and weight >= 0):
        raise impossible(f"{key}.weight", weight, "a number, 0 or more")
    return float(weight)
