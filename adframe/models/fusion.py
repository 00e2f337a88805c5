"""Combines the features of several layers: chooses layers, and weights them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adframe.errors import AdframeError, unknown


class Concat:
    """Concatenates all layers unchanged (Roth et al., CVPR 2022).

    Attributes:
        adaptive: whether the weights depend on the variances.
        averages: whether the layers are averaged instead of concatenated.

    Example:
        >>> Concat().choose(["layer2", "layer3"]), Concat().weights([1.0, 4.0])
        ([0, 1], [1.0, 1.0])
    """

    adaptive = False
    averages = False

    def choose(self, layers: Sequence[str]) -> list[int]:
        """Chooses layers of the backbone.

        Args:
            layers: names of the backbone's layers.

        Returns:
            Positions of the chosen layers.
        """
        return list(range(len(layers)))

    def weights(self, variances: Sequence[float]) -> list[float]:
        """Returns the factor of each chosen layer's features.

        Args:
            variances: variance of each layer's features over the normal patches, summed over its channels.

        Returns:
            One factor per layer.
        """
        return [1.0] * len(variances)


class Mean(Concat):
    """Averages all layers, which must have equal widths (as SubspaceAD does with a transformer's blocks).

    Example:
        >>> Mean().averages
        True
    """

    averages = True


class Single(Concat):
    """Uses one layer only.

    Args:
        layer: name of the layer; None takes the last one of the backbone.

    Example:
        >>> Single(layer="layer2").choose(["layer2", "layer3"])
        [0]
    """

    def __init__(self, *, layer: str | None = None) -> None:
        self.layer = layer

    def choose(self, layers: Sequence[str]) -> list[int]:
        """Chooses the one layer.

        Args:
            layers: names of the backbone's layers.

        Returns:
            Its position.

        Raises:
            AdframeError: if the backbone does not have it.
        """
        if self.layer is None:
            return [len(layers) - 1]
        if self.layer not in layers:
            raise AdframeError(unknown("fusion.layer", self.layer, list(layers), where="of the backbone"))
        return [list(layers).index(self.layer)]


class Weighted(Concat):
    """Concatenates all layers, each multiplied by a configured weight.

    Args:
        layers: a weight of 0 or more for each of the backbone's layers, in their order. Distances in a
            layer's features are proportional to its weight; layers with weight 0 are not stored.

    Raises:
        AdframeError: if a weight is negative, or all are 0.

    Example:
        >>> Weighted(layers=[0, 2]).choose(["layer2", "layer3"])
        [1]
    """

    def __init__(self, *, layers: Sequence[float]) -> None:
        if any(weight < 0 or not math.isfinite(weight) for weight in layers) or not any(layers):
            raise AdframeError(f"fusion.layers={list(layers)} must be 0 or more each, and not all 0")
        self.layers = [float(weight) for weight in layers]

    def choose(self, layers: Sequence[str]) -> list[int]:
        """Chooses the layers whose weight is not 0.

        Args:
            layers: names of the backbone's layers.

        Returns:
            Their positions.

        Raises:
            AdframeError: if the numbers of layers and weights differ.
        """
        if len(layers) != len(self.layers):
            raise AdframeError(
                f"fusion.layers={self.layers} must have {len(layers)} weights, one for each of "
                f"{', '.join(layers)}"
            )
        return [place for place, weight in enumerate(self.layers) if weight]

    def weights(self, variances: Sequence[float]) -> list[float]:
        """Returns the configured weights without the zeros.

        Args:
            variances: not used.

        Returns:
            One factor per chosen layer.
        """
        del variances
        return [weight for weight in self.layers if weight]


class Adaptive(Concat):
    """Concatenates all layers, each divided by the spread of its features on normal images.

    Layers differ in scale by an order of magnitude, and the one with the largest numbers determines the
    nearest neighbour. With this weighting each layer contributes the same to the mean squared distance of two
    normal patches.

    Example:
        >>> Adaptive().weights([4.0, 0.0])
        [0.5, 1.0]
    """

    adaptive = True

    def weights(self, variances: Sequence[float]) -> list[float]:
        """Returns one over the square root of each variance; 1 for a layer that never varies.

        Args:
            variances: as in `Concat.weights`.

        Returns:
            One factor per layer.
        """
        return [1 / math.sqrt(variance) if variance > 0 else 1.0 for variance in variances]
