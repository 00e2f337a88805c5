"""What turns tokens into anomaly maps, and what teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.scoring import image_score

Loss = Literal["focal_dice", "confidence"]
GAMMA = 2.0  # of the focal loss (Lin et al., ICCV 2017)
SHARE = 0.01  # of a map's largest logits that speak for the image


class DenseHead(nn.Module):
    """A small convolutional decoder over several blocks' patch tokens, at twice the patch grid.

    Args:
        width: channels of a token.
        layers: how many blocks' tokens come.
        hidden: channels inside.
    """

    def __init__(self, width: int, *, layers: int, hidden: int = 128) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.enter = nn.Conv2d(width * layers, hidden, 1)
        self.middle = nn.Sequential(
            nn.GroupNorm(8, hidden), nn.GELU(), nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.GroupNorm(8, hidden), nn.GELU(),
        )  # fmt: skip
        self.leave = nn.Conv2d(hidden, 1, 3, padding=1)

    def forward(self, tokens: Sequence[Tensor], *, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, D) of each block to logits (B, 1, 2h, 2w)."""
        normed = [norm(each) for norm, each in zip(self.norms, tokens, strict=True)]
        stacked = torch.cat(normed, dim=2).transpose(1, 2)
        inside = self.middle(self.enter(stacked.reshape(len(stacked), -1, *grid)))
        logits: Tensor = self.leave(F.interpolate(inside, scale_factor=2, mode="bilinear"))
        return logits


class TokenHead(nn.Module):
    """The study's anomaly head, D -> 512 -> 256 -> 1, on each patch token of the last block by itself.

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
            nn.Linear(256, 1),
        )  # fmt: skip

    def forward(self, tokens: Sequence[Tensor], *, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, D) of each block to logits (B, 1, h, w)."""
        logits: Tensor = self.layers(tokens[-1]).transpose(1, 2)
        return logits.reshape(len(logits), 1, *grid)


class Bottlenecks(nn.Module):
    """Residual bottlenecks of several widths beside each other, on tokens (v1.3 of the study).

    Args:
        width: channels of a token.
        sizes: of the bottlenecks, such as 128, 256, 512.
    """

    def __init__(self, width: int, *, sizes: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(width, size), nn.GELU(), nn.Linear(size, width)) for size in sizes
        )
        for branch in self.branches:
            last = branch[-1]  # type: ignore[index]
            nn.init.zeros_(last.weight)  # nothing has changed before it learns
            nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        added = torch.stack([branch(tokens) for branch in self.branches]).mean(0)
        return tokens + added


class Guide(nn.Module):
    """Weighs patch tokens by the class token's attention to them (v1.4 of the study).

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.query.weight)  # starts with equal attention
        nn.init.zeros_(self.query.bias)

    def forward(self, tokens: Tensor, *, whole: Tensor) -> Tensor:
        """(B, N, D) patch tokens, weighed; `whole` is the class token (B, D)."""
        attention = (self.key(tokens) @ self.query(whole)[:, :, None])[..., 0] / tokens.shape[2] ** 0.5
        weights: Tensor = attention.softmax(dim=1) * tokens.shape[1]  # mean 1
        return tokens * weights[:, :, None]


def image_logit(logits: Tensor) -> Tensor:
    """(B, 1, h, w) to (B,): the mean of the largest."""
    return image_score(logits, top_share=SHARE)


def anomaly_losses(
    logits: Tensor, *, mask: Tensor, label: Tensor, kind: Loss, temperature: float
) -> dict[str, Tensor]:
    """Named terms for maps and images.

    `focal_dice`: focal and dice loss on pixels, L1 between probabilities and mask, focal loss on
    images. `confidence`: cross-entropy of logits over `temperature`, each pixel and image weighted by
    how sure it is, 1 + |2 p - 1|, so that sure mistakes cost most.

    Args:
        logits: (B, 1, h, w).
        mask: (B, 1, H, W) in {0, 1}; brought to the logits' size as shares of area.
        label: (B,) 1 for anomalous images.
        kind: which of the two.
        temperature: of `confidence`.
    """
    truth = F.adaptive_avg_pool2d(mask, (logits.shape[-2], logits.shape[-1]))
    whole = image_logit(logits)
    if kind == "confidence":
        return {
            "pixel": _confident(logits / temperature, truth),
            "image": _confident(whole / temperature, label),
        }
    if kind != "focal_dice":
        raise AdframeError(f"model.loss={kind} is not possible; it is focal_dice or confidence")
    probability = logits.sigmoid()
    both, either = (probability * truth).sum((1, 2, 3)), (probability + truth).sum((1, 2, 3))
    dice = 1 - (2 * both + 1) / (either + 1)
    return {
        "focal": 5 * _focal(logits, truth),
        "dice": (dice * label).sum() / label.sum().clamp(min=1),  # of a normal image it says nothing
        "l1": (probability - truth).abs().mean(),
        "image": _focal(whole, label),
    }


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    missed = (truth - logits.sigmoid()).abs() ** GAMMA
    return (missed * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean()


def _confident(logits: Tensor, truth: Tensor) -> Tensor:
    weight = 1 + (2 * logits.sigmoid() - 1).abs().detach()
    return (weight * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean()
