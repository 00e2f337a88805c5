"""Turns reconstructions into heatmaps and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adframe.errors import AdframeError, at_least
from adframe.models.normalizer import Normalisation
from adframe.ops.block_masks import complementary_masks


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Configures the scores of masked images.

    Args:
        blocks: sides of the hidden blocks in patches; the image is reconstructed once for each, and errors
            are averaged.
        masks: number of complementary masks per block size; each hides 1 / masks of the image.
        shifted: whether to reconstruct once more with blocks moved by half their side, for blocks above 1.
        l1: weight of the mean absolute error.
        gradient: weight of the multi-scale gradient dissimilarity.
        nll: weight of the negative log-likelihood, for colour tokens.
        features: weight of the cosine distance between reconstructed and true tokens, for tokens as target.
        tokens: weight of the cosine distance between tokens of the image and of its reconstruction.
        token_blocks: transformer blocks after which they are compared, counted from 0.
        token_network: `adapted`, or `starting`: the network before training.
        normalisation: normalisation of each error by held-out normal images, before they are added.
        sigma: standard deviation of the Gaussian on the errors, in pixels of the network's view.
        top_share: image score: 0 takes the largest pixel, 1 the mean of all, otherwise the mean of this share
            of the largest.
        chunk: number of masked images per pass of the network.

    Raises:
        AdframeError: if a value is not possible.

    Example:
        >>> Scoring(nll=0.0).weights(["l1", "gradient"])
        {'l1': 1.0, 'gradient': 1.0}
    """

    blocks: Sequence[int] = (1, 2, 4)
    masks: int = 2
    shifted: bool = False
    l1: float = 1.0
    gradient: float = 1.0
    nll: float = 1.0
    features: float = 1.0
    tokens: float = 0.0
    token_blocks: Sequence[int] = ()
    token_network: Literal["adapted", "starting"] = "adapted"
    normalisation: Normalisation = "global"
    sigma: float = 4.0
    top_share: float = 0.01
    chunk: int = 32

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, bad in (
                ("blocks must be whole numbers above 0", not self.blocks or min(self.blocks) < 1),
                ("masks must be 2 or more", self.masks < 2),
                (
                    "weights must be finite, 0 or more",
                    not all(
                        at_least(w, 0) for w in (self.l1, self.gradient, self.nll, self.features, self.tokens)
                    ),
                ),
                (
                    "token_blocks must name some where tokens > 0",
                    self.tokens > 0 and not self.token_blocks,
                ),
                ("sigma must be finite, 0 or more", not at_least(self.sigma, 0)),
                ("top_share must be from 0 to 1", not 0 <= self.top_share <= 1),
                ("chunk must be above 0", self.chunk < 1),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"model.scoring.{text}" for text in wrong))

    def weights(self, terms: Sequence[str]) -> dict[str, float]:
        """Returns the errors with a weight above 0, by name: those of a target, and of tokens.

        Args:
            terms: names of the target's errors.

        Returns:
            Weights by name.

        Raises:
            AdframeError: if all weights are 0.
        """
        weights = {name: float(getattr(self, name)) for name in (*terms, "tokens")}
        if not any(weights.values()):
            raise AdframeError(f"model.scoring: one of {', '.join(weights)} must be above 0")
        return {name: weight for name, weight in weights.items() if weight}

    def covers(self, grid: tuple[int, int]) -> list[Tensor]:
        """Returns the masks of every pass over the image; each pass hides every patch exactly once.

        Args:
            grid: (h, w) in patches.

        Returns:
            (K, h, w) bool per pass.

        Raises:
            AdframeError: if every pass would hide the whole image at once.
        """
        places = [(block, 0) for block in self.blocks]
        if self.shifted:
            places += [(block, block // 2) for block in self.blocks if block > 1]
        covers = [complementary_masks(grid, block=b, masks=self.masks, offset=offset) for b, offset in places]
        # A single mask would hide everything.
        fitting = [each for each in covers if len(each) > 1]
        if not fitting:
            raise AdframeError(
                f"model.scoring.blocks={list(self.blocks)} hide everything on a grid of "
                f"{grid[0]}x{grid[1]} patches; choose smaller ones or a larger image_size"
            )
        return fitting


def image_score(maps: Tensor, *, top_share: float) -> Tensor:
    """Computes image scores from maps.

    Args:
        maps: (B, 1, H, W).
        top_share: 0 takes the largest pixel, otherwise the mean of this share of the largest.

    Returns:
        (B,).
    """
    count = max(1, round(top_share * maps[0].numel()))
    return torch.topk(maps.flatten(1), count, sorted=False).values.mean(dim=1)
