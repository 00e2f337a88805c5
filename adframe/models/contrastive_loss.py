"""The contrastive half of group masked model learning: an image and its masked self against the others."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.models.vit import Vit

TEMPERATURE, MOMENTUM = 0.2, 0.996  # SiT, arXiv 2104.03602, section 3.2
EMBEDDING = 256


class Contrast(nn.Module):
    """InfoNCE between the masked image's class token and the whole image's, seen by an EMA teacher.

    Warning: keep its weight small. The normal images of one product are nearly equal, and this
    term pushes every two of them apart: it teaches the network to tell normal parts from each
    other, when they should look alike to it.

    Args:
        vit: the network that learns; the teacher starts as its copy.
    """

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(vit.width, vit.width), nn.GELU(), nn.Linear(vit.width, EMBEDDING))
        self.teacher = copy.deepcopy(vit).requires_grad_(False)
        self.teacher_head = copy.deepcopy(self.head).requires_grad_(False)

    @torch.no_grad()
    def follow(self, vit: Vit) -> None:
        """Moves the teacher a little towards the student."""
        for slow, fast in ((self.teacher, vit), (self.teacher_head, self.head)):
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, 1 - MOMENTUM)

    def forward(self, masked: Tensor, normal: Tensor) -> Tensor:
        """Mean loss over the batch.

        Args:
            masked: (B, D) the student's class tokens of masked images.
            normal: (B, 3, H, W) the same images whole, normalised.
        """
        own = F.normalize(self.head(masked), dim=1)
        with torch.no_grad():
            whole = F.normalize(self.teacher_head(self.teacher(normal)[:, 0]), dim=1)
        return F.cross_entropy(own @ whole.T / TEMPERATURE, torch.arange(len(own), device=own.device))
