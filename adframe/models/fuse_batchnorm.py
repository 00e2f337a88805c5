"""BatchNorm of a frozen network folded into the convolution before it: the same function, fewer passes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # relative, per layer, on the probe; folding real networks changes about 1e-6
PROBE = (2, 3, 64, 64)


@torch.no_grad()
def fold(trunk: Any, *, indices: list[int]) -> Any:
    """A copy with every convolution and the BatchNorm behind it in one, or the network itself.

    Which BatchNorm follows which convolution is seen in a pass of noise, not guessed from names.
    The copy is kept only if its layers equal the network's on that noise, to `TOLERANCE` of their
    norm: a convolution whose output somebody else reads as well must stay as it is.

    Args:
        trunk: a timm network in evaluation mode.
        indices: the layers that count, as `forward_intermediates` takes them.
    """
    folded = copy.deepcopy(trunk)
    noise = torch.rand(PROBE, generator=torch.Generator().manual_seed(0))
    try:
        before = trunk.forward_intermediates(noise, indices=indices, intermediates_only=True)
        for conv, norm in _pairs(folded, noise, indices=indices):
            fused = fuse_conv_bn_eval(folded.get_submodule(conv), folded.get_submodule(norm))
            _put(folded, conv, fused)
            _put(folded, norm, _rest(folded.get_submodule(norm)))
        after = folded.forward_intermediates(noise, indices=indices, intermediates_only=True)
    except (AssertionError, RuntimeError):  # takes no image of the probe's size
        return trunk
    return folded if all(map(_equal, before, after)) else trunk


def _pairs(trunk: Any, noise: Tensor, *, indices: list[int]) -> list[tuple[str, str]]:
    """Names of convolutions, and of the BatchNorms that read what they give."""
    made: list[tuple[str, Tensor]] = []  # holds the tensors, so that none of them gives its place away
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


def _rest(norm: nn.Module) -> nn.Module:
    """What a BatchNorm does besides normalising: timm's own carries the activation."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _put(trunk: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(trunk.get_submodule(parent), child, module)


def _equal(before: Tensor, after: Tensor) -> bool:
    return bool((after - before).norm() <= TOLERANCE * before.norm())
