"""What a product family is: how it is painted, what can go wrong with it, how its faults are annotated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adframe.toy.fields import Field, Rng
from adframe.toy.surface import Light, Surface

STRUCTURAL, LOGICAL = "structural", "logical"


@dataclass(frozen=True)
class Fault:
    """One defect to come: its kind, how bad it is (0 hardly visible, 1 blatant), and its own dice."""

    kind: str
    severity: float
    rng: Rng

    def between(self, low: float, high: float) -> float:
        """The value that the severity picks between `low` (at 0) and `high` (at 1)."""
        return low + (high - low) * self.severity


@dataclass(frozen=True)
class Annotation:
    """A kind of ground-truth channel.

    `saturation` is the share of the frame that suffices for it to count as found; None asks for all of it.
    """

    name: str
    saturation: float | None = None


@dataclass
class Painting:
    """A painted scene; for a logical fault also what to annotate: (name, (S, S) coverage)."""

    surface: Surface
    places: list[tuple[str, Field]] = field(default_factory=list)


@dataclass(frozen=True)
class Family:
    """A product.

    `paint(rng, side, light, fault)` paints one specimen at `side` pixels; with the same generator state it
    paints the same specimen, whether or not a fault spoils it.
    """

    paint: Callable[[Rng, int, Light, Fault | None], Painting]
    kinds: Mapping[str, str]  # fault -> STRUCTURAL or LOGICAL
    annotations: Callable[[], tuple[Annotation, ...]]


def spot(rng: Rng, *, margin: float) -> tuple[float, float]:
    """A place (y, x) in the frame, `margin` away from its edge."""
    return float(rng.uniform(margin, 1 - margin)), float(rng.uniform(margin, 1 - margin))
