"""Defines heads that turn tokens into anomaly maps, and their losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.scoring import image_score
from adframe.models.shared_step import ratio_of_all

Loss = Literal["focal_dice", "confidence"]
FOCAL_GAMMA = 2.0  # Lin et al., ICCV 2017
# Share of a map's largest logits that make the logit of the image.
TOP_LOGIT_SHARE = 0.01


class DenseHead(nn.Module):
    """Decodes the patch tokens of several blocks with convolutions, at twice the patch grid.

    Args:
        width: channels of a token.
        layers: number of blocks whose tokens are used.
        hidden: channels inside, a multiple of 8.

    Example:
        >>> head = DenseHead(16, layers=2, hidden=8)
        >>> head([torch.rand(1, 12, 16), torch.rand(1, 12, 16)], grid=(3, 4)).shape
        torch.Size([1, 1, 6, 8])
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
        """Computes the anomaly logits.

        Args:
            tokens: (B, h * w, D) of each block.
            grid: (h, w) in patches.

        Returns:
            (B, 1, 2h, 2w) logits.
        """
        normed = [norm(each) for norm, each in zip(self.norms, tokens, strict=True)]
        stacked = torch.cat(normed, dim=2).transpose(1, 2)
        inside = self.middle(self.enter(stacked.reshape(len(stacked), -1, *grid)))
        logits: Tensor = self.leave(F.interpolate(inside, scale_factor=2, mode="bilinear"))
        return logits


class TokenHead(nn.Module):
    """Applies the study's anomaly head, D -> 512 -> 256 -> 1, to each patch token of the last block.

    Args:
        width: channels of a token.

    Example:
        >>> TokenHead(16)([torch.rand(1, 12, 16)], grid=(3, 4)).shape
        torch.Size([1, 1, 3, 4])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
            nn.Linear(256, 1),
        )  # fmt: skip

    def forward(self, tokens: Sequence[Tensor], *, grid: tuple[int, int]) -> Tensor:
        """Computes the anomaly logits.

        Args:
            tokens: (B, h * w, D) of each block; only the last is used.
            grid: (h, w) in patches.

        Returns:
            (B, 1, h, w) logits.
        """
        logits: Tensor = self.layers(tokens[-1]).transpose(1, 2)
        return logits.reshape(len(logits), 1, *grid)


class Bottlenecks(nn.Module):
    """Adds parallel residual bottlenecks of several widths to tokens (v1.3 of the study).

    Args:
        width: channels of a token.
        sizes: widths of the bottlenecks, such as 128, 256, 512.

    Example:
        >>> tokens = torch.rand(1, 4, 16)
        >>> bool((Bottlenecks(16, sizes=[8, 4])(tokens) == tokens).all())  # before training
        True
    """

    def __init__(self, width: int, *, sizes: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(width, size), nn.GELU(), nn.Linear(size, width)) for size in sizes
        )
        for branch in self.branches:
            last = branch[-1]  # type: ignore[index]
            nn.init.zeros_(last.weight)  # starts as the identity
            nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Adds the mean of the bottlenecks.

        Args:
            tokens: (B, N, D).

        Returns:
            (B, N, D).
        """
        added = torch.stack([branch(tokens) for branch in self.branches]).mean(0)
        return tokens + added


class Guide(nn.Module):
    """Weights patch tokens by the class token's attention to them (v1.4 of the study).

    Args:
        width: channels of a token.

    Example:
        >>> Guide(16)(torch.rand(1, 4, 16), whole=torch.rand(1, 16)).shape
        torch.Size([1, 4, 16])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        # Starts with equal attention to all patches.
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.query.bias)

    def forward(self, tokens: Tensor, *, whole: Tensor) -> Tensor:
        """Weights patch tokens.

        Args:
            tokens: (B, N, D) patch tokens.
            whole: (B, D) class tokens.

        Returns:
            (B, N, D), with weights of mean 1.
        """
        attention = (self.key(tokens) @ self.query(whole)[:, :, None])[..., 0] / tokens.shape[2] ** 0.5
        weights: Tensor = attention.softmax(dim=1) * tokens.shape[1]  # mean 1
        return tokens * weights[:, :, None]


def image_logit(logits: Tensor) -> Tensor:
    """Computes the logit of an image as the mean of its largest logits.

    Args:
        logits: (B, 1, h, w).

    Returns:
        (B,).
    """
    return image_score(logits, top_share=TOP_LOGIT_SHARE)


def anomaly_losses(
    logits: Tensor, *, mask: Tensor, label: Tensor, kind: Loss, temperature: float
) -> dict[str, Tensor]:
    """Computes named losses of maps and images.

    `focal_dice`: focal and dice loss on pixels, L1 between probabilities and mask, focal loss on images.
    `confidence`: cross-entropy of logits over `temperature`, each pixel and image weighted by its confidence,
    1 + |2 p - 1|, so that confident mistakes cost most.

    Args:
        logits: (B, 1, h, w).
        mask: (B, 1, H, W) in {0, 1}; resized to the logits as shares of area.
        label: (B,) 1 for anomalous images.
        kind: `focal_dice` or `confidence`.
        temperature: of `confidence`, above 0.

    Returns:
        Losses by name.

    Raises:
        AdframeError: if the kind is unknown.
    """
    truth = F.adaptive_avg_pool2d(mask, (logits.shape[-2], logits.shape[-1]))
    whole = image_logit(logits)
    if kind == "confidence":
        return {
            "pixel": _confidence_loss(logits / temperature, truth),
            "image": _confidence_loss(whole / temperature, label),
        }
    if kind != "focal_dice":
        raise AdframeError(f"model.loss={kind} is not possible; it must be focal_dice or confidence")
    probability = logits.sigmoid()
    both, either = (probability * truth).sum((1, 2, 3)), (probability + truth).sum((1, 2, 3))
    dice = 1 - (2 * both + 1) / (either + 1)
    return {
        "focal": 5 * _focal_loss(logits, truth),
        # It is meaningless for normal images.
        "dice": ratio_of_all((dice * label).sum(), label.sum()),
        "l1": (probability - truth).abs().mean(),
        "image": _focal_loss(whole, label),
    }


def _focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    missed = (truth - logits.sigmoid()).abs() ** FOCAL_GAMMA
    return (missed * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean()


def _confidence_loss(logits: Tensor, truth: Tensor) -> Tensor:
    weight = 1 + (2 * logits.sigmoid() - 1).abs().detach()
    return (weight * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean()
