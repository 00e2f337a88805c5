"""Several frozen networks as one backbone, whose feature maps stand next to each other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone, no_class_token_error


class Ensemble(nn.Module):
    """Computes the feature maps of several networks, such as a convolutional one and a vision transformer.

    A memory bank takes them as the layers of one network: they are resized to the finest grid and
    concatenated. The scales of different networks' features have nothing to do with each other, so that the
    features of every layer should be whitened (`model.reduce=whiten`): distances in the common bank are then
    Mahalanobis distances, to which each layer contributes alike (MH-PatchCore; UniSLAD, arXiv 2606.20768).

    Args:
        members: the networks by name; two or more.
        name: name in tables and checkpoints; None joins those of the networks.

    Raises:
        AdframeError: if there are fewer than two networks.

    Attributes:
        layers: names of all layers, as `<member>.<layer>`.
        digest: hash of all weights.
        trunk: None, because there are several networks.

    Example:
        >>> cnn = TimmBackbone("test_resnet", layers=["layer2"], source="random")
        >>> vit = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
        >>> backbone = Ensemble({"cnn": cnn, "vit": vit})
        >>> backbone.layers
        ['cnn.layer2', 'vit.blocks.1']
        >>> [tuple(features.shape[2:]) for features in backbone(torch.rand(1, 3, 64, 64))]
        [(8, 8), (4, 4)]
    """

    trunk = None

    def __init__(self, members: Mapping[str, TimmBackbone], *, name: str | None = None) -> None:
        super().__init__()
        if len(members) < 2:
            raise AdframeError(
                f"backbone.members={list(members)} must be two networks or more; a single one has its own "
                "backbone=, such as backbone=resnet18"
            )
        self.members = nn.ModuleDict(members)
        self.name = name or "+".join(member.name for member in members.values())
        self.layers = [f"{key}.{layer}" for key, member in members.items() for layer in member.layers]
        digests = " ".join(f"{key} {member.digest}" for key, member in members.items())
        self.digest = hashlib.sha256(digests.encode()).hexdigest()
        self.origin = "; ".join(
            f"{key}: {getattr(member, 'origin', member.name)}" for key, member in members.items()
        )
        # Sizes that all networks take as they are; a convolutional one resizes others to its own stride.
        self.patch = math.lcm(*(int(member.patch) for member in members.values()))
        self.stride = math.lcm(*(int(member.stride) for member in members.values()))

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Computes the feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, C, h, w) float32 map per layer, in the order of `layers`; their grids differ.

        Raises:
            AdframeError: if a network cannot take images of this size.
        """
        return [features for member in self.members.values() for features in member(image)]

    def with_class_token(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Refuses methods that compare images by a class token.

        Args:
            image: not used.

        Raises:
            AdframeError: always, because there is not one class token.
        """
        del image
        raise no_class_token_error(self.name)
