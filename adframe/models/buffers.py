"""Loads buffers whose size is fitted, and protects fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from adframe.errors import AdframeError


def make_room(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Gives a module's own buffers the stored shapes before a strict load fills them (a load_state_dict
    pre-hook).

    Args:
        module: the module.
        state: stored tensors by name.
        prefix: prefix of the module's names.
        _: further arguments of the hook, not used.
    """
    for name, own in module.named_buffers(recurse=False):
        if f"{prefix}{name}" in state:
            setattr(module, name, torch.empty_like(state[f"{prefix}{name}"], device=own.device))


def refuse_update(*, fitted: bool) -> None:
    """Refuses more images for a model whose training images are gone, because it would forget them.

    Args:
        fitted: whether the model is fitted but has no training images any more, as after loading or
            `release`.

    Raises:
        AdframeError: if it is.
    """
    if fitted:
        raise AdframeError(
            "the model was loaded or released and no longer has the images it was fitted on: "
            "collecting more would replace them all; fit a new model on all images"
        )
