"""Buffers whose size is learned, and how they come back from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from adframe.errors import AdframeError


def make_room(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Sizes are learned: a module's own buffers take the stored shape before a strict load fills them."""
    for name, own in module.named_buffers(recurse=False):
        if f"{prefix}{name}" in state:
            setattr(module, name, torch.empty_like(state[f"{prefix}{name}"], device=own.device))


def refuse_update(*, fitted: bool) -> None:
    """Refuses more images for a model whose own are not there any more: it would forget what it knows.

    Args:
        fitted: whether the model holds what it was made of, but not the images, as after loading
            or `release`.

    Raises:
        AdframeError: it does.
    """
    if fitted:
        raise AdframeError(
            "the model was loaded or released and does not hold the images that it was fitted on: "
            "collecting more would replace them all; fit a new model on all images"
        )
