"""Reconstructs patch tokens of a frozen transformer and scores by their cosine distance: what Dinomaly and
INP-Former have in common.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import IMAGE, Batch, Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.lora import AnyVit
from adframe.models.scoring import image_score
from adframe.models.seeded_training import SeededTraining
from adframe.ops.smoothing import heatmap

# Width of an attention head in the transformers of DINOv2 (and of ViT-S, B and L).
HEAD_WIDTH = 64
# Of the truncated normal from which Dinomaly and INP-Former draw initial weights.
INITIAL_STD = 0.01
Groups = int | Literal["each"]


@dataclass(frozen=True, kw_only=True)
class MapScoring:
    """Configures how distances of tokens become heatmaps and image scores.

    Args:
        sigma: standard deviation of the Gaussian smoothing, in pixels of the network's input, 0 or more.
        top_share: image score: 0 takes the largest pixel, 1 the mean of all, otherwise the mean of this share
            of the largest.

    Raises:
        AdframeError: if a value is out of range.

    Example:
        >>> prediction = MapScoring(sigma=1.0).predict(torch.rand(2, 1, 4, 4), size=(32, 32))
        >>> prediction.score.shape, prediction.heatmap.shape
        (torch.Size([2]), torch.Size([2, 1, 32, 32]))
    """

    sigma: float = 4.0
    top_share: float = 0.01

    def __post_init__(self) -> None:
        if not at_least(self.sigma, 0) or not 0 <= self.top_share <= 1:
            raise AdframeError(
                f"model.scoring.sigma={self.sigma} must be 0 or more, "
                f"model.scoring.top_share={self.top_share} from 0 to 1"
            )

    def predict(self, grid: Tensor, *, size: tuple[int, int]) -> Prediction:
        """Computes heatmaps and scores.

        Args:
            grid: (B, 1, h, w) distances of patches.
            size: (H, W) of the heatmap in pixels.

        Returns:
            Scores (B,) and heatmaps (B, 1, H, W).
        """
        maps = heatmap(grid, size=size, sigma=self.sigma)
        return Prediction(image_score(maps, top_share=self.top_share), maps)


class TokenReconstruction(SeededTraining):
    """Trains a decoder to reconstruct the tokens of normal images after several blocks of a frozen encoder.

    Tokens are compared as means over groups of blocks, and only their directions count. A point is a patch of
    an image; the gradient of points that are reconstructed well already is reduced, which keeps the decoder
    from learning the identity.

    Args:
        vit: the encoder with its weights; it stays unchanged.
        scoring: configures heatmaps and image scores.
        blocks: blocks whose patch tokens are reconstructed, counted from 0, ascending; None takes the middle
            ones (see `middle_blocks`).
        groups: number of groups of consecutive blocks, or `each` for every block by itself.
        recentre: whether the class token is subtracted from patch tokens, which are then layer-normed.
        seed: seed of the random draws in training.

    Raises:
        AdframeError: if a setting is not possible.

    Example:
        >>> from adframe.models.dinomaly import Dinomaly
        >>> from adframe.models.vit import Vit
        >>> model = Dinomaly(Vit("test_vit", source="random"), scoring=MapScoring())
        >>> isinstance(model, TokenReconstruction), model.blocks
        (True, [1, 2, 3, 4])
    """

    def __init__(
        self,
        vit: AnyVit,
        *,
        scoring: MapScoring,
        blocks: Sequence[int] | None,
        groups: Groups,
        recentre: bool,
        seed: int,
    ) -> None:
        super().__init__(seed=seed)
        self.blocks = middle_blocks(vit.depth) if blocks is None else list(blocks)
        ascending = self.blocks == sorted(set(self.blocks))
        if not self.blocks or not ascending or not 0 <= self.blocks[0] <= self.blocks[-1] < vit.depth:
            raise AdframeError(
                f"model.blocks={self.blocks} must name blocks from 0 to {vit.depth - 1} of {vit.name} in "
                "ascending order"
            )
        if recentre and not vit.has_class_token:
            raise AdframeError(
                f"model.recentre=true: {vit.name} has no class token; set model.recentre=false"
            )
        self.groups_of_layers = layer_groups(len(self.blocks), groups)
        self.vit, self.scoring, self.recentre = vit, scoring, recentre
        vit.requires_grad_(False).eval()

    @abstractmethod
    def reconstruct(self, targets: Sequence[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Reconstructs tokens.

        Args:
            targets: (B, N, D) of each block.

        Returns:
            (B, N, D) of each block in the same order, and further losses by name.
        """

    @abstractmethod
    def gradient_factors(self, distance: Tensor) -> Tensor:
        """Returns the factor of the gradient of each point.

        Args:
            distance: (B, N) cosine distances, without gradient.

        Returns:
            (B, N).
        """

    @property
    def backbone(self) -> AnyVit:
        """Returns the encoder, whose name a checkpoint stores."""
        return self.vit

    @property
    def frozen(self) -> set[str]:
        """Returns the names of the tensors that come from the encoder's own weights."""
        return {f"vit.{name}" for name in self.vit.state_dict()}

    def train(self, mode: bool = True) -> TokenReconstruction:
        """Switches the mode of everything but the encoder.

        Args:
            mode: whether to train.

        Returns:
            The model.
        """
        super().train(mode)
        self.vit.eval()
        return self

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images by the mean distance over the groups.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        targets = self.encode(image)
        rebuilt, _ = self.reconstruct(targets)
        size = (image.shape[-2], image.shape[-1])
        with torch.autocast(image.device.type, enabled=False):
            distance = mean_of([cosine_distance(a, b) for a, b in self._pairs(targets, rebuilt)])  # (B, N)
            grid = distance.view(len(image), 1, size[0] // self.vit.patch, size[1] // self.vit.patch)
            return self.scoring.predict(grid, size=size)

    @torch.no_grad()
    def encode(self, image: Tensor) -> list[Tensor]:
        """Computes the patch tokens that are reconstructed.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, N, D) of each block.
        """
        found = self.vit.with_class(self.vit.normalise(image), blocks=self.blocks)
        if not self.recentre:
            return [patches for _, patches in found]
        return [F.layer_norm(patches - whole, patches.shape[-1:]) for whole, patches in found]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of a batch.

        Args:
            batch: with `image` (B, 3, H, W).

        Returns:
            Losses by name.
        """
        targets = self.encode(batch[IMAGE])
        rebuilt, others = self.reconstruct(targets)
        with torch.autocast(batch[IMAGE].device.type, enabled=False):
            losses = [
                reconstruction_loss(target, own, factors=self.gradient_factors)
                for target, own in self._pairs(targets, rebuilt)
            ]
            return {"reconstruction": mean_of(losses)} | others

    def _pairs(self, targets: Sequence[Tensor], rebuilt: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Returns the means (B, N, D) of each group of blocks, in float32."""
        return [
            (mean_of([targets[i] for i in group]).float(), mean_of([rebuilt[i] for i in group]).float())
            for group in self.groups_of_layers
        ]


def middle_blocks(depth: int) -> list[int]:
    """Returns the blocks that Dinomaly reads: 2 to 9 of 12, and the same shares of another depth.

    Args:
        depth: number of blocks.

    Returns:
        Ascending numbers, counted from 0; fewer than eight for a shallow network.

    Example:
        >>> middle_blocks(12), middle_blocks(24)
        ([2, 3, 4, 5, 6, 7, 8, 9], [4, 6, 8, 10, 12, 14, 16, 18])
    """
    return sorted({place * depth // 12 for place in range(2, 10)})


def layer_groups(count: int, groups: Groups) -> list[list[int]]:
    """Divides layers into groups of consecutive ones, whose sizes differ by one at most.

    Args:
        count: number of layers.
        groups: number of groups, or `each`.

    Returns:
        Positions of the layers of each group.

    Raises:
        AdframeError: if there are fewer layers than groups.

    Example:
        >>> layer_groups(8, 2)
        [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    number = count if groups == "each" else int(groups)
    if not 1 <= number <= count:
        raise AdframeError(f"model.groups={groups} must be each, or from 1 to {count}, the number of blocks")
    return [part.tolist() for part in np.array_split(np.arange(count), number)]


def mean_of(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the mean of tensors of one shape, without a copy of all of them.

    Args:
        tensors: one or more.
    """
    return sum(tensors[1:], tensors[0]) / len(tensors)


def cosine_distance(target: Tensor, rebuilt: Tensor) -> Tensor:
    """Computes 1 - cosine of each pair of tokens.

    Args:
        target: (B, N, D).
        rebuilt: (B, N, D).

    Returns:
        (B, N), from 0 to 2.
    """
    return 1 - F.cosine_similarity(target, rebuilt, dim=2)


def reconstruction_loss(target: Tensor, rebuilt: Tensor, *, factors: Callable[[Tensor], Tensor]) -> Tensor:
    """Computes 1 - cosine of flattened feature maps, averaged over images, and scales the points' gradients.

    The value of the loss does not depend on the factors, only its gradient does (Dinomaly's hard mining).

    Args:
        target: (B, N, D).
        rebuilt: (B, N, D).
        factors: returns the factor of the gradient of each point (B, N) from the distances (B, N).

    Returns:
        A scalar.
    """
    if rebuilt.requires_grad:
        weights = factors(cosine_distance(target, rebuilt.detach()))[..., None]
        rebuilt.register_hook(lambda gradient: gradient * weights)  # type: ignore[no-untyped-call]
    return (1 - F.cosine_similarity(target.flatten(1), rebuilt.flatten(1), dim=1)).mean()


def initialise(module: nn.Module) -> None:
    """Draws the weights of all linear layers from a truncated normal, and sets biases to 0.

    Args:
        module: changed in place.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=INITIAL_STD, a=-3 * INITIAL_STD, b=3 * INITIAL_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def heads_of(width: int) -> int:
    """Returns the number of attention heads of a decoder.

    Args:
        width: channels of a token.
    """
    return width // HEAD_WIDTH if width >= HEAD_WIDTH and width % HEAD_WIDTH == 0 else 1
