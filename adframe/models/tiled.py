"""Any method on tiles: small defects in large images keep their pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adframe.contracts import (
    IMAGE,
    INDEX,
    LABEL,
    MASK,
    Batch,
    Gradient,
    LeaveOneOut,
    Prediction,
    Prompted,
    Reopenable,
    TrainingFree,
    Transductive,
)
from adframe.errors import AdframeError, unknown
from adframe.models.divided import collect_features_of, features_of
from adframe.models.shared_step import drawn_for_all, images_of_step
from adframe.models.tiled_backbone import TiledBackbone
from adframe.ops.tiles import MERGES, Merge, Stitcher, TileGrid, cut_tiles, pad_reflect, tile_grid

Fit = Literal["tiles", "whole"]


class Tiling:
    """How images are cut into tiles, and how results of tiles become that of an image.

    Args:
        size: side of a tile in pixels of the network's input, or (height, width).
        overlap: share of a tile that it has in common with its neighbour, in [0, 1).
        merge: how maps are put together: `smooth`, `mean`, `max` or `centre`, see `ops.tiles.Stitcher`.
        score: `max` takes the highest score of the tiles as the image's; a share in (0, 1] takes the mean of
            this share of highest pixels of the map.
        fit: `tiles` fits the method to tiles, `whole` to whole images.
        chunk: number of tiles that the network takes together, which bounds memory.
        level: `maps` scores tiles and puts their maps together, which suits every method; `features` puts the
            feature maps of a frozen backbone together (see `TiledBackbone`), and the method works as on a
            whole image. `merge`, `score` and `fit` are not used then.

    Raises:
        AdframeError: an argument has an impossible value.

    Example:
        >>> Tiling(size=256, overlap=0.25).grid((500, 1250)).corners[:2]
        ((0, 0), (0, 192))
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int] = 256,
        overlap: float = 0.25,
        merge: Merge = "smooth",
        score: Literal["max"] | float = "max",
        fit: Fit = "tiles",
        chunk: int = 8,
        level: Literal["maps", "features"] = "maps",
    ) -> None:
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2 or not all(isinstance(side, int) and side >= 16 for side in sides):
            raise AdframeError(f"tiling.size={size} must be 16 pixels or more, or [height, width]")
        if not 0 <= overlap < 1:
            raise AdframeError(f"tiling.overlap={overlap} must lie in [0, 1)")
        if merge not in MERGES:
            raise AdframeError(unknown("tiling.merge", str(merge), MERGES))
        if score != "max" and not (isinstance(score, int | float) and 0 < score <= 1):
            raise AdframeError(f"tiling.score={score} must be max or a share of pixels in (0, 1]")
        if fit not in ("tiles", "whole"):
            raise AdframeError(unknown("tiling.fit", str(fit), ("tiles", "whole")))
        if level not in ("maps", "features"):
            raise AdframeError(unknown("tiling.level", str(level), ("maps", "features")))
        if chunk < 1:
            raise AdframeError(f"tiling.chunk={chunk} must be 1 or more")
        self.size: tuple[int, int] = (sides[0], sides[1])
        self.overlap, self.merge, self.score, self.fit, self.chunk = overlap, merge, score, fit, chunk
        self.level = level

    def grid(self, image: tuple[int, int]) -> TileGrid:
        """Places the tiles on images of a size.

        Args:
            image: (H, W) in pixels.

        Returns:
            The grid.
        """
        stride = (self._stride(self.size[0]), self._stride(self.size[1]))
        return tile_grid(image, size=self.size, stride=stride)

    def _stride(self, side: int) -> int:
        return max(1, round(side * (1 - self.overlap)))

    @property
    def name(self) -> str:
        """What of it decides to which features a model is fitted, for the identity of a checkpoint."""
        return f"{self.fit} {self.size[0]}x{self.size[1]} overlap {self.overlap:g}"


class Tiled(nn.Module):
    """Scores images by their tiles; subclasses fit the method.

    Args:
        detector: the method that scores a tile.
        tiling: how images are cut.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> model = tiled(PixelMean(None), Tiling(size=32))
        >>> model.collect(torch.rand(2, 3, 48, 80))
        >>> model.finalise()
        >>> model(torch.rand(2, 3, 48, 80)).heatmap.shape
        torch.Size([2, 1, 48, 80])
    """

    def __init__(self, detector: nn.Module, tiling: Tiling) -> None:
        super().__init__()
        self.inner: Any = detector
        self.tiling = tiling
        kind = type(detector)
        self.METHOD = f"{getattr(kind, 'METHOD', kind.__name__)} on {tiling.name}"

    @property
    def backbone(self) -> Any:
        """The backbone of the method."""
        return self.inner.backbone

    @property
    def frozen(self) -> set[str]:
        """Names of tensors that come from the weights of the backbone and are not in a checkpoint."""
        own = {name for name in self.inner.state_dict() if name.startswith("backbone.")}
        return {f"inner.{name}" for name in own | set(getattr(self.inner, "frozen", ()))}

    @property
    def cautions(self) -> list[str]:
        """What the method says about its settings in the report."""
        return list(getattr(self.inner, "cautions", ()))

    @property
    def progress(self) -> Any:
        """Called with (picked, to pick) while a coreset is selected."""
        return getattr(self.inner, "progress", None)

    @progress.setter
    def progress(self, call: Any) -> None:
        if hasattr(self.inner, "progress"):
            self.inner.progress = call

    def forward(self, image: Tensor) -> Prediction:
        """Scores images by their tiles.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        return self._stitched(image, self.inner)

    def facts(self) -> dict[str, float]:
        """Size of the model: that of the method."""
        found: dict[str, float] = self.inner.facts()
        return found

    def _stitched(self, image: Tensor, score: Any) -> Prediction:
        grid = self.tiling.grid((image.shape[-2], image.shape[-1]))
        stitcher = Stitcher(grid, images=len(image), merge=self.tiling.merge, like=image[:, :1])
        scores: list[list[Tensor]] = [[] for _ in image]
        for tiles, number, places in cut_tiles(image, grid, chunk=self.tiling.chunk):
            found = score(tiles)
            stitcher.add(found.heatmap, number, places)
            scores[number].append(found.score.float())
        heatmap = stitcher.result()
        if self.tiling.score == "max":
            return Prediction(torch.stack([torch.cat(own).amax(0) for own in scores]), heatmap)
        pixels = heatmap.flatten(1)
        count = max(1, math.ceil(float(self.tiling.score) * pixels.shape[1]))
        return Prediction(pixels.topk(count).values.mean(1), heatmap)

    def _show(self, image: Tensor, collect: Any) -> None:
        """Gives a method the images to which it is fitted: their tiles, or the images themselves."""
        if self.tiling.fit == "whole":
            collect(image)
            return
        grid = self.tiling.grid((image.shape[-2], image.shape[-1]))
        for tiles, _, _ in cut_tiles(image, grid, chunk=self.tiling.chunk):
            collect(tiles)


class TiledTrainingFree(Tiled):
    """A training-free method on tiles, as `contracts.TrainingFree` and `contracts.HeldOut` describe it.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(tiled(PixelMean(None), Tiling(size=32)), TiledTrainingFree)
        True
    """

    def collect(self, image: Tensor) -> None:
        """Collects normal images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> list[Any]:
        """Returns what the method reads of the tiles of images, group by group.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        found: list[Any] = []
        self._show(image, lambda tiles: found.append(features_of(self.inner, tiles)))
        return found

    def collect_features(self, found: list[Any]) -> None:
        """Collects normal images, as `collect`.

        Args:
            found: result of `features`.
        """
        for part in found:
            collect_features_of(self.inner, part)

    def finalise(self) -> None:
        """Fits the method to all images collected so far."""
        self.inner.finalise()

    def release(self) -> None:
        """Releases what only more images would need."""
        self.inner.release()

    @property
    def zero_shot(self) -> bool:
        """Whether the method uses no normal image."""
        return isinstance(self.inner, Prompted) and self.inner.zero_shot

    def name_categories(self, categories: Sequence[str]) -> None:
        """Tells a method that compares images with texts which categories it inspects.

        Args:
            categories: names.
        """
        if isinstance(self.inner, Prompted):
            self.inner.name_categories(categories)

    def reopen(self) -> str:
        """Makes a fitted method ready to collect more images.

        Returns:
            How exact the result is.

        Raises:
            AdframeError: the method cannot be extended.
        """
        if not isinstance(self.inner, Reopenable):
            raise AdframeError(f"{type(self.inner).__name__} cannot take more images without the old ones")
        return self.inner.reopen()

    @property
    def needs_held_out(self) -> bool:
        """Whether the method requires normal images that are unknown to it."""
        return bool(getattr(self.inner, "needs_held_out", False))

    def collect_held_out(self, image: Tensor) -> None:
        """Collects held-out normal images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        self._show(image, self.inner.collect_held_out)

    def finalise_held_out(self) -> bool | None:
        """Fits to the collected images; returns True where it must collect all of them once more."""
        found: bool | None = self.inner.finalise_held_out()
        return found


class TiledGradient(TiledTrainingFree):
    """A method that is trained by gradient, on tiles; a step takes random tiles of each image.

    Example:
        >>> TiledGradient.__mro__[1].__name__
        'TiledTrainingFree'
    """

    @property
    def synthetic(self) -> bool:
        """Whether it is trained on synthetic anomalies, or on unchanged normal images."""
        return bool(self.inner.synthetic)

    @property
    def takes_labelled(self) -> bool:
        """Whether the method uses labelled defects."""
        return bool(getattr(self.inner, "takes_labelled", False))

    @property
    def needs_preview(self) -> bool:
        """Whether the method must see all training images before training."""
        return bool(getattr(self.inner, "needs_preview", False))

    @property
    def collects(self) -> bool:
        """Whether the method must see all unchanged training images after training."""
        return bool(getattr(self.inner, "collects", False))

    def preview(self, image: Tensor) -> None:
        """Shows training images before training.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        self._show(image, self.inner.preview)

    def finalise_preview(self) -> None:
        """Ends the preview."""
        self.inner.finalise_preview()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of a training step on random tiles of each image.

        Args:
            batch: the batch.

        Returns:
            Losses by name, and `total`, their sum.
        """
        losses: dict[str, Tensor] = self.inner.loss(self._tile_batch(batch, seed=None))
        return losses

    def check(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of held-out images on the same tiles every time.

        Args:
            batch: the batch.

        Returns:
            Losses by name, and `total`.
        """
        losses: dict[str, Tensor] = self.inner.check(self._tile_batch(batch, seed=0))
        return losses

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns the parameter groups of the optimizer, see `contracts.Gradient`.

        Args:
            weight_decay: weight decay of matrices.
            layer_decay: factor of the learning rate from a block to the block below, in (0, 1].

        Returns:
            The groups.
        """
        found: list[dict[str, Any]] = self.inner.groups(weight_decay=weight_decay, layer_decay=layer_decay)
        return found

    def learned(self) -> dict[str, Tensor]:
        """Returns the trained parameters, without those that depend on the way of scoring."""
        found: dict[str, Tensor] = self.inner.learned()
        return found

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Restores trained parameters.

        Args:
            state: result of `learned`.
        """
        self.inner.load_learned(state)

    def _tile_batch(self, batch: Batch, *, seed: int | None) -> Batch:
        """Returns a batch with random tiles, and the parts of their masks; labels follow the masks."""
        if self.tiling.fit == "whole":
            return batch
        image = batch[IMAGE]
        grid = self.tiling.grid((image.shape[-2], image.shape[-1]))
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        # As many tiles in all as the network takes together; one of each image at least.
        each = min(len(grid.corners), max(1, self.tiling.chunk // images_of_step(len(image))))

        def draw(count: int) -> Tensor:
            return torch.multinomial(torch.ones(count, len(grid.corners)), each, generator=generator)

        places = drawn_for_all(draw, images=len(image))  # (B, each), all different
        found = {key: _repeated(value, each) for key, value in batch.items()}
        for key in (IMAGE, MASK):
            if key in batch:
                found[key] = _tiles_at(batch[key], grid, places)
        if INDEX in batch:  # it seeds the masks of SiT, which should differ from tile to tile
            found[INDEX] = found[INDEX] * len(grid.corners) + places.flatten().to(found[INDEX].device)
        if MASK in found and LABEL in found:
            found[LABEL] = found[MASK].flatten(1).amax(1).gt(0).to(batch[LABEL].dtype)
        return found


class TiledLeaveOneOut(TiledGradient):
    """A method on tiles that compares a collected image with all others.

    A tile is left out by itself: what a neighbouring tile shows of the same place is not.

    Example:
        >>> TiledLeaveOneOut.__mro__[1].__name__
        'TiledGradient'
    """

    @property
    def min_held_out(self) -> int:
        """Required number of held-out normal images."""
        return int(self.inner.min_held_out)

    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """Scores images that were collected, each tile without its own contribution.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        return self._stitched(image, self.inner.score_leave_one_out)


def tiled(detector: nn.Module, tiling: Tiling | None) -> nn.Module:
    """Puts a method on tiles.

    Args:
        detector: the method.
        tiling: how images are cut; None leaves the method as it is.

    Returns:
        The method on tiles, with the interfaces of `contracts` that the method has.

    Raises:
        AdframeError: the method has no interface by which it could be fitted, or no frozen backbone.
    """
    if tiling is None:
        return detector
    if tiling.level == "features":
        if isinstance(detector, Gradient) or getattr(detector, "backbone", None) is None:
            raise AdframeError(
                f"tiling.level=features needs a method with a frozen backbone, such as patchcore or padim; "
                f"{type(detector).__name__} works with tiling.level=maps"
            )
        if getattr(detector, "reads_class_token", False):
            raise AdframeError(
                f"tiling.level=features joins feature maps, and {type(detector).__name__} also reads class "
                "tokens: choose tiling=default"
            )
        detector.backbone = TiledBackbone(
            detector.backbone, size=tiling.size, overlap=tiling.overlap, chunk=tiling.chunk
        )
        return detector
    if getattr(detector, "robust", None) is not None:
        raise AdframeError(
            "model.robust= compares whole images, and tiling.level=maps fits a method to tiles: "
            "choose tiling=features, or model.robust=null"
        )
    if isinstance(detector, Transductive):
        raise AdframeError(
            f"{type(detector).__name__} scores whole test images by each other: choose tiling=none"
        )
    if isinstance(detector, Gradient):
        kind = TiledLeaveOneOut if isinstance(detector, LeaveOneOut) else TiledGradient
        return kind(detector, tiling)
    if isinstance(detector, TrainingFree):
        return TiledTrainingFree(detector, tiling)
    raise AdframeError(f"{type(detector).__name__} cannot be put on tiles")


def _repeated(value: Any, times: int) -> Any:
    """Repeats each entry of a tensor (B, ...) or a list of B; None stays None."""
    if isinstance(value, Tensor):
        return value.repeat_interleave(times, 0)
    return None if value is None else [entry for entry in value for _ in range(times)]


def _tiles_at(values: Tensor, grid: TileGrid, places: Tensor) -> Tensor:
    """(B, C, H, W) values and (B, k) places of tiles -> (B * k, C, h, w)."""
    padded = pad_reflect(values, grid.padded)
    height, width = grid.size
    corners = [(image, *grid.corners[place]) for image, row in enumerate(places.tolist()) for place in row]
    return torch.stack(
        [padded[image, :, top : top + height, left : left + width] for image, top, left in corners]
    )
