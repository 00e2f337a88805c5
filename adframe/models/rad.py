"""RAD (Zhang et al., Is Training Necessary for Anomaly Detection?, arXiv 2601.22763, 2026)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.io.disk_matrix import Spool
from adframe.models.backbones import TimmBackbone
from adframe.models.buffers import make_room, refuse_update
from adframe.models.named_backbones import create_backbone
from adframe.models.scoring import image_score
from adframe.ops.patches import as_rows
from adframe.ops.smoothing import heatmap

BANK_DTYPES = {"float32": torch.float32, "float16": torch.float16}


class RAD(nn.Module):
    """Compares the tokens of an image with those at about the same place in the training images most like it.

    The bank keeps every token of every training image, with unit length, and the images' class tokens. For a
    new image, the nearest training images by class token are found. Each token is then compared with those of
    these images that lie within a radius around its position: its score in a layer is 1 - the largest cosine,
    and its score is the mean over the layers. As positions matter, all images must have one size.

    The bank takes layers x images x patches x width numbers: 320 images at 252 pixels and four layers of
    DINOv2-small take 320 MB in float16.

    Args:
        backbone: Vision transformer with a class token, or a name for `create_backbone`.
        neighbours: Number of training images that an image is compared with; all where there are fewer.
        radius: Largest distance between the rows, and between the columns, of two tokens that are compared,
            in patches. One number, or one for each layer of the backbone.
        top_share: The image score is the mean of this share of the largest values of its heatmap.
        sigma: Standard deviation of the Gaussian that smooths the heatmap, in pixels of the network's input.
            The paper cuts its Gaussian off at 2 pixels, this one at 4 sigma.
        dtype: Number format of the bank, `float32` or `float16`; similarities are computed in float32.
            Rounding to float16 changes a score by less than 0.001.
        limit_mb: Largest memory of the tokens that are compared at once, in MiB.
        spool: Folder for tokens while they are collected; the system's temporary folder if None.

    Raises:
        AdframeError: An argument is outside its range, or the weights of a named backbone are unavailable.

    Example:
        >>> vit = TimmBackbone("test_vit", layers=["blocks.2", "blocks.5"], source="random")
        >>> model = RAD(vit, neighbours=3, radius=[1, 0])
        >>> model.collect(torch.rand(4, 3, 64, 64))
        >>> model.finalise()
        >>> prediction = model(torch.rand(2, 3, 64, 64))
        >>> prediction.score.shape, prediction.heatmap.shape
        (torch.Size([2]), torch.Size([2, 1, 64, 64]))
    """

    reads_class_token = True
    bank: Tensor
    classes: Tensor

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        neighbours: int = 150,
        radius: int | Sequence[int] = 1,
        top_share: float = 0.01,
        sigma: float = 1.0,
        dtype: Literal["float32", "float16"] = "float16",
        limit_mb: int = 256,
        spool: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.backbone = create_backbone(backbone) if isinstance(backbone, str) else backbone
        layers = self.backbone.layers
        self.radii = [radius] * len(layers) if isinstance(radius, int) else list(radius)
        if len(self.radii) != len(layers) or min(self.radii) < 0:
            raise AdframeError(
                f"model.radius={radius} must be 0 or more: one number, or one for each of the "
                f"{len(layers)} layers {', '.join(layers)}"
            )
        if neighbours < 1 or limit_mb < 1:
            raise AdframeError(
                f"model.neighbours={neighbours}, model.limit_mb={limit_mb}: both must be 1 or more"
            )
        if not 0 < top_share <= 1:
            raise AdframeError(f"model.top_share={top_share} must lie in (0, 1]")
        if not at_least(sigma, 0):
            raise AdframeError(f"model.sigma={sigma} must be a finite number, 0 or more")
        if dtype not in BANK_DTYPES:
            raise AdframeError(f"model.dtype={dtype} must be float32 or float16")
        self.neighbours, self.top_share, self.sigma = neighbours, top_share, sigma
        self.dtype, self.limit_mb = BANK_DTYPES[dtype], limit_mb
        self.spool = None if spool is None else Path(spool)
        self.register_buffer("bank", torch.empty(0, 0, 0, 0, 0, dtype=self.dtype))  # (L, N, h, w, D)
        self.register_buffer("classes", torch.empty(0, 0))  # (N, D) unit length
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._waiting: list[Spool] = []  # tokens of each layer
        self._new_classes: list[Tensor] = []
        self._grid = (0, 0)
        self._kept: tuple[Tensor, Tensor] | None = None  # bank and classes that new images join

    def collect(self, image: Tensor) -> None:
        """Adds the tokens of normal images to the bank.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: the model was loaded, the image has another size, or the network no class token.
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the tokens (B, D, h, w) of each layer, and the class tokens (B, D), of unit length.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: the network has no class token.
        """
        return self._tokens(image)

    def collect_features(self, found: tuple[list[Tensor], Tensor]) -> None:
        """Adds the tokens of normal images to the bank, as `collect`.

        Args:
            found: result of `features`.
        """
        maps, whole = found
        grid = (maps[0].shape[-2], maps[0].shape[-1])
        if not self._waiting:
            if self._kept is None:
                refuse_update(fitted=bool(len(self.classes)))
                self._grid = grid
            self._waiting = [Spool(folder=self.spool) for _ in maps]
        self._check_grid(grid, self._grid)
        for spool, tokens in zip(self._waiting, maps, strict=True):
            spool.append(as_rows(tokens))
        self._new_classes.append(whole)

    def finalise(self) -> None:
        """Makes the bank of all tokens that were collected."""
        if not self._waiting:
            raise RuntimeError("finalise before collect: there are no tokens to keep")
        device, width = self.classes.device, self._waiting[0].width
        self.classes = torch.cat(self._new_classes)
        shape = (len(self._waiting), len(self.classes), *self._grid, width)
        self.bank = torch.empty(0, dtype=self.dtype, device=device)  # frees an earlier bank first
        self.bank = torch.empty(shape, dtype=self.dtype, device=device)
        for layer, spool in zip(self.bank, self._waiting, strict=True):
            rows = layer.view(-1, width)
            for start, block in spool.blocks():
                rows[start : start + len(block)] = block.to(rows)
        if self._kept is not None:
            self.bank = torch.cat([self._kept[0], self.bank], dim=1)
            self.classes = torch.cat([self._kept[1], self.classes])

    def release(self) -> None:
        """Frees the disk space of the collected tokens; `collect` and `finalise` end with it."""
        for spool in self._waiting:
            spool.close()
        self._waiting, self._new_classes, self._kept = [], [], None

    def reopen(self) -> str:
        """Makes a fitted model ready to collect more images, whose tokens `finalise` adds to the bank.

        Returns:
            How exact the result is.
        """
        self._kept = self.bank, self.classes
        self._grid = (self.bank.shape[2], self.bank.shape[3])
        return "exact: every token of old and new images"

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: The bank is empty.
            AdframeError: The images have another size than those of the bank.
        """
        if not len(self.classes):
            raise RuntimeError("the bank is empty: collect and finalise, or load a checkpoint, first")
        maps, whole = self._tokens(image)
        self._check_grid((maps[0].shape[-2], maps[0].shape[-1]), (self.bank.shape[2], self.bank.shape[3]))
        # Each image by itself: a matrix product rounds in another way with other numbers of rows.
        grids = torch.stack([self._distances([m[i] for m in maps], whole[i]) for i in range(len(image))])
        smooth = heatmap(grids[:, None], size=(image.shape[-2], image.shape[-1]), sigma=self.sigma)
        return Prediction(image_score(smooth, top_share=self.top_share), smooth)

    def feature_reader(self) -> FeatureReader:
        """Returns the backbone: its feature maps before they are brought to unit length."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Returns the images, tokens (of all layers), width and bytes of the bank."""
        return {
            "images": len(self.classes),
            "rows": self.bank.numel() // max(1, self.bank.shape[-1]),
            "width": self.bank.shape[-1],
            "bytes": self.bank.element_size() * self.bank.numel(),
        }

    def _tokens(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns (B, D, h, w) per layer and (B, D) class tokens, of unit length."""
        maps, whole = self.backbone.with_class_token(image)
        return [F.normalize(grid, dim=1) for grid in maps], F.normalize(whole, dim=1)

    def _check_grid(self, grid: tuple[int, int], known: tuple[int, int]) -> None:
        if grid != known:
            raise AdframeError(
                f"an image has a grid of {grid[0]}x{grid[1]} patches, the bank {known[0]}x{known[1]}: RAD "
                "compares positions and needs one image_size for all images"
            )

    def _distances(self, tokens: Sequence[Tensor], whole: Tensor) -> Tensor:
        """Scores (D, h, w) tokens of each layer of one image; returns (h, w)."""
        likeness = self.classes @ whole  # (N,)
        near = likeness.topk(min(self.neighbours, len(likeness))).indices
        found = [
            1 - self._largest_cosines(layer.permute(1, 2, 0), bank, near, radius)
            for layer, bank, radius in zip(tokens, self.bank, self.radii, strict=True)
        ]
        return torch.stack(found).mean(0)

    def _largest_cosines(self, query: Tensor, bank: Tensor, near: Tensor, radius: int) -> Tensor:
        """Returns (h, w), the largest cosine of each token with those within its radius.

        Args:
            query: (h, w, D).
            bank: (N, h, w, D).
            near: (k,) images of the bank.
            radius: in patches.
        """
        height, width, channels = query.shape
        columns = torch.arange(width, device=query.device)
        outside = (columns[:, None] - columns).abs() > radius  # (w, w)
        # A compared token takes its copies, in the bank's format and in float32, and a column of cosines.
        each = height * width * 6 * channels + (2 * radius + 1) * width * 4 * width
        parts = []
        for part in torch.split(near, max(1, (self.limit_mb << 20) // each)):
            # Images come last, so that the candidates of a row of the grid are one block of memory.
            keys = bank[part].permute(1, 2, 0, 3).to(query.dtype, memory_format=torch.contiguous_format)
            # One product per row: its tokens share most of their candidates.
            best = [
                _row_cosines(own, keys[max(0, row - radius) : row + radius + 1])
                for row, own in enumerate(query)
            ]
            parts.append(torch.stack(best).masked_fill(outside, -torch.inf).amax(2))
        return torch.stack(parts).amax(0)


def _row_cosines(own: Tensor, band: Tensor) -> Tensor:
    """Returns (w, w), the largest cosine of each token (w, D) with candidates (rows, w, k, D) of a column."""
    width, count = len(own), band.shape[2]
    cosines = own @ band.flatten(0, 2).T  # (w, rows * w * k)
    return cosines.view(width, -1, width, count).amax((1, 3))
