"""Three ways from adapted tokens to a score, and their mean in units of held-out normal images."""

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
from adframe.models.normalizer import FEWEST, Normaliser
from adframe.models.patchcore import PatchCore
from adframe.models.token_gaussian import TokenGaussian
from adframe.ops.smoothing import heatmap

WAYS = ("decoder", "mahalanobis", "memory")


@dataclass(frozen=True, kw_only=True)
class TokenScoring:
    """Every choice between adapted tokens and a score.

    Args:
        score: `decoder`: the head's map, its border at most on the scale of its inside (see `Rings`);
            `mahalanobis`: distance of tokens from one Gaussian of held-out normal images'; `memory`:
            distance from the nearest token of a memory bank of training images'; `fused`: the mean of
            all three, each in units of held-out normals.
        coreset: share of tokens that the bank keeps.
        sigma: Gaussian on the map, in pixels of the network's view.
    """

    score: Literal["decoder", "mahalanobis", "memory", "fused"] = "fused"
    coreset: float = 0.1
    sigma: float = 4.0

    def __post_init__(self) -> None:
        if not at_least(self.sigma, 0):
            raise AdframeError(f"model.scoring.sigma={self.sigma} must be a finite number, 0 or more")

    @property
    def ways(self) -> tuple[str, ...]:
        """The scores that are made."""
        return WAYS if self.score == "fused" else (self.score,)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is read of a batch."""

    whole: Tensor  # (B, D) class tokens
    patches: list[Tensor]  # (B, N, D) of each block
    logits: Tensor  # (B, 1, h', w') of the head
    grid: tuple[int, int]  # (h, w), N patches


class Reader(Protocol):
    """Reads images, each batch once however often it is asked."""

    layers: Sequence[str]

    def read(self, image: Tensor) -> Seen: ...

    def forget(self) -> None: ...

    def __call__(self, image: Tensor) -> list[Tensor]: ...  # patch tokens as (B, D, h, w) maps


class TokenScores(nn.Module):
    """Holds a memory bank, two Gaussians, and the scales that let them be added up.

    Args:
        reader: gives tokens and logits.
        scoring: which scores.
        seed: of the coreset.
    """

    def __init__(self, reader: Reader, *, scoring: TokenScoring, seed: int) -> None:
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
        self._described = False  # whether the Gaussians are settled, and scales come next

    @property
    def needs_held_out(self) -> bool:
        """Whether held-out normal images say what is usual."""
        return self.scoring.score != "memory"

    @property
    def min_held_out(self) -> int:
        """Held-out normal images that it needs."""
        return FEWEST if self.needs_held_out else 1

    def collect_held_out(self, image: Tensor) -> None:
        """Takes held-out normal images in: first their tokens, then, to fuse, their scores."""
        if self._described:
            scores, maps = self._said(image, known=True)
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
        """Fixes what was observed; true where it wants to see the images again."""
        if not self._described:
            if "decoder" in self.scoring.ways:
                self.rings.finalise_held_out()
            if "mahalanobis" in self.scoring.ways:
                self.patches.finalise_held_out()
                self.wholes.finalise_held_out()
            self._described = self.scoring.score == "fused"
            return self._described
        self.map_scale.finalise_held_out()
        self.score_scale.finalise_held_out()
        self._described = False
        return False

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) to raw scores (B,) and heatmaps (B, 1, H, W)."""
        scores, maps = self._said(image, known=False)
        if self.scoring.score == "fused":
            scores, maps = self.score_scale(scores), self.map_scale(maps)
        return Prediction(scores.mean((1, 2, 3)), maps.mean(1, keepdim=True))

    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """The same for images that were observed, each left out of what it is compared with."""
        scores, maps = self._said(image, known=self.needs_held_out)
        if self.scoring.score == "fused":
            scores, maps = self.score_scale.leaving_out(scores), self.map_scale.leaving_out(maps)
        return Prediction(scores.mean((1, 2, 3)), maps.mean(1, keepdim=True))

    def _said(self, image: Tensor, *, known: bool) -> tuple[Tensor, Tensor]:
        """Scores (B, T, 1, 1) and maps (B, T, H, W) of the ways in use; `known` images were observed."""
        said = [self._say(way, image, known=known) for way in self.scoring.ways]
        scores = torch.stack([each.score.float() for each in said], dim=1)
        return scores[:, :, None, None], torch.cat([each.heatmap for each in said], dim=1)

    def _say(self, way: str, image: Tensor, *, known: bool) -> Prediction:
        if way == "memory":
            assert self.memory is not None
            remembered: Prediction = self.memory(image)
            return remembered
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
