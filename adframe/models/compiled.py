"""Compiles the networks of a method with torch.compile."""

from __future__ import annotations

import os
import shutil

from torch import nn

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.vit import Vit

# What torch.compile calls for code of the processor, in the order in which it looks.
_COMPILERS = ("g++", "clang++", "cl")


def compile_networks(detector: nn.Module) -> int:
    """Lets torch.compile translate the networks of a method, when each is called for the first time.

    Frozen networks are compiled as a whole, with their weights as constants. Of a vision transformer that
    is trained, or whose blocks a method calls, each block is compiled. All other layers stay as they are.

    Args:
        detector: the method.

    Returns:
        Number of networks that will be compiled.

    Raises:
        AdframeError: this machine has no C++ compiler, which torch.compile requires.
    """
    networks = [each for each in detector.modules() if isinstance(each, TimmBackbone | Vit)]
    if networks and not any(map(shutil.which, (os.environ.get("CXX", ""), *_COMPILERS))):
        raise AdframeError(
            "trainer.compile=true needs a C++ compiler, and none of "
            f"{', '.join(_COMPILERS)} was found; install one, or set trainer.compile=false"
        )
    for network in networks:
        if isinstance(network, TimmBackbone):
            network.compile_maps()
        else:
            for block in network.trunk.blocks:
                block.compile()
    return len(networks)
