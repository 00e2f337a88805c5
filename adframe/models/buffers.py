"""Buffers whose size is learned, and how they come back from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def make_room(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Sizes are learned: a module's own buffers take the stored shape before a strict load fills them."""
    for name, own in module.named_buffers(recurse=False):
        if f"{prefix}{name}" in state:
            setattr(module, name, torch.empty_like(state[f"{prefix}{name}"], device=own.device))
