"""Chooses layers of a timm network by their names or by one word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from adframe.errors import AdframeError, unknown

LayerWord = Literal["pyramid", "quarters", "spread", "middle"]
PYRAMID = "pyramid"
# Strides of PaDiM's three layers: layer1 to layer3 of a ResNet.
STRIDES = (4, 8, 16)


def blocks_at_quarters(depth: int, quarters: Sequence[int]) -> list[int]:
    """Returns the last blocks of quarters of a vision transformer.

    Args:
        depth: number of its blocks.
        quarters: from 1 to 4.

    Returns:
        Blocks counted from 0; -1 for a quarter that has none.

    Example:
        >>> blocks_at_quarters(12, [2, 3, 4])
        [5, 8, 11]
    """
    return [depth * quarter // 4 - 1 for quarter in quarters]


def check_blocks(blocks: Sequence[int], *, depth: int, setting: str, name: str) -> None:
    """Checks that a setting names different blocks of a vision transformer.

    Args:
        blocks: counted from 0.
        depth: number of the transformer's blocks.
        setting: the setting that names them, for the error.
        name: name of the network, for the error.

    Raises:
        AdframeError: if there is none, or one does not exist or is named twice.

    Example:
        >>> check_blocks([5, 11], depth=12, setting="model.blocks", name="dinov2")
    """
    if not blocks or len(set(blocks)) < len(blocks) or not all(0 <= block < depth for block in blocks):
        raise AdframeError(
            f"{setting}={list(blocks)} must name different blocks from 0 to {depth - 1} of {name}"
        )


# Blocks of a vision transformer by its depth, counted from 0.
BLOCKS_BY_DEPTH: dict[str, Callable[[int], list[int]]] = {
    # The last block of each quarter: 5, 11, 17 and 23 of 24, as in MuSc.
    "quarters": lambda depth: blocks_at_quarters(depth, range(1, 5)),
    # 3, 6, 9 and 11 of 12, as in RAD.
    "spread": lambda depth: [min(depth - 1, depth * place // 4) for place in range(1, 5)],
    # From 55 to 70 % of the depth: 22 to 28 of 40, as in SubspaceAD.
    "middle": lambda depth: list(range(round(0.55 * depth), round(0.7 * depth) + 1)),
}


def choose_layers(trunk: Any, layers: Sequence[str] | str, *, model: str) -> tuple[list[str], list[int]]:
    """Looks up layers in timm's `feature_info`.

    Args:
        trunk: a timm network.
        layers: module names as `feature_info` lists them, or a word. `pyramid`: the last module of each of
            the strides 4, 8 and 16; for a network with one stride, such as a vision transformer, the blocks
            at a quarter, a half and three quarters of its depth. `quarters`, `spread` and `middle`: blocks of
            a vision transformer (see `BLOCKS_BY_DEPTH`).
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
    return _look_up(entries, layers, model=model)


def choose_blocks(depth: int, layers: Sequence[str] | str, *, model: str) -> tuple[list[str], list[int]]:
    """Looks up the blocks of a vision transformer that is not timm's.

    Args:
        depth: number of its blocks.
        layers: `blocks.0` and so on, or a word as `choose_layers` takes it.
        model: name of the network, for errors.

    Returns:
        Names and positions of the blocks, in the order of `layers`.

    Raises:
        AdframeError: if a name does not exist, or there is none or one twice.

    Example:
        >>> choose_blocks(12, "quarters", model="clip")
        (['blocks.2', 'blocks.5', 'blocks.8', 'blocks.11'], [2, 5, 8, 11])
    """
    entries = [{"module": f"blocks.{place}", "reduction": 1} for place in range(depth)]
    return _look_up(entries, layers, model=model)


def _look_up(
    entries: Sequence[dict[str, Any]], layers: Sequence[str] | str, *, model: str
) -> tuple[list[str], list[int]]:
    names = [entry["module"] for entry in entries]
    chosen = _by_word(entries, layers, model=model) if isinstance(layers, str) else list(layers)
    for layer in chosen:
        if layer not in names:
            raise AdframeError(unknown("backbone layer", layer, names, where=f"of {model}"))
    if not chosen or len(set(chosen)) < len(chosen):
        raise AdframeError(f"backbone.layers={chosen} must name one or more different layers")
    return chosen, [names.index(layer) for layer in chosen]


def _by_word(entries: Sequence[dict[str, Any]], word: str, *, model: str) -> list[str]:
    if word == PYRAMID:
        return _pyramid(entries)
    if word not in BLOCKS_BY_DEPTH:
        return [word]  # a single name
    if len({entry["reduction"] for entry in entries}) > 1:
        raise AdframeError(
            f"backbone.layers={word} are blocks of a vision transformer, and {model} has layers of several "
            "strides; choose backbone=dinov2_small or another transformer, or name the layers"
        )
    places = sorted({max(0, min(len(entries) - 1, place)) for place in BLOCKS_BY_DEPTH[word](len(entries))})
    return [entries[place]["module"] for place in places]


def _pyramid(entries: Sequence[dict[str, Any]]) -> list[str]:
    # Later modules replace earlier ones.
    last = {entry["reduction"]: entry["module"] for entry in entries}
    if len(last) > 1:
        return [last[stride] for stride in STRIDES if stride in last]
    depth = len(entries)
    places = sorted({max(0, block) for block in blocks_at_quarters(depth, (1, 2, 3))})
    return [entries[place]["module"] for place in places]
