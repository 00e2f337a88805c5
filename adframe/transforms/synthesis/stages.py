"""Three simple stages, each less obvious than the one before: foreign texture, foreign shape, wrong place."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adframe.errors import Range
from adframe.transforms.synthesis.family import (
    Family,
    Scene,
    by_ratio,
    interval,
    near,
    uniform,
    weighed,
    whole_interval,
)
from adframe.transforms.synthesis.pasting import Cut, blended, cut
from adframe.transforms.synthesis.shapes import chosen_shapes, filled, outline

_ASPECT = (0.4, 2.5)  # width to height of a patch


class Texture(Family):
    """Patches of noise: what lies there is no part of the product.

    Args:
        area: of a patch, as a share of the image.
        patches: how many.
        grain: of the noise, as a share of the shorter side.
        opacity: 1 hides what was there.
        weight: against the other families.
    """

    def __init__(
        self, *, area: Range, patches: int | Sequence[int], grain: Range, opacity: Range, weight: float = 1.0
    ) -> None:
        self.area = interval("texture.area", area, low=0.0005, high=0.5)
        self.patches = whole_interval("texture.patches", patches, low=1, high=20)
        self.grain = interval("texture.grain", grain, low=0.001, high=0.2)
        self.opacity = interval("texture.opacity", opacity, low=0.05, high=1)
        self.weight = weighed("texture", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        image = scene.image
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            shape = str(generator.choice(["ellipse", "polygon"]))
            alpha = _stamp(shape, scene, area=self.area, generator=generator)
            noise = _noise(scene, grain=by_ratio(generator, self.grain), generator=generator)
            image = blended(image, noise, alpha=alpha * np.float32(uniform(generator, self.opacity)))
        return image


class Structural(Family):
    """Filled shapes of one colour: ellipse, rectangle, polygon, line.

    Args:
        area: of a shape, as a share of the image; a line has a quarter of it.
        patches: how many.
        shapes: which.
        contrast: distance of the shape's colour from what it covers, of [0, 1].
        opacity: 1 hides what was there.
        weight: against the other families.
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
        self.area = interval("structural.area", area, low=0.0005, high=0.5)
        self.patches = whole_interval("structural.patches", patches, low=1, high=20)
        self.shapes = chosen_shapes("synthesis.families.structural.shapes", shapes)
        self.contrast = interval("structural.contrast", contrast, low=0.05, high=1)
        self.opacity = interval("structural.opacity", opacity, low=0.05, high=1)
        self.weight = weighed("structural", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        image = scene.image
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            shape = str(generator.choice(self.shapes))
            alpha = _stamp(shape, scene, area=self.area, generator=generator)
            covered = np.array(cv2.mean(scene.image, (alpha > 0).astype(np.uint8))[:3])
            contrast = uniform(generator, self.contrast)
            colour = _other_colour(covered, contrast=contrast, grey=scene.grey, generator=generator)
            image = blended(image, colour, alpha=alpha * np.float32(uniform(generator, self.opacity)))
        return image


class Contextual(Family):
    """Patches out of another normal image: each is normal, but not there.

    Args:
        area: of a patch, as a share of the image.
        patches: how many.
        shapes: which.
        weight: against the other families.
    """

    def __init__(
        self, *, area: Range, patches: int | Sequence[int], shapes: Sequence[str], weight: float = 1.0
    ) -> None:
        self.area = interval("contextual.area", area, low=0.0005, high=0.5)
        self.patches = whole_interval("contextual.patches", patches, low=1, high=20)
        self.shapes = chosen_shapes("synthesis.families.contextual.shapes", shapes)
        self.weight = weighed("contextual", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        image = scene.image
        donor, part = scene.borrowed(generator)
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            source, target = near(part, scene.size, generator), scene.centre(generator)
            shape = str(generator.choice(self.shapes))
            alpha = _stamp(shape, scene, area=self.area, generator=generator, centre=target)
            image = blended(image, cut(donor, Cut(source=source, target=target), alpha=alpha), alpha=alpha)
        return image


def _stamp(
    shape: str,
    scene: Scene,
    *,
    area: tuple[float, float],
    generator: np.random.Generator,
    centre: tuple[float, float] | None = None,
) -> np.ndarray:
    """(H, W) float32: a shape of a drawn size, lying as drawn, centred on the foreground."""
    share = by_ratio(generator, area) / (4 if shape == "line" else 1)
    corners = outline(
        shape,
        area=share * scene.area,
        aspect=by_ratio(generator, _ASPECT),
        degrees=float(generator.uniform(0, 180)),
        generator=generator,
    )
    return filled(corners, centre=scene.centre(generator) if centre is None else centre, size=scene.size)


def _noise(scene: Scene, *, grain: float, generator: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32 noise around a colour of its own; one noise for all channels of a grey image."""
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
    """(1, 1, 3) float32 at a distance from a colour (3,): in the channel that differs most."""
    direction = np.repeat(generator.uniform(-1, 1), 3) if grey else generator.uniform(-1, 1, 3)
    direction = direction / max(np.abs(direction).max(), 1e-6)
    straight, turned = (np.clip(covered + sign * contrast * direction, 0, 1) for sign in (1, -1))
    # Where the range ends, the other way leads further away.
    further = np.abs(straight - covered).max() >= np.abs(turned - covered).max()
    colour: np.ndarray = (straight if further else turned).astype(np.float32).reshape(1, 1, 3)
    return colour
