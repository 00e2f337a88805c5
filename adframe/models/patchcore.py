"""PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022) and variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, above, at_least, unknown
from adframe.io.feature_cache import Store
from adframe.models.augment_normals import Variants
from adframe.models.backbones import TimmBackbone, nearest_multiple
from adframe.models.cached_backbone import stored
from adframe.models.composition import USES, Composition
from adframe.models.fusion import Concat
from adframe.models.memory import Greedy, Memory
from adframe.models.named_backbones import create_backbone
from adframe.models.patch_memory import PatchMemory, Settings, check
from adframe.ops.coreset import Progress
from adframe.ops.patches import BORDERS, Border, as_rows, patch_grid
from adframe.ops.smoothing import heatmap


class PatchCore(nn.Module):
    """A memory of normal patch features; the distance to it is the score.

    `collect` every normal image, `finalise`, `release`, then call it. Features wait on disk: process
    memory grows with the memory bank, not with the number of training images.

    Args:
        backbone: gives the feature maps; a name is looked up by `named_backbones.create_backbone`.
        coreset: share of patches that the bank keeps, in (0, 1].
        memory: makes an empty memory: a greedy coreset where None (see `models.memory`).
        fusion: which layers, with what weight (see `models.fusion`); all side by side where None.
        per_layer: a memory a layer, and their patch distances averaged, instead of one for all.
        scales: factors on the image's sides; a memory each, patch distances averaged (as in MuRF).
        brightness, rotations: of the normal images, variants that join the memory (see `Variants`).
        metric: `euclidean`, or `cosine`: features have unit length, distances are 1 - cos.
        neighbourhood: odd side of the local averaging window in patches (3 in the paper).
        border: what that window counts beyond the map (see `ops.patches.patch_grid`).
        reduce: `none`, `random` or `pca`: projects the features themselves to `dimensions`.
        dimensions: see `reduce`.
        projection: width of the random projection in which the coreset is selected; None selects
            in the full width. The bank itself keeps the full features.
        neighbours: b of the density re-weighting (paper, equation 7; 9 in anomalib); 1 scores by the
            largest distance alone, as the authors' released code does.
        top_share: image score = mean of this share of the largest patch scores; 0 takes the maximum.
        sigma: Gaussian smoothing of the heatmap, in pixels of the network's view.
        limit_mb: most memory that a distance matrix may take.
        bank_bytes: most bytes of features that may wait while the memory is built; what is more is
            thinned as it comes, so that selection never sees all patches at once. None: no limit.
        seed: draws projections and the first pick of the coreset.
        spool: folder for the features while they wait; the system's temporary folder where None.
        composition: True adds how far an image's composition lies from the normal ones' to its score
            (see `Composition`); `only` scores by that alone. Heatmaps stay the memory's.
        words: how many visual words a composition knows.
        instances: counts the connected areas of each word as well.
        store: keeps features and greedy selections for later runs; None: every run computes its own.
    """

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        coreset: float,
        memory: Callable[[], Memory] | None = None,
        fusion: Concat | None = None,
        per_layer: bool = False,
        scales: Sequence[float] = (1.0,),
        brightness: Sequence[float] = (),
        rotations: Sequence[int] = (),
        metric: str = "euclidean",
        neighbourhood: int = 3,
        border: Border = "zeros",
        reduce: str = "none",
        dimensions: int = 128,
        projection: int | None = None,
        neighbours: int = 1,
        top_share: float = 0.0,
        sigma: float = 4.0,
        limit_mb: int = 256,
        bank_bytes: int | None = None,
        seed: int = 42,
        composition: bool | str = False,
        words: int = 128,
        instances: bool = False,
        spool: str | Path | None = None,
        store: Store | None = None,
    ) -> None:
        super().__init__()
        if isinstance(backbone, str):
            backbone = create_backbone(backbone)
        _check(neighbourhood=neighbourhood, neighbours=neighbours, top_share=top_share, sigma=sigma)
        if border not in BORDERS:
            raise AdframeError(unknown("model.border", border, BORDERS))
        if not scales or not all(above(scale, 0) for scale in scales) or len(set(scales)) < len(scales):
            raise AdframeError(f"model.scales={list(scales)} must be different factors above 0")
        fusion = Concat() if fusion is None else fusion
        chosen = fusion.choose(backbone.layers)
        self.backbone, self.scales = stored(backbone, store), list(scales)
        self.variants = Variants(brightness=brightness, rotations=rotations)
        self.parts = [[place] for place in chosen] if per_layer else [chosen]  # layers of each memory
        self.neighbourhood, self.neighbours, self.top_share = neighbourhood, neighbours, top_share
        self.border, self.sigma = border, sigma
        self.progress: Progress | None = None  # told (picked, to pick) while a coreset is selected
        count = len(self.scales) * len(self.parts)
        settings = Settings(
            coreset=coreset,
            metric=metric,
            reduce=reduce,
            dimensions=dimensions,
            projection=projection,
            limit_mb=limit_mb,
            bank_bytes=None if bank_bytes is None else bank_bytes // count,
            seed=seed,
            spool=None if spool is None else Path(spool),
            store=store,
        )
        check(settings)
        self.head = None
        if composition not in USES:
            raise AdframeError(f"composition={composition} is not possible; it is false, true or only")
        if composition:
            self.head = Composition(
                words=words, instances=instances, limit_mb=limit_mb, seed=seed, spool=settings.spool
            )
        self.composition = composition
        make = partial(PatchMemory, fusion=Concat() if per_layer else fusion, settings=settings)
        self.memories = nn.ModuleList(make(Greedy() if memory is None else memory()) for _ in range(count))

    def collect(self, image: Tensor) -> None:
        """Takes the patches of normal images (B, 3, H, W) in, and of their variants."""
        for number, variant in enumerate(self.variants.of(image)):
            grids = self._grids(variant)
            for memory, (grid, widths) in zip(self._members, grids, strict=True):
                memory.collect(as_rows(grid), widths=widths)
            if self.head is not None and number == 0:  # a brighter image is made of the same things
                self.head.collect(grids[0][0])

    def finalise(self) -> None:
        """Makes the memories of all patches collected so far."""
        for memory in self._members:
            memory.finalise(progress=self.progress)
        if self.head is not None:
            self.head.finalise()

    def release(self) -> None:
        """Gives back the disk space of the collected features."""
        for memory in self._members:
            memory.release()
        if self.head is not None:
            self.head.release()

    @property
    def observes(self) -> bool:
        """Whether it wants to see held-out normal images: to add up what has different units."""
        return self.head is not None

    @torch.no_grad()
    def observe(self, image: Tensor) -> None:
        """Takes scores of held-out normal images (B, 3, H, W) in."""
        if self.head is not None:
            grids = self._grids(image)
            self.head.observe(self._remembered(grids)[0], self.head.rate(grids[0][0]))

    def settle(self) -> None:
        """Brings the scores of memory and composition to one scale, from all that was observed."""
        if self.head is not None:
            self.head.settle()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] to raw scores (B,) and heatmaps (B, 1, H, W)."""
        grids = self._grids(image)
        score, patches = self._remembered(grids)
        if self.head is not None:
            own = self.head.rate(grids[0][0])
            score = own.float() if self.composition == "only" else self.head.fused(score, own)
        return Prediction(score, heatmap(patches, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma))

    def feature_reader(self) -> FeatureReader:
        """The backbone, with its store: its own maps, at the plain size of the image."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Rows, width and bytes of the memories; how many patches came, and how often they were thinned."""
        banks = [memory.memory.bank for memory in self._members]
        return {
            "rows": sum(len(bank) for bank in banks),
            "width": max(bank.shape[1] for bank in banks),
            "bytes": sum(bank.element_size() * bank.numel() for bank in banks),
            "seen": sum(memory.seen for memory in self._members),
            "thinnings": sum(memory.thinnings for memory in self._members),
        }

    @property
    def _members(self) -> list[PatchMemory]:
        return cast(list[PatchMemory], list(self.memories))

    def _grids(self, image: Tensor) -> list[tuple[Tensor, list[int]]]:
        """For each memory the features (B, D, h, w) it is about, and the widths of their layers."""
        found = []
        for scale in self.scales:
            maps = self.backbone(self._scaled(image, scale))
            for part in self.parts:
                layers = [maps[place] for place in part]
                grid = patch_grid(layers, neighbourhood=self.neighbourhood, border=self.border)
                found.append((grid, [layer.shape[1] for layer in layers]))
        return found

    def _remembered(self, grids: Sequence[tuple[Tensor, list[int]]]) -> tuple[Tensor, Tensor]:
        """Scores (B,) and patch distances (B, 1, h, w) from the memories alone."""
        maps, rarities = [], []
        for memory, (grid, _) in zip(self._members, grids, strict=True):
            found, rarity = self._judge(memory, grid)
            maps.append(found)
            rarities.append(rarity)
        patches = _mean_map(maps)
        return self._pool(patches.flatten(1)) * torch.stack(rarities).mean(0), patches

    def _scaled(self, image: Tensor, scale: float) -> Tensor:
        if scale == 1:
            return image
        size = nearest_multiple([side * scale for side in image.shape[-2:]], of=self.backbone.stride)
        return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)

    def _judge(self, memory: PatchMemory, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Patch distances (B, 1, h, w), and what each image's largest counts for: (B,)."""
        if not len(memory.memory.bank):
            raise RuntimeError("the memory bank is empty: collect and finalise, or load a checkpoint, first")
        batch, _, height, width = grid.shape
        rows = memory.embed(as_rows(grid))  # (B * h * w, D)
        distances = memory.distance(rows).view(batch, -1)  # (B, h * w)
        worst = rows.view(batch, height * width, -1)[torch.arange(batch), distances.argmax(1)]  # (B, D)
        rarity = memory.rarity(worst, neighbours=self.neighbours)
        return distances.view(batch, 1, height, width), rarity

    def _pool(self, distances: Tensor) -> Tensor:
        count = max(1, round(self.top_share * distances.shape[1]))
        return distances.topk(count, dim=1).values.mean(1)  # (B,)


def _mean_map(maps: Sequence[Tensor]) -> Tensor:
    """The mean of (B, 1, h_i, w_i) on the finest of their grids."""
    if len(maps) == 1:
        return maps[0]
    size = max((m.shape[-2:] for m in maps), key=lambda shape: shape[0] * shape[1])
    same = [F.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in maps]
    return torch.stack(same).mean(0)


def _check(*, neighbourhood: int, neighbours: int, top_share: float, sigma: float) -> None:
    if neighbourhood < 1 or neighbourhood % 2 == 0:
        raise AdframeError(f"model.neighbourhood={neighbourhood} must be odd and positive")
    if neighbours < 1:
        raise AdframeError(f"model.neighbours={neighbours} must be 1 (no re-weighting) or more")
    if not 0 <= top_share <= 1:
        raise AdframeError(f"model.top_share={top_share} must lie in [0, 1]; 0 takes the largest patch score")
    if not at_least(sigma, 0):
        raise AdframeError(f"model.sigma={sigma} must be a finite number, 0 or more")
