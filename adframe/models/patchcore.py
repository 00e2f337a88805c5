"""PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adframe.contracts import AdframeError, Prediction
from adframe.models.backbones import TimmBackbone
from adframe.ops.coreset import Progress, greedy_k_centre
from adframe.ops.neighbours import nearest
from adframe.ops.patches import as_rows, patch_grid
from adframe.ops.smoothing import heatmap
from adframe.ops.spool import Spool


class PatchCore(nn.Module):
    """A memory bank of normal patch features; the distance to the nearest one is the score.

    `collect` every normal image, `finalise`, `release`, then call it. Features wait on disk: memory
    grows with the bank, not with the number of training images.

    Args:
        backbone: gives the feature maps.
        coreset: share of patches that the bank keeps, in (0, 1].
        neighbourhood: odd side of the local averaging window in patches (3 in the paper).
        projection: width of the random projection in which the coreset is selected; None selects
            in the full width. The bank itself always keeps the full features.
        neighbours: b of the density re-weighting (paper, equation 7); 1 switches it off.
        top_share: image score = mean of this share of the largest patch scores; 0 takes the maximum.
        sigma: Gaussian smoothing of the heatmap, in pixels of the network's view.
        limit_mb: most memory that a distance matrix may take.
        seed: draws the projection and the first pick of the coreset.
        spool: folder for the features while they wait; the system's temporary folder where None.
    """

    bank: Tensor
    norms: Tensor
    centre: Tensor

    def __init__(
        self,
        backbone: TimmBackbone,
        *,
        coreset: float,
        neighbourhood: int = 3,
        projection: int | None = None,
        neighbours: int = 9,
        top_share: float = 0.0,
        sigma: float = 4.0,
        limit_mb: int = 256,
        seed: int = 42,
        spool: str | Path | None = None,
    ) -> None:
        super().__init__()
        _check(coreset=coreset, neighbourhood=neighbourhood, neighbours=neighbours, top_share=top_share)
        if (projection is not None and projection < 1) or sigma < 0 or limit_mb < 1:
            raise AdframeError(
                f"model.projection={projection} must be null or above 0, model.sigma={sigma} 0 or more, "
                f"model.limit_mb={limit_mb} 1 or more"
            )
        self.backbone = backbone
        self.coreset, self.neighbourhood, self.projection = coreset, neighbourhood, projection
        self.neighbours, self.top_share, self.sigma = neighbours, top_share, sigma
        self.limit_mb, self.seed, self.spool = limit_mb, seed, spool
        self.progress: Progress | None = None  # told (picked, to pick) while the coreset is selected
        self.register_buffer("bank", torch.empty(0, 0))  # (M, D), centred
        self.register_buffer("norms", torch.empty(0))  # (M,) squared
        self.register_buffer("centre", torch.empty(0))  # (D,) taken off features against cancellation
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]
        self._features: Spool | None = None  # (N, D), centred
        self._projected: Spool | None = None  # (N, d); None where the full width is selected in
        self._matrix: Tensor | None = None  # (D, d)

    def collect(self, image: Tensor) -> None:
        """Takes the patches of normal images (B, 3, H, W) in."""
        rows = as_rows(self._grid(image))  # (B * h * w, D)
        if self._features is None:
            self._features = self._open(rows)
        centred = rows - self.centre
        self._features.append(centred)
        if self._projected is not None and self._matrix is not None:
            self._projected.append(centred @ self._matrix)

    def finalise(self) -> None:
        """Selects the coreset from all patches collected so far."""
        if self._features is None:
            raise RuntimeError("finalise before collect: there are no patches to choose from")
        total = len(self._features)
        count = max(1, round(self.coreset * total))
        if count == total:
            index = torch.arange(total)
        else:
            rows = self._features if self._projected is None else self._projected
            index = greedy_k_centre(rows, count=count, seed=self.seed, progress=self.progress)
        self.bank = self._features.gather(index).to(self.centre.device)  # (M, D)
        self.norms = self.bank.square().sum(1)

    def release(self) -> None:
        """Gives back the disk space of the collected features."""
        for spool in (self._features, self._projected):
            if spool is not None:
                spool.close()
        self._features = self._projected = self._matrix = None

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] to raw scores (B,) and heatmaps (B, 1, H, W)."""
        if not len(self.bank):
            raise RuntimeError("the memory bank is empty: collect and finalise, or load a checkpoint, first")
        grid = self._grid(image)
        batch, _, height, width = grid.shape
        rows = as_rows(grid) - self.centre  # (B * h * w, D)
        distance, index = nearest(rows, self.bank, norms=self.norms, limit_mb=self.limit_mb)
        distances, indices = distance.view(batch, -1), index.view(batch, -1)  # (B, h * w)
        score = self._pool(distances) * self._weight(rows.view(batch, height * width, -1), distances, indices)
        patches = distances.view(batch, 1, height, width)
        return Prediction(score, heatmap(patches, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma))

    def facts(self) -> dict[str, float]:
        """Rows, width and bytes of the memory bank."""
        rows, width = self.bank.shape
        return {"rows": rows, "width": width, "bytes": self.bank.element_size() * self.bank.numel()}

    def _grid(self, image: Tensor) -> Tensor:
        return patch_grid(self.backbone(image), neighbourhood=self.neighbourhood)  # (B, D, h, w)

    def _open(self, rows: Tensor) -> Spool:
        folder = None if self.spool is None else Path(self.spool)
        self.centre = rows.mean(0)
        width = rows.shape[1]
        if self.projection is not None and self.projection < width:
            # Gaussian entries over sqrt(d) keep squared distances in expectation (Johnson-Lindenstrauss).
            generator = torch.Generator().manual_seed(self.seed)
            matrix = torch.randn(width, self.projection, generator=generator) / math.sqrt(self.projection)
            self._matrix = matrix.to(rows.device)
            self._projected = Spool(folder=folder)
        return Spool(folder=folder)

    def _pool(self, distances: Tensor) -> Tensor:
        count = max(1, round(self.top_share * distances.shape[1]))
        return distances.topk(count, dim=1).values.mean(1)  # (B,)

    def _weight(self, rows: Tensor, distances: Tensor, indices: Tensor) -> Tensor:
        """Equation 7: an isolated bank row is a rarer normal, so a distance to it counts for more."""
        if min(self.neighbours, len(self.bank)) < 2:
            return torch.ones(len(rows), device=rows.device)
        worst = distances.argmax(1)  # (B,)
        images = torch.arange(len(rows), device=rows.device)
        nearest_row = self.bank[indices[images, worst]]  # (B, D)
        count = min(self.neighbours, len(self.bank))
        _, support = nearest(nearest_row, self.bank, count=count, norms=self.norms, limit_mb=self.limit_mb)
        to_support = (rows[images, worst].unsqueeze(1) - self.bank[support]).norm(dim=2)  # (B, b)
        return 1 - torch.softmax(to_support, dim=1)[:, 0]


def _check(*, coreset: float, neighbourhood: int, neighbours: int, top_share: float) -> None:
    if not isinstance(coreset, int | float) or not 0 < coreset <= 1:
        raise AdframeError(f"coreset={coreset} must lie in (0, 1]: it is the share of patches the bank keeps")
    if neighbourhood < 1 or neighbourhood % 2 == 0:
        raise AdframeError(f"model.neighbourhood={neighbourhood} must be odd and positive")
    if neighbours < 1:
        raise AdframeError(f"model.neighbours={neighbours} must be 1 (no re-weighting) or more")
    if not 0 <= top_share <= 1:
        raise AdframeError(f"model.top_share={top_share} must lie in [0, 1]; 0 takes the largest patch score")


def _make_room(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """The bank's size is learned: buffers take the stored shape before a strict load fills them."""
    for name in ("bank", "norms", "centre"):
        if f"{prefix}{name}" in state:
            stored, own = state[f"{prefix}{name}"], getattr(module, name)
            setattr(module, name, torch.empty_like(stored, device=own.device))
