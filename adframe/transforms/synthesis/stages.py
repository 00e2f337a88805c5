"""Implements three simple families, each less obvious than the previous: foreign texture, foreign shape,
wrong place.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import Range
from adframe.transforms.synthesis.family import (
    Family,
    Scene,
    checked_weight,
    interval,
    log_uniform,
    pixel_near_part,
    uniform,
    whole_interval,
)
from adframe.transforms.synthesis.pasting import Placement, blend, cut_out
from adframe.transforms.synthesis.shapes import checked_shapes, fill_outline, outline

# Width divided by height of a patch.
_ASPECT = (0.4, 2.5)


class Texture(Family):
    """Draws patches of noise, a texture that does not belong to the product.

    Args:
        area: share of the image that a patch covers, a range in [0.000001, 0.5].
        patches: number of patches, 1 to 20; one number or [lowest, highest].
        grain: size of the noise grain as a share of the shorter side, a range in [0.001, 0.2].
        opacity: a range in [0.05, 1]; 1 hides the image.
        weight: relative frequency of the family.

    Example:
        >>> Texture(area=0.02, patches=2, grain=[0.01, 0.05], opacity=1).patches
        (2, 2)
    """

    def __init__(
        self, *, area: Range, patches: int | Sequence[int], grain: Range, opacity: Range, weight: float = 1.0
    ) -> None:
        self.area = interval("texture.area", area, low=1e-6, high=0.5)
        self.patches = whole_interval("texture.patches", patches, low=1, high=20)
        self.grain = interval("texture.grain", grain, low=0.001, high=0.2)
        self.opacity = interval("texture.opacity", opacity, low=0.05, high=1)
        self.weight = checked_weight("texture", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Draws patches of noise.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        image = scene.image
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            shape = str(generator.choice(["ellipse", "polygon"]))
            alpha = _random_shape(shape, scene, area=self.area, generator=generator)
            noise = _colour_noise(scene, grain=log_uniform(generator, self.grain), generator=generator)
            image = blend(image, noise, alpha=alpha * np.float32(uniform(generator, self.opacity)))
        return image


class Structural(Family):
    """Draws filled shapes of one colour: ellipse, rectangle, polygon, line.

    Args:
        area: share of the image that a shape covers, a range in [0.000001, 0.5]; a line covers a quarter.
        patches: number of shapes, 1 to 20; one number or [lowest, highest].
        shapes: shapes to draw from.
        contrast: distance of the shape's colour from the covered colour, a range in [0.05, 1].
        opacity: a range in [0.05, 1]; 1 hides the image.
        weight: relative frequency of the family.

    Example:
        >>> Structural(area=0.02, patches=1, shapes=["line"], contrast=0.4, opacity=1).contrast
        (0.4, 0.4)
    """

    def __init__(
        self,
        *,
        area: Range,
        patches: int | Sequence[int],
        shapes: Sequence[str],
        contrast: Range,
        opacity: Range,
        weight: float = 1.0,
    ) -> None:
        self.area = interval("structural.area", area, low=1e-6, high=0.5)
        self.patches = whole_interval("structural.patches", patches, low=1, high=20)
        self.shapes = checked_shapes("synthesis.families.structural.shapes", shapes)
        self.contrast = interval("structural.contrast", contrast, low=0.05, high=1)
        self.opacity = interval("structural.opacity", opacity, low=0.05, high=1)
        self.weight = checked_weight("structural", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Draws filled shapes.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        image = scene.image
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            shape = str(generator.choice(self.shapes))
            alpha = _random_shape(shape, scene, area=self.area, generator=generator)
            covered = np.array(cv2.mean(scene.image, (alpha > 0).astype(np.uint8))[:3])
            contrast = uniform(generator, self.contrast)
            colour = _other_colour(covered, contrast=contrast, grey=scene.grey, generator=generator)
            image = blend(image, colour, alpha=alpha * np.float32(uniform(generator, self.opacity)))
        return image


class Contextual(Family):
    """Pastes patches of another normal image: each is normal, but not at this place.

    Args:
        area: share of the image that a patch covers, a range in [0.0005, 0.5].
        patches: number of patches, 1 to 20; one number or [lowest, highest].
        shapes: shapes to draw from.
        weight: relative frequency of the family.

    Example:
        >>> Contextual(area=0.02, patches=1, shapes=["ellipse", "polygon"]).shapes
        ('ellipse', 'polygon')
    """

    def __init__(
        self, *, area: Range, patches: int | Sequence[int], shapes: Sequence[str], weight: float = 1.0
    ) -> None:
        self.area = interval("contextual.area", area, low=0.0005, high=0.5)
        self.patches = whole_interval("contextual.patches", patches, low=1, high=20)
        self.shapes = checked_shapes("synthesis.families.contextual.shapes", shapes)
        self.weight = checked_weight("contextual", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Pastes patches of another normal image.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        image = scene.image
        donor, part = scene.borrowed(generator)
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            source, target = pixel_near_part(part, scene.size, generator), scene.centre(generator)
            shape = str(generator.choice(self.shapes))
            alpha = _random_shape(shape, scene, area=self.area, generator=generator, centre=target)
            image = blend(
                image, cut_out(donor, Placement(source=source, target=target), alpha=alpha), alpha=alpha
            )
        return image


def _random_shape(
    shape: str,
    scene: Scene,
    *,
    area: tuple[float, float],
    generator: np.random.Generator,
    centre: tuple[float, float] | None = None,
) -> np.ndarray:
    """Returns (H, W) float32: a shape of random size and orientation, centred on the foreground."""
    share = log_uniform(generator, area) / (4 if shape == "line" else 1)
    corners = outline(
        shape,
        area=share * scene.area,
        aspect=log_uniform(generator, _ASPECT),
        degrees=float(generator.uniform(0, 180)),
        generator=generator,
    )
    return fill_outline(
        corners, centre=scene.centre(generator) if centre is None else centre, size=scene.size
    )


def _colour_noise(scene: Scene, *, grain: float, generator: np.random.Generator) -> np.ndarray:
    """Returns (H, W, 3) float32 noise around a random colour; the same in all channels of a grey image."""
    height, width = scene.size
    step = max(1.0, grain * min(scene.size))
    channels = 1 if scene.grey else 3
    coarse = (max(2, round(height / step)), max(2, round(width / step)), channels)
    level, spread = generator.uniform(0.2, 0.8, channels), float(generator.uniform(0.1, 0.3))
    field = generator.standard_normal(coarse, dtype=np.float32) * np.float32(spread)
    field += level.astype(np.float32)
    full = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return np.broadcast_to(full, (height, width, 3))


def _other_colour(
    covered: np.ndarray, *, contrast: float, grey: bool, generator: np.random.Generator
) -> np.ndarray:
    """Returns a colour (1, 1, 3) float32 at a distance `contrast` from a colour (3,), in the channel that
    differs most.
    """
    direction = np.repeat(generator.uniform(-1, 1), 3) if grey else generator.uniform(-1, 1, 3)
    direction = direction / max(np.abs(direction).max(), 1e-6)
    forward, opposite = (np.clip(covered + sign * contrast * direction, 0, 1) for sign in (1, -1))
    # Where clipping shortens one direction, the opposite one may lead further away.
    further = np.abs(forward - covered).max() >= np.abs(opposite - covered).max()
    colour: np.ndarray = (forward if further else opposite).astype(np.float32).reshape(1, 1, 3)
    return colour
