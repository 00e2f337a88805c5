"""Chooses layers of a timm network by their names or by one word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adframe.errors import AdframeError, unknown

PYRAMID = "pyramid"
# Strides of PaDiM's three layers: layer1 to layer3 of a ResNet.
STRIDES = (4, 8, 16)


def choose_layers(trunk: Any, layers: Sequence[str] | str, *, model: str) -> tuple[list[str], list[int]]:
    """Looks up layers in timm's `feature_info`.

    Args:
        trunk: a timm network.
        layers: module names as `feature_info` lists them, or `pyramid`: the last module of each of the
            strides 4, 8 and 16; for a network with one stride, such as a vision transformer, the blocks at a
            quarter, a half and three quarters of its depth.
        model: name of the network, for errors.

    Returns:
        Names and positions of the layers, in the order of `layers`.

    Raises:
        AdframeError: if a name does not exist, there is none or one twice, or the network has no layers.
    """
    if not hasattr(trunk, "forward_intermediates"):
        raise AdframeError(f"timm model {model} gives no intermediate layers; choose another backbone.model")
    info = trunk.feature_info
    entries = info if isinstance(info, list) else info.info
    names = [entry["module"] for entry in entries]
    chosen = _pyramid(entries) if layers == PYRAMID else [layers] if isinstance(layers, str) else list(layers)
    for layer in chosen:
        if layer not in names:
            raise AdframeError(unknown("backbone layer", layer, names, where=f"of {model}"))
    if not chosen or len(set(chosen)) < len(chosen):
        raise AdframeError(f"backbone.layers={chosen} must name one or more different layers")
    return chosen, [names.index(layer) for layer in chosen]


def _pyramid(entries: Sequence[dict[str, Any]]) -> list[str]:
    # Later modules replace earlier ones.
    last = {entry["reduction"]: entry["module"] for entry in entries}
    if len(last) > 1:
        return [last[stride] for stride in STRIDES if stride in last]
    depth = len(entries)
    places = sorted({max(0, depth * quarters // 4 - 1) for quarters in (1, 2, 3)})
    return [entries[place]["module"] for place in places]
