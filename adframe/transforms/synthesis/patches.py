"""Implements CutPaste, its scar variant, and NSA: normal pieces at the wrong place, from hard to seamless
edges.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from adframe.transforms.synthesis.pasting import Placement, blend, cut_out, poisson_clone
from adframe.transforms.synthesis.shapes import checked_shapes, fill_outline, outline
from adframe.transforms.synthesis.sources import recolour


class CutPaste(Family):
    """Pastes a rectangle of the image at another place (Li et al., CutPaste, CVPR 2021, sec. 2.2).

    Args:
        area: share of the image that the patch covers, a range in [0.0005, 0.5].
        aspect: width divided by height, a range in [0.05, 20].
        degrees: angle of rotation, a range in [-180, 180].
        jitter: largest change of colours, 0 to 1.
        weight: relative frequency of the family.

    Example:
        >>> CutPaste(area=[0.02, 0.15], aspect=[0.3, 3], degrees=0, jitter=0.1).area
        (0.02, 0.15)
    """

    def __init__(
        self, *, area: Range, aspect: Range, degrees: Range, jitter: float, weight: float = 1.0
    ) -> None:
        self.area = interval("cutpaste.area", area, low=0.0005, high=0.5)
        self.aspect = interval("cutpaste.aspect", aspect, low=0.05, high=20)
        self.degrees = interval("cutpaste.degrees", degrees, low=-180, high=180)
        self.jitter = interval("cutpaste.jitter", jitter, low=0, high=1)[0]
        self.weight = checked_weight("cutpaste", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Pastes a rectangle of the image at another place.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        return _move_rectangle(
            scene,
            area=uniform(generator, self.area) * scene.area,
            aspect=log_uniform(generator, self.aspect),
            degrees=uniform(generator, self.degrees),
            jitter=self.jitter,
            generator=generator,
        )


class Scar(Family):
    """Pastes a long, thin strip of the image, rotated and recoloured (CutPaste, same source).

    Args:
        length: length of the strip as a share of the shorter side, a range in [0.01, 1].
        width: width of the strip as a share of the shorter side, a range in [0.0005, 0.2].
        degrees: angle of rotation, a range in [-180, 180].
        jitter: largest change of colours, 0 to 1.
        weight: relative frequency of the family.

    Example:
        >>> Scar(length=[0.1, 0.3], width=0.02, degrees=[-45, 45], jitter=0.1).width
        (0.02, 0.02)
    """

    def __init__(
        self, *, length: Range, width: Range, degrees: Range, jitter: float, weight: float = 1.0
    ) -> None:
        self.length = interval("scar.length", length, low=0.01, high=1)
        self.width = interval("scar.width", width, low=0.0005, high=0.2)
        self.degrees = interval("scar.degrees", degrees, low=-180, high=180)
        self.jitter = interval("scar.jitter", jitter, low=0, high=1)[0]
        self.weight = checked_weight("scar", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Pastes a strip of the image at another place.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        side = min(scene.size)
        length, width = (uniform(generator, each) * side for each in (self.length, self.width))
        return _move_rectangle(
            scene,
            area=length * width,
            aspect=length / width,
            degrees=uniform(generator, self.degrees),
            jitter=self.jitter,
            generator=generator,
        )


class Nsa(Family):
    """Pastes pieces of another normal image, resized and blended seamlessly (Schlueter et al., NSA, ECCV
    2022).

    Args:
        area: share of the image that a piece covers, a range in [0.0005, 0.5].
        aspect: width divided by height, a range in [0.05, 20].
        scale: factor of size, a range in [0.2, 5].
        patches: number of pieces, 1 to 20; one number or [lowest, highest].
        shapes: shapes to draw from.
        mixed: share of images in which the stronger gradients of the image itself remain visible, in [0, 1].
        weight: relative frequency of the family.

    Example:
        >>> nsa = Nsa(area=0.01, aspect=1, scale=1, patches=[1, 3], shapes=["rectangle"], mixed=0.5)
        >>> nsa.patches
        (1, 3)
    """

    def __init__(
        self,
        *,
        area: Range,
        aspect: Range,
        scale: Range,
        patches: int | Sequence[int],
        shapes: Sequence[str],
        mixed: float,
        weight: float = 1.0,
    ) -> None:
        self.area = interval("nsa.area", area, low=0.0005, high=0.5)
        self.aspect = interval("nsa.aspect", aspect, low=0.05, high=20)
        self.scale = interval("nsa.scale", scale, low=0.2, high=5)
        self.patches = whole_interval("nsa.patches", patches, low=1, high=20)
        self.shapes = checked_shapes("synthesis.families.nsa.shapes", shapes)
        self.mixed = interval("nsa.mixed", mixed, low=0, high=1)[0]
        self.weight = checked_weight("nsa", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        """Blends pieces of another normal image into the image.

        Args:
            scene: the image and its surroundings.
            generator: source of all draws.

        Returns:
            (H, W, 3) float32, a new array that may leave [0, 1].
        """
        image, mixed = scene.image, bool(generator.random() < self.mixed)
        donor, part = scene.borrowed(generator)
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            source, target = pixel_near_part(part, scene.size, generator), scene.centre(generator)
            corners = outline(
                str(generator.choice(self.shapes)),
                area=log_uniform(generator, self.area) * scene.area,
                aspect=log_uniform(generator, self.aspect),
                degrees=0.0,
                generator=generator,
            )
            alpha = fill_outline(corners, centre=target, size=scene.size)
            how = Placement(source=source, target=target, scale=log_uniform(generator, self.scale))
            image = poisson_clone(image, cut_out(donor, how, alpha=alpha), alpha=alpha, mixed=mixed)
        return image


def _move_rectangle(
    scene: Scene,
    *,
    area: float,
    aspect: float,
    degrees: float,
    jitter: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Pastes one rectangle of the image, rotated and recoloured, at another place."""
    source = pixel_near_part(scene.foreground, scene.size, generator)
    target = scene.centre(generator)
    corners = outline("rectangle", area=area, aspect=aspect, degrees=degrees, generator=generator)
    alpha = fill_outline(corners, centre=target, size=scene.size)
    piece = cut_out(scene.image, Placement(source=source, target=target, degrees=degrees), alpha=alpha)
    if jitter > 0:
        piece = recolour(piece, strength=jitter, grey=scene.grey, generator=generator)
    return blend(scene.image, piece, alpha=alpha)
