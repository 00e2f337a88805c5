"""Computes three scores from adapted tokens, and their mean in units of held-out normal images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from adframe.contracts import Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.anomaly_heads import image_logit
from adframe.models.border_scales import Rings
from adframe.models.memory import Greedy
from adframe.models.normalizer import MIN_HELD_OUT, Normaliser
from adframe.models.patchcore import PatchCore
from adframe.models.token_gaussian import TokenGaussian
from adframe.ops.smoothing import heatmap

SCORE_KINDS = ("decoder", "mahalanobis", "memory")


@dataclass(frozen=True, kw_only=True)
class TokenScoring:
    """Configures the scores of adapted tokens.

    Args:
        score: `decoder`: the head's map, with its border lowered to the scale of its inside (see
            `Rings`); `mahalanobis`: distance of tokens from one Gaussian of held-out normal images;
            `memory`: distance from the nearest token of a memory bank of training images; `fused`: the mean
            of all three, each in units of held-out normal images.
        coreset: share of tokens that the bank keeps, in (0, 1].
        sigma: standard deviation of the Gaussian on the map, in pixels of the network's view.
        norm: whether patch tokens of the bank and of the Gaussian pass the network's final LayerNorm, as
            backbones with `norm=true` do. A few channels of DINOv2's plain tokens are so large that they
            decide every distance.

    Raises:
        AdframeError: if `sigma` is out of range.

    Example:
        >>> TokenScoring(score="fused").ways
        ('decoder', 'mahalanobis', 'memory')
    """

    score: Literal["decoder", "mahalanobis", "memory", "fused"] = "fused"
    coreset: float = 0.1
    sigma: float = 4.0
    norm: bool = False

    def __post_init__(self) -> None:
        if not at_least(self.sigma, 0):
            raise AdframeError(f"model.scoring.sigma={self.sigma} must be a finite number, 0 or more")

    @property
    def ways(self) -> tuple[str, ...]:
        """Returns the scores that are computed."""
        return SCORE_KINDS if self.score == "fused" else (self.score,)


@dataclass(frozen=True, slots=True)
class TokenFeatures:
    """The tokens and logits of a batch.

    Attributes:
        whole: (B, D) class tokens.
        patches: (B, N, D) patch tokens of each block, layer-normed where the scoring says so.
        logits: (B, 1, h', w') logits of the head.
        grid: (h, w), with N = h * w.
    """

    whole: Tensor
    patches: list[Tensor]
    logits: Tensor
    grid: tuple[int, int]


class TokenReader(Protocol):
    """Reads images, each batch once however often it is requested.

    Example:
        >>> class Constant:
        ...     layers = ("blocks.0",)
        ...     def forget(self): ...
        >>> TokenReader.forget(Constant())
    """

    layers: Sequence[str]

    def read(self, image: Tensor) -> TokenFeatures: ...

    def forget(self) -> None: ...

    def __call__(self, image: Tensor) -> list[Tensor]: ...  # patch tokens as (B, D, h, w) maps


class TokenScores(nn.Module):
    """Holds a memory bank, two Gaussians, and the scales by which scores can be added.

    Args:
        reader: computes tokens and logits.
        scoring: configures the scores.
        seed: seed of the coreset.

    Example:
        >>> from adframe.models.dino_lora import DinoLora
        >>> from adframe.models.lora import Lora
        >>> from adframe.models.vit import Vit
        >>> vit = Vit("test_vit", source="random")
        >>> model = DinoLora(vit, lora=Lora(rank=2), scoring=TokenScoring(score="decoder"))
        >>> model.scores.needs_held_out, model.scores.memory
        (True, None)
    """

    def __init__(self, reader: TokenReader, *, scoring: TokenScoring, seed: int) -> None:
        super().__init__()
        self.scoring, self.reader = scoring, reader
        features: Any = reader
        self.memory = (
            PatchCore(
                features, coreset=scoring.coreset, memory=partial(Greedy), sigma=scoring.sigma, seed=seed,
                neighbourhood=1,
            )
            if "memory" in scoring.ways else None
        )  # fmt: skip
        self.patches, self.wholes = TokenGaussian(), TokenGaussian()  # of patch tokens, of class tokens
        self.map_scale, self.score_scale = Normaliser("global", sigma=0.0), Normaliser("global", sigma=0.0)
        self.rings = Rings()  # of the head's map
        # Whether the Gaussians are settled, and scales come next.
        self._gaussians_fitted = False

    @property
    def needs_held_out(self) -> bool:
        """Tells whether scores are scaled by held-out normal images."""
        return self.scoring.score != "memory"

    @property
    def min_held_out(self) -> int:
        """Returns the number of held-out normal images that it requires."""
        return MIN_HELD_OUT if self.needs_held_out else 1

    def collect_held_out(self, image: Tensor) -> None:
        """Collects held-out normal images: first their tokens, then, for `fused`, their scores.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        if self._gaussians_fitted:
            scores, maps = self._all_scores(image, known=True)
            self.map_scale.collect_held_out(maps)
            self.score_scale.collect_held_out(scores)
        else:
            seen = self.reader.read(image)
            if "decoder" in self.scoring.ways:
                self.rings.collect_held_out(seen.logits, cells=seen.logits.shape[-1] // seen.grid[1])
            if "mahalanobis" in self.scoring.ways:
                self.patches.collect_held_out(seen.patches[-1])
                self.wholes.collect_held_out(seen.whole[:, None])

    def finalise_held_out(self) -> bool:
        """Fits Gaussians or scales; returns True where it must collect the images again."""
        if not self._gaussians_fitted:
            if "decoder" in self.scoring.ways:
                self.rings.finalise_held_out()
            if "mahalanobis" in self.scoring.ways:
                self.patches.finalise_held_out()
                self.wholes.finalise_held_out()
            self._gaussians_fitted = self.scoring.score == "fused"
            return self._gaussians_fitted
        self.map_scale.finalise_held_out()
        self.score_scale.finalise_held_out()
        self._gaussians_fitted = False
        return False

    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        scores, maps = self._all_scores(image, known=False)
        if self.scoring.score == "fused":
            scores, maps = self.score_scale(scores), self.map_scale(maps)
        return Prediction(scores.mean((1, 2, 3)), maps.mean(1, keepdim=True))

    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """Scores images that were collected, each without its own contribution.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        scores, maps = self._all_scores(image, known=self.needs_held_out)
        if self.scoring.score == "fused":
            scores, maps = self.score_scale.leaving_out(scores), self.map_scale.leaving_out(maps)
        return Prediction(scores.mean((1, 2, 3)), maps.mean(1, keepdim=True))

    def _all_scores(self, image: Tensor, *, known: bool) -> tuple[Tensor, Tensor]:
        """Returns scores (B, T, 1, 1) and maps (B, T, H, W) of the configured scores; `known` images were
        collected.
        """
        predictions = [self._score_by(way, image, known=known) for way in self.scoring.ways]
        scores = torch.stack([each.score.float() for each in predictions], dim=1)
        return scores[:, :, None, None], torch.cat([each.heatmap for each in predictions], dim=1)

    def _score_by(self, way: str, image: Tensor, *, known: bool) -> Prediction:
        if way == "memory":
            assert self.memory is not None
            prediction: Prediction = self.memory(image)
            return prediction
        seen = self.reader.read(image)
        if way == "decoder":
            grid = self.rings(seen.logits)
            score = image_logit(grid)
        else:
            rate = TokenGaussian.leaving_out if known else TokenGaussian.forward
            grid = rate(self.patches, seen.patches[-1]).view(len(image), 1, *seen.grid)
            score = rate(self.wholes, seen.whole[:, None])[:, 0]
        with torch.autocast(image.device.type, enabled=False):
            size = (image.shape[-2], image.shape[-1])
            return Prediction(score, heatmap(grid.float(), size=size, sigma=self.scoring.sigma))
