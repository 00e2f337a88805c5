"""CutPaste, its scar, and NSA: normal pieces at the wrong place, from the hard edge to the seamless one."""

from __future__ import annotations

from collections.abc import Sequence

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
from adframe.transforms.synthesis.pasting import Cut, blended, cloned, cut
from adframe.transforms.synthesis.shapes import chosen_shapes, filled, outline
from adframe.transforms.synthesis.sources import recoloured


class CutPaste(Family):
    """A rectangle of the image itself at another place (Li et al., CutPaste, CVPR 2021, sec. 2.2).

    Args:
        area: of the patch, as a share of the image.
        aspect: its width to its height.
        degrees: by which it is turned.
        jitter: how far its colours may change, 0 to 1.
        weight: against the other families.
    """

    def __init__(
        self, *, area: Range, aspect: Range, degrees: Range, jitter: float, weight: float = 1.0
    ) -> None:
        self.area = interval("cutpaste.area", area, low=0.0005, high=0.5)
        self.aspect = interval("cutpaste.aspect", aspect, low=0.05, high=20)
        self.degrees = interval("cutpaste.degrees", degrees, low=-180, high=180)
        self.jitter = interval("cutpaste.jitter", jitter, low=0, high=1)[0]
        self.weight = weighed("cutpaste", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        return _moved(
            scene,
            area=uniform(generator, self.area) * scene.area,
            aspect=by_ratio(generator, self.aspect),
            degrees=uniform(generator, self.degrees),
            jitter=self.jitter,
            generator=generator,
        )


class Scar(Family):
    """CutPaste's thin variant: a long strip of the image itself, turned and recoloured (same source).

    Args:
        length: of the strip, as a share of the shorter side.
        width: of the strip, as a share of the shorter side.
        degrees: by which it is turned.
        jitter: how far its colours may change, 0 to 1.
        weight: against the other families.
    """

    def __init__(
        self, *, length: Range, width: Range, degrees: Range, jitter: float, weight: float = 1.0
    ) -> None:
        self.length = interval("scar.length", length, low=0.01, high=1)
        self.width = interval("scar.width", width, low=0.002, high=0.2)
        self.degrees = interval("scar.degrees", degrees, low=-180, high=180)
        self.jitter = interval("scar.jitter", jitter, low=0, high=1)[0]
        self.weight = weighed("scar", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        side = min(scene.size)
        length, width = (uniform(generator, each) * side for each in (self.length, self.width))
        return _moved(
            scene,
            area=length * width,
            aspect=length / width,
            degrees=uniform(generator, self.degrees),
            jitter=self.jitter,
            generator=generator,
        )


class Nsa(Family):
    """Pieces of another normal image, resized and blended without a seam (Schlueter et al., NSA, ECCV 2022).

    Args:
        area: of a piece, as a share of the image.
        aspect: its width to its height.
        scale: by which it is resized.
        patches: how many.
        shapes: which.
        mixed: share of images whose own gradients shine through where they are the stronger ones.
        weight: against the other families.
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
        self.shapes = chosen_shapes("synthesis.families.nsa.shapes", shapes)
        self.mixed = interval("nsa.mixed", mixed, low=0, high=1)[0]
        self.weight = weighed("nsa", weight)

    def change(self, scene: Scene, *, generator: np.random.Generator) -> np.ndarray:
        image, mixed = scene.image, bool(generator.random() < self.mixed)
        donor, part = scene.borrowed(generator)
        for _ in range(int(generator.integers(self.patches[0], self.patches[1] + 1))):
            source, target = near(part, scene.size, generator), scene.centre(generator)
            corners = outline(
                str(generator.choice(self.shapes)),
                area=by_ratio(generator, self.area) * scene.area,
                aspect=by_ratio(generator, self.aspect),
                degrees=0.0,
                generator=generator,
            )
            alpha = filled(corners, centre=target, size=scene.size)
            how = Cut(source=source, target=target, scale=by_ratio(generator, self.scale))
            image = cloned(image, cut(donor, how, alpha=alpha), alpha=alpha, mixed=mixed)
        return image


def _moved(
    scene: Scene,
    *,
    area: float,
    aspect: float,
    degrees: float,
    jitter: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """The image with one rectangle of itself, turned and recoloured, at another place."""
    source = near(scene.foreground, scene.size, generator)
    target = scene.centre(generator)
    corners = outline("rectangle", area=area, aspect=aspect, degrees=degrees, generator=generator)
    alpha = filled(corners, centre=target, size=scene.size)
    piece = cut(scene.image, Cut(source=source, target=target, degrees=degrees), alpha=alpha)
    if jitter > 0:
        piece = recoloured(piece, strength=jitter, grey=scene.grey, generator=generator)
    return blended(scene.image, piece, alpha=alpha)
