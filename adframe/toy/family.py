"""Defines a product family: how it is painted, its faults, and how these are annotated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adframe.toy.fields import Field, Rng
from adframe.toy.surface import Lamp, Surface

STRUCTURAL, LOGICAL = "structural", "logical"


@dataclass(frozen=True)
class Fault:
    """One defect to draw.

    Attributes:
        kind: one of the family's kinds.
        severity: 0 barely visible, 1 obvious.
        rng: source of all draws of the defect.

    Example:
        >>> import numpy as np
        >>> Fault("scratch", severity=0.5, rng=np.random.default_rng(0)).between(2, 4)
        3.0
    """

    kind: str
    severity: float
    rng: Rng

    def between(self, low: float, high: float) -> float:
        """Interpolates by the severity.

        Args:
            low: value at severity 0.
            high: value at severity 1.

        Returns:
            The value.
        """
        return low + (high - low) * self.severity


@dataclass(frozen=True)
class Annotation:
    """A kind of ground-truth channel.

    Attributes:
        name: name of the annotation.
        saturation: share of the frame that suffices for it to count as found; None requires all of it.
    """

    name: str
    saturation: float | None = None


@dataclass
class Painting:
    """A painted scene.

    Attributes:
        surface: the scene.
        places: for a logical fault, what to annotate: (name, (S, S) coverage).
    """

    surface: Surface
    places: list[tuple[str, Field]] = field(default_factory=list)


@dataclass(frozen=True)
class ProductFamily:
    """A product.

    Attributes:
        paint: `paint(rng, side, light, fault)` paints one specimen at `side` pixels; the same generator state
            gives the same specimen, with or without a fault.
        kinds: STRUCTURAL or LOGICAL, by fault.
        annotations: lists all annotations.
    """

    paint: Callable[[Rng, int, Lamp, Fault | None], Painting]
    kinds: Mapping[str, str]
    annotations: Callable[[], tuple[Annotation, ...]]


def spot(rng: Rng, *, margin: float) -> tuple[float, float]:
    """Draws a place in the frame.

    Args:
        rng: source of the draw.
        margin: smallest distance from the edge, as a share of the side.

    Returns:
        (y, x) as shares of the side.
    """
    return float(rng.uniform(margin, 1 - margin)), float(rng.uniform(margin, 1 - margin))
