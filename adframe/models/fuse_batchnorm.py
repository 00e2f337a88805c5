"""Folds BatchNorm of a frozen network into the preceding convolution: the same function in fewer passes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Relative, per layer, on the probe; folding real networks changes about 1e-6.
TOLERANCE = 1e-4
PROBE_SHAPE = (2, 3, 64, 64)


@torch.no_grad()
def fold_batchnorm(trunk: Any, *, indices: list[int]) -> Any:
    """Returns a copy where each BatchNorm is folded into its convolution, or the network itself.

    The convolution before each BatchNorm is found in a pass of noise, not by names. The copy is kept only if
    its layers equal the network's on that noise, to `TOLERANCE` of their norm: a convolution whose output is
    also used elsewhere must stay unchanged.

    Args:
        trunk: a timm network in evaluation mode.
        indices: the layers to compare, as `forward_intermediates` takes them.

    Returns:
        The folded copy, or `trunk`.
    """
    folded = copy.deepcopy(trunk)
    noise = torch.rand(PROBE_SHAPE, generator=torch.Generator().manual_seed(0))
    try:
        before = trunk.forward_intermediates(noise, indices=indices, intermediates_only=True)
        for conv, norm in _conv_norm_pairs(folded, noise, indices=indices):
            fused = fuse_conv_bn_eval(folded.get_submodule(conv), folded.get_submodule(norm))
            _replace_module(folded, conv, fused)
            _replace_module(folded, norm, _activation_of(folded.get_submodule(norm)))
        after = folded.forward_intermediates(noise, indices=indices, intermediates_only=True)
    except (AssertionError, RuntimeError):  # the network takes no image of the probe's size
        return trunk
    return folded if all(map(_close_enough, before, after)) else trunk


def _conv_norm_pairs(trunk: Any, noise: Tensor, *, indices: list[int]) -> list[tuple[str, str]]:
    """Returns the names of convolutions and of the BatchNorms that read their output."""
    # Keeps the tensors alive, so that no address is reused.
    made: list[tuple[str, Tensor]] = []
    read: list[tuple[str, Tensor]] = []
    handles = []
    for name, module in trunk.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(lambda _, __, out, n=name: made.append((n, out))))
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d):
            handles.append(module.register_forward_pre_hook(lambda _, x, n=name: read.append((n, x[0]))))
    trunk.forward_intermediates(noise, indices=indices, intermediates_only=True)
    for handle in handles:
        handle.remove()
    return [(conv, norm) for norm, entered in read for conv, left in made if left is entered]


def _activation_of(norm: nn.Module) -> nn.Module:
    """Returns what a BatchNorm does besides normalising: timm's own contains the activation."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _replace_module(trunk: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(trunk.get_submodule(parent), child, module)


def _close_enough(before: Tensor, after: Tensor) -> bool:
    return bool((after - before).norm() <= TOLERANCE * before.norm())
