"""PatchCore beyond its paper: several scales and memories, variants of normal images, compositions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, above
from adframe.io.feature_cache import Store
from adframe.models.augment_normals import Variants
from adframe.models.backbones import TimmBackbone, nearest_multiple
from adframe.models.composition import COMPOSITION_USES, Composition
from adframe.models.fusion import Concat
from adframe.models.memory import Greedy, Memory
from adframe.models.patch_memory import PatchMemory
from adframe.models.patchcore import PatchCore
from adframe.ops.coreset_search import CoresetProgress
from adframe.ops.patches import Border
from adframe.ops.smoothing import heatmap


class ExtendedPatchCore(nn.Module):
    """Repeats the memory of a PatchCore over scales and layers, and adds what ablations vary.

    Args:
        core: An unfitted PatchCore. Its backbone and its settings hold for every memory here.
        memory: Makes an empty memory, once for each scale and layer.
        fusion: Which layers are used, and with what factor (see `models.fusion`).
        per_layer: True makes one memory per layer and averages their patch distances.
        scales: Factors on the sides of the image, one memory each; patch distances are averaged (as in MuRF).
        brightness, rotations: Variants of the normal images that join the memory (see `Variants`).
        metric: `euclidean`, or `cosine`: features have unit length, and distances are halves of squares, that
            is 1 - cos, for the rows of a bank. After weights or a reduction, and for a memory that keeps no
            rows, they are half of the squared distance there.
        reduce: `none`, `random` or `pca`: projects the features themselves to `dimensions`. `whiten` projects
            each layer to its `dimensions` directions of largest variance, divides each by its standard
            deviation, and concatenates the layers: distances are Mahalanobis distances.
        dimensions: Width of the reduced features; with `whiten` that of each layer.
        top_share: The image score is the mean of this share of the largest patch distances; 0 takes the
            largest one.
        bank_bytes: Most bytes of features that may wait while the memories are built. Features beyond it
            are thinned as they come, so that selection never sees all patches at once. None sets no limit.
        composition: True adds the distance of an image's composition from the normal ones' to its score
            (see `Composition`); `only` scores by it alone. Heatmaps stay those of the memories.
        words: Number of visual words of a composition.
        instances: True also counts the connected areas of each word.
        positions: True also compares where each word lies.

    Raises:
        AdframeError: An argument is outside its range.

    Example:
        >>> model = ExtendedPatchCore(PatchCore("efficientnet_lite0", coreset=0.5), scales=[0.5, 1.0])
        >>> model.collect(torch.rand(4, 3, 64, 64))
        >>> model.finalise()
        >>> model(torch.rand(2, 3, 64, 64)).heatmap.shape
        torch.Size([2, 1, 64, 64])
    """

    # In checkpoints, which do not depend on whether a PatchCore is extended.
    METHOD = "PatchCore"

    def __init__(
        self,
        core: PatchCore,
        *,
        memory: Callable[[], Memory] = Greedy,
        fusion: Concat | None = None,
        per_layer: bool = False,
        scales: Sequence[float] = (1.0,),
        brightness: Sequence[float] = (),
        rotations: Sequence[float] = (),
        metric: str = "euclidean",
        reduce: str = "none",
        dimensions: int = 128,
        top_share: float = 0.0,
        bank_bytes: int | None = None,
        composition: bool | str = False,
        words: int = 128,
        instances: bool = False,
        positions: bool = False,
    ) -> None:
        super().__init__()
        if not scales or not all(above(scale, 0) for scale in scales) or len(set(scales)) < len(scales):
            raise AdframeError(f"model.scales={list(scales)} must be different factors above 0")
        if not 0 <= top_share <= 1:
            raise AdframeError(
                f"model.top_share={top_share} must lie in [0, 1]; 0 takes the largest patch score"
            )
        if composition not in COMPOSITION_USES:
            raise AdframeError(f"composition={composition} is not possible; it must be false, true or only")
        self.backbone, self.sigma, self.scales = core.backbone, core.sigma, list(scales)
        self.variants = Variants(brightness=brightness, rotations=rotations)
        self.robust = core.robust
        if self.robust is not None and (bank_bytes is not None or composition is not False):
            raise AdframeError(
                "model.robust= needs all features of every image, and judges patches: "
                "set model.bank_bytes=null and composition=false"
            )
        self.top_share, self.composition = top_share, composition
        # Called with (picked, to pick) while a coreset is selected.
        self.progress: CoresetProgress | None = None
        fusion = Concat() if fusion is None else fusion
        chosen = fusion.choose(core.backbone.layers)
        parts = [[layer] for layer in chosen] if per_layer else [chosen]
        settings = replace(
            core.settings, metric=metric, reduce=reduce, dimensions=dimensions, bank_bytes=bank_bytes
        )
        if bank_bytes is not None:
            settings = replace(settings, bank_bytes=bank_bytes // (len(scales) * len(parts)))
        self.memories = nn.ModuleList(
            # Distances of single layers are averaged, not concatenated: a factor on them has no meaning.
            PatchMemory(memory(), layers=part, fusion=Concat() if per_layer else fusion, settings=settings)
            for _ in scales
            for part in parts
        )
        self.head = None
        if composition:
            self.head = Composition(
                words=words,
                instances=instances,
                positions=positions,
                limit_mb=settings.limit_mb,
                seed=settings.seed,
                spool=settings.spool,
            )

    def collect(self, image: Tensor) -> None:
        """Adds the patches of normal images and of their variants to those that memories are chosen from.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> list[list[list[Tensor]]]:
        """Returns the feature maps of images, for each variant of them and each memory.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        return [self._maps(variant) for variant in self.variants.of(image)]

    def collect_features(self, found: list[list[list[Tensor]]]) -> None:
        """Adds the patches of normal images and of their variants, as `collect`.

        Args:
            found: result of `features`.
        """
        first = self._memories[0].images
        for number, maps in enumerate(found):
            for memory, layers in zip(self._memories, maps, strict=True):
                memory.collect(layers, first=first)
            # A variant has the composition of its image.
            if self.head is not None and number == 0:
                self.head.collect(self._memories[0].grid(maps[0]))

    def leave_one_out_scores(self) -> Tensor:
        """Returns (N,) as `PatchCore`, averaged over the memories; variants of an image belong to it."""
        return torch.stack([memory.leave_one_out_scores() for memory in self._memories]).mean(0)

    def keep(self, images: Tensor) -> None:
        """Forgets images, as if only the others had been collected.

        Args:
            images: (N,) bool, True for those that stay.
        """
        for memory in self._memories:
            memory.keep(images)

    def reopen(self) -> str:
        """Makes a fitted model ready to collect more images, whose patches `finalise` adds to the memories.

        Returns:
            How exact the result is.

        Raises:
            AdframeError: the compositions of the old images are scored, or a memory cannot be extended.
        """
        if self.head is not None:
            raise AdframeError("composition= cannot take more images without the old ones")
        texts = [memory.reopen() for memory in self._memories]  # all have the same settings
        return texts[0]

    def finalise(self) -> None:
        """Makes the memories, and the visual words, of all that was collected."""
        for memory in self._memories:
            memory.finalise(progress=self.progress)
        if self.head is not None:
            self.head.finalise()

    def release(self) -> None:
        """Frees the disk space of the collected features; `collect` and `finalise` end with it."""
        for memory in self._memories:
            memory.release()
        if self.head is not None:
            self.head.release()

    @property
    def needs_held_out(self) -> bool:
        """Whether it needs held-out normal images: to add scores that have different units."""
        return self.head is not None

    @torch.no_grad()
    def collect_held_out(self, image: Tensor) -> None:
        """Collects the scores of held-out normal images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        if self.head is not None:
            maps = self._maps(image)
            self.head.collect_held_out(self._scored(maps)[0], self.head.rate(self._memories[0].grid(maps[0])))

    def finalise_held_out(self) -> None:
        """Brings the scores of memories and composition to one scale, from the held-out images."""
        if self.head is not None:
            self.head.finalise_held_out()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: A memory is empty.
        """
        maps = self._maps(image)
        score, patches = self._scored(maps)
        if self.head is not None:
            own = self.head.rate(self._memories[0].grid(maps[0]))
            score = own.float() if self.composition == "only" else self.head.fused(score, own)
        return Prediction(score, heatmap(patches, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma))

    def feature_reader(self) -> FeatureReader:
        """The backbone with its cache: its feature maps at the plain size of the image."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Sums `PatchMemory.facts` over the memories; the width is that of the widest."""
        facts = [memory.facts() for memory in self._memories]
        return {key: sum(fact[key] for fact in facts) for key in facts[0]} | {
            "width": max(fact["width"] for fact in facts)
        }

    @property
    def _memories(self) -> list[PatchMemory]:
        return cast(list[PatchMemory], list(self.memories))

    def _maps(self, image: Tensor) -> list[list[Tensor]]:
        """For each memory the feature maps (B, C, h, w) of all layers, at its scale."""
        found = []
        for scale in self.scales:
            if scale != 1:
                size = nearest_multiple([side * scale for side in image.shape[-2:]], of=self.backbone.stride)
                scaled = F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
            else:
                scaled = image
            found += [self.backbone(scaled)] * (len(self.memories) // len(self.scales))
        return found

    def _scored(self, maps: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Scores (B,) and patch distances (B, 1, h, w) from the memories alone."""
        distances, weights = zip(
            *(memory.score(layers) for memory, layers in zip(self._memories, maps, strict=True)), strict=True
        )
        size = max((grid.shape[-2:] for grid in distances), key=lambda shape: shape[0] * shape[1])
        patches = torch.stack(
            [
                grid
                if grid.shape[-2:] == size
                else F.interpolate(grid, size=size, mode="bilinear", align_corners=False)
                for grid in distances
            ]
        ).mean(0)
        count = max(1, round(self.top_share * size[0] * size[1]))
        largest = patches.flatten(1).topk(count, dim=1).values.mean(1)
        return largest * torch.stack(weights).mean(0), patches


def create_patchcore(
    backbone: TimmBackbone | str,
    *,
    coreset: float,
    memory: Callable[[], Memory] | None = None,
    fusion: Concat | None = None,
    per_layer: bool = False,
    scales: Sequence[float] = (1.0,),
    brightness: Sequence[float] = (),
    rotations: Sequence[float] = (),
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
    positions: bool = False,
    spool: str | Path | None = None,
    store: Store | None = None,
    robust: float | None = None,
) -> PatchCore | ExtendedPatchCore:
    """Builds what `model=patchcore` configures: the paper's model, extended only where a setting asks for it.

    The arguments are those of `PatchCore` and of `ExtendedPatchCore`, which say what they mean.

    Returns:
        An unfitted model.

    Raises:
        AdframeError: An argument is outside its range.

    Example:
        >>> type(create_patchcore("efficientnet_lite0", coreset=0.1)).__name__
        'PatchCore'
        >>> type(create_patchcore("efficientnet_lite0", coreset=0.1, composition=True)).__name__
        'ExtendedPatchCore'
    """
    memory = Greedy if memory is None else memory
    core = PatchCore(
        backbone,
        coreset=coreset,
        memory=memory,
        neighbourhood=neighbourhood,
        border=border,
        projection=projection,
        neighbours=neighbours,
        sigma=sigma,
        limit_mb=limit_mb,
        seed=seed,
        spool=spool,
        store=store,
        robust=robust,
    )
    extended = ExtendedPatchCore(
        core,
        memory=memory,
        fusion=fusion,
        per_layer=per_layer,
        scales=scales,
        brightness=brightness,
        rotations=rotations,
        metric=metric,
        reduce=reduce,
        dimensions=dimensions,
        top_share=top_share,
        bank_bytes=bank_bytes,
        composition=composition,
        words=words,
        instances=instances,
        positions=positions,
    )
    several = per_layer or list(scales) != [1.0] or bool(brightness) or bool(rotations)
    changed = type(fusion) not in (type(None), Concat) or metric != "euclidean" or reduce != "none"
    beyond = several or changed or top_share > 0 or bank_bytes is not None or composition is not False
    return extended if beyond else core
