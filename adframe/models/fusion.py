"""How the features of several layers become one: which layers, and with what weight each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adframe.errors import AdframeError, unknown


class Concat:
    """All layers side by side, as they are (Roth et al., CVPR 2022)."""

    adaptive = False  # whether the weights follow from the variances

    def choose(self, layers: Sequence[str]) -> list[int]:
        """Which of the backbone's layers are used, by place."""
        return list(range(len(layers)))

    def weights(self, variances: Sequence[float]) -> list[float]:
        """What each chosen layer's features are multiplied by.

        Args:
            variances: of each layer's features over the normal patches, summed over its channels.
        """
        return [1.0] * len(variances)


class Single(Concat):
    """One layer only.

    Args:
        layer: its name; the last of the backbone's where None.
    """

    def __init__(self, *, layer: str | None = None) -> None:
        self.layer = layer

    def choose(self, layers: Sequence[str]) -> list[int]:
        """The one layer."""
        if self.layer is None:
            return [len(layers) - 1]
        if self.layer not in layers:
            raise AdframeError(unknown("fusion.layer", self.layer, list(layers), where="of the backbone"))
        return [list(layers).index(self.layer)]


class Weighted(Concat):
    """Side by side, each layer times a weight given by hand.

    Args:
        layers: a weight of 0 or more for each of the backbone's layers, in their order. Distances to a
            layer's features grow in proportion; those of layers of weight 0 are not even kept.
    """

    def __init__(self, *, layers: Sequence[float]) -> None:
        if any(weight < 0 or not math.isfinite(weight) for weight in layers) or not any(layers):
            raise AdframeError(f"fusion.layers={list(layers)} must be 0 or more each, and not all 0")
        self.layers = [float(weight) for weight in layers]

    def choose(self, layers: Sequence[str]) -> list[int]:
        """The layers whose weight is not 0."""
        if len(layers) != len(self.layers):
            raise AdframeError(
                f"fusion.layers={self.layers} must have {len(layers)} weights, one for each of "
                f"{', '.join(layers)}"
            )
        return [place for place, weight in enumerate(self.layers) if weight]

    def weights(self, variances: Sequence[float]) -> list[float]:
        """The weights given, without the zeros."""
        del variances
        return [weight for weight in self.layers if weight]


class Adaptive(Concat):
    """Side by side, each layer divided by the spread of its features on normal images.

    Layers differ in scale by an order of magnitude, and the one with the largest numbers decides
    what is near. After this each contributes the same to the squared distance between two normal
    patches on average.
    """

    adaptive = True

    def weights(self, variances: Sequence[float]) -> list[float]:
        """One over the root of each variance; 1 for a layer that never varies."""
        return [1 / math.sqrt(variance) if variance > 0 else 1.0 for variance in variances]
