"""Computes the contrastive loss of group masked model learning: an image and its masked version against
others.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.models.vit import Vit

# SiT, arXiv 2104.03602, section 3.2.
TEMPERATURE, MOMENTUM = 0.2, 0.996
EMBEDDING = 256


class Contrast(nn.Module):
    """Computes InfoNCE between the class tokens of the masked image and of the whole image, by an EMA
    teacher.

    Warning: keep its weight small. The normal images of one product are nearly equal, and this term pushes
    every two of them apart: it trains the network to distinguish normal parts, which should look alike to it.

    Args:
        vit: the trained network; the teacher starts as its copy.

    Example:
        >>> vit = Vit("test_vit", source="random")
        >>> contrast = Contrast(vit)
        >>> contrast(torch.rand(2, vit.width), torch.rand(2, 3, 64, 64)).ndim
        0
    """

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(vit.width, vit.width), nn.GELU(), nn.Linear(vit.width, EMBEDDING))
        self.teacher = copy.deepcopy(vit).requires_grad_(False)
        self.teacher_head = copy.deepcopy(self.head).requires_grad_(False)

    @torch.no_grad()
    def follow(self, vit: Vit) -> None:
        """Moves the teacher slightly towards the student.

        Args:
            vit: the student.
        """
        for slow, fast in ((self.teacher, vit), (self.teacher_head, self.head)):
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, 1 - MOMENTUM)

    def forward(self, masked: Tensor, normal: Tensor) -> Tensor:
        """Computes the mean loss over the batch.

        Args:
            masked: (B, D) class tokens of masked images, by the student.
            normal: (B, 3, H, W) the same images unmasked, normalised.

        Returns:
            A scalar.
        """
        own = F.normalize(self.head(masked), dim=1)
        with torch.no_grad():
            whole = F.normalize(self.teacher_head(self.teacher(normal)[:, 0]), dim=1)
        return F.cross_entropy(own @ whole.T / TEMPERATURE, torch.arange(len(own), device=own.device))
