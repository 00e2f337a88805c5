"""Reverse distillation (Deng and Li, Anomaly Detection via Reverse Distillation from One-Class Embedding,
CVPR 2022, arXiv 2201.10703), known as RD4AD.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import IMAGE, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.backbones import TimmBackbone
from adframe.models.layers import STRIDES
from adframe.models.named_backbones import create_backbone
from adframe.models.residual_stages import ResidualStage, Stage, convolved, stages_of
from adframe.models.scoring import image_score
from adframe.models.seeded_training import SeededTraining
from adframe.models.shared_step import total_of_all
from adframe.ops.smoothing import heatmap


class ReverseDistillation(SeededTraining):
    """Trains a decoder to restore the features of a frozen teacher from a compact embedding of them.

    The embedding sees three layers of the teacher at once. It is too small for what normal images do not
    have, so that the decoder cannot restore the features of an anomaly.

    Args:
        backbone: the teacher, a convolutional network with layers of strides 4, 8 and 16, or a name for
            `create_backbone`, which then takes these layers; it stays unchanged.
        sigma: standard deviation of the heatmap's Gaussian, in pixels of the network's view.
        top_share: image score: 0 takes the largest pixel, 1 the mean of all, otherwise the mean of this share
            of the largest.
        seed: seed of the draws in training; this method has none.

    Raises:
        AdframeError: if the layers have other strides, or a number is out of range.

    Example:
        >>> model = ReverseDistillation("efficientnet_lite0").eval()
        >>> model(torch.rand(2, 3, 64, 64)).heatmap.shape
        torch.Size([2, 1, 64, 64])
    """

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        sigma: float = 4.0,
        top_share: float = 0.0,
        seed: int = 42,
    ) -> None:
        super().__init__(seed=seed)
        if not at_least(sigma, 0) or not 0 <= top_share <= 1:
            raise AdframeError(
                f"model.sigma={sigma} must be 0 or more, model.top_share={top_share} from 0 to 1"
            )
        if isinstance(backbone, str):
            backbone = create_backbone(backbone, layers="pyramid")
        teacher = stages_of(backbone.trunk, backbone.layers, name=backbone.name)
        strides = tuple(stage.stride for stage in teacher)
        if strides != STRIDES:
            raise AdframeError(
                "model=reverse_distillation mirrors a convolutional network's layers of strides 4, 8 and 16, "
                f"and those of backbone={backbone.name} are {list(strides)}; set backbone.layers=pyramid, or "
                "choose backbone=resnet18 or another convolutional network"
            )
        self.backbone, self.sigma, self.top_share = backbone, sigma, top_share
        self.bottleneck = OneClassEmbedding(teacher)
        self.decoder = Decoder(teacher)

    @property
    def frozen(self) -> set[str]:
        """Returns the names of the teacher's tensors."""
        return {f"backbone.{name}" for name in self.backbone.state_dict()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the sum over the levels of 1 - cosine of the flattened maps (paper, 3.1), over the images
        its mean.

        Args:
            batch: with `image` (B, 3, H, W).

        Returns:
            The loss of each level, by its stride.

        Raises:
            AdframeError: in training, if the images are too small and too few for batch normalisation.
        """
        targets = self.backbone(batch[IMAGE])
        if self.training:
            _check_positions(targets[-1], size=(batch[IMAGE].shape[-2], batch[IMAGE].shape[-1]))
        rebuilt = self.reconstruct(targets)
        with torch.autocast(batch[IMAGE].device.type, enabled=False):
            return {
                f"stride_{stride}": (1 - F.cosine_similarity(a.flatten(1), b.float().flatten(1))).mean()
                for stride, a, b in zip(STRIDES, targets, rebuilt, strict=True)
            }

    def reconstruct(self, targets: Sequence[Tensor]) -> list[Tensor]:
        """Restores the teacher's features from their embedding.

        Args:
            targets: (B, C, h, w) of each level, the finest first.

        Returns:
            Maps of the same shapes in the same order.
        """
        rebuilt: list[Tensor] = self.decoder(
            self.bottleneck(targets), sizes=[(t.shape[-2], t.shape[-1]) for t in targets]
        )
        return rebuilt

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images by the sum over the levels of 1 - cosine at each position (paper, 3.4).

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        targets = self.backbone(image)
        rebuilt = self.reconstruct(targets)
        size = (image.shape[-2], image.shape[-1])
        with torch.autocast(image.device.type, enabled=False):
            # Smoothing is linear, so that the smoothed maps of the levels can be added.
            maps = torch.stack(
                [
                    heatmap((1 - F.cosine_similarity(a, b.float()))[:, None], size=size, sigma=self.sigma)
                    for a, b in zip(targets, rebuilt, strict=True)
                ]
            ).sum(dim=0)
            return Prediction(image_score(maps, top_share=self.top_share), maps)

    def feature_reader(self) -> FeatureReader:
        """Returns the teacher."""
        return self.backbone


class OneClassEmbedding(nn.Module):
    """Fuses three layers and compresses them (paper, 3.2 and 3.3).

    Strided 3x3 convolutions bring the finer layers to the grid of the coarsest, a 1x1 convolution reduces
    all together to its width, and a residual stage halves the grid once more.

    Args:
        teacher: the three layers, the finest first.

    Example:
        >>> layers = [Stage(4, 4, 1, None), Stage(8, 8, 1, None), Stage(16, 16, 1, None)]
        >>> maps = [torch.rand(1, 4 << n, 16 >> n, 16 >> n) for n in range(3)]
        >>> OneClassEmbedding(layers)(maps).shape
        torch.Size([1, 32, 2, 2])
    """

    def __init__(self, teacher: Sequence[Stage]) -> None:
        super().__init__()
        fine, middle, coarse = teacher
        self.paths = nn.ModuleList(
            [
                _halvings([fine.width, middle.width, coarse.width]),
                _halvings([middle.width, coarse.width]),
                _halvings([coarse.width]),
            ]
        )
        self.fusion = nn.Sequential(*convolved(3 * coarse.width, coarse.width, side=1), nn.ReLU(inplace=True))
        self.stage = ResidualStage(
            coarse.width,
            2 * coarse.width,
            blocks=min(stage.blocks for stage in teacher),
            inner=None if coarse.inner is None else 2 * coarse.inner,
            resize="halve",
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Computes the embedding.

        Args:
            maps: (B, C, h, w) of the three layers, the finest first.

        Returns:
            (B, 2 C, h / 2, w / 2), with C, h and w of the coarsest layer.
        """
        aligned = [path(each) for path, each in zip(self.paths, maps, strict=True)]
        embedding: Tensor = self.stage(self.fusion(torch.cat(aligned, dim=1)))
        return embedding


class Decoder(nn.Module):
    """Mirrors the teacher: each stage doubles the grid and ends in the width of one of its layers.

    Args:
        teacher: the three layers, the finest first.

    Example:
        >>> layers = [Stage(4, 4, 1, None), Stage(8, 8, 1, None), Stage(16, 16, 1, None)]
        >>> rebuilt = Decoder(layers)(torch.rand(1, 32, 2, 2), sizes=[(16, 16), (8, 8), (4, 4)])
        >>> [tuple(each.shape) for each in rebuilt]
        [(1, 4, 16, 16), (1, 8, 8, 8), (1, 16, 4, 4)]
    """

    def __init__(self, teacher: Sequence[Stage]) -> None:
        super().__init__()
        backwards = list(teacher)[::-1]
        widths = [2 * backwards[0].width, *(stage.width for stage in backwards)]
        self.stages = nn.ModuleList(
            ResidualStage(entering, stage.width, blocks=stage.blocks, inner=stage.inner, resize="double")
            for entering, stage in zip(widths, backwards, strict=False)
        )

    def forward(self, embedding: Tensor, *, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Decodes an embedding.

        Args:
            embedding: (B, C, h, w).
            sizes: (h, w) of the layers, the finest first.

        Returns:
            (B, C, h, w) of the layers, the finest first.
        """
        found = []
        for stage, (height, width) in zip(self.stages, reversed(sizes), strict=True):
            # Halving an odd side rounds it up, so that its double is one position too large.
            embedding = stage(embedding)[..., :height, :width]
            found.append(embedding)
        return found[::-1]


def _check_positions(coarsest: Tensor, *, size: tuple[int, int]) -> None:
    """Checks that the embedding has more than one position: one value has no variance to normalise by."""
    count, _, height, width = coarsest.shape
    # Halving an odd side rounds it up.
    own = count * ((height + 1) // 2) * ((width + 1) // 2)
    if int(total_of_all(torch.tensor(own, device=coarsest.device))) == 1:
        raise AdframeError(
            f"model=reverse_distillation: the embedding of a single image of {size[0]}x{size[1]} pixels has "
            "one position, and batch normalisation requires two; set image_size="
            f"{3 * STRIDES[-1]} or more, or a batch_size that does not leave one image to the last batch"
        )


def _halvings(widths: Sequence[int]) -> nn.Sequential:
    """Returns a strided 3x3 convolution with BatchNorm and ReLU from each width to the next."""
    layers: list[nn.Module] = []
    for entering, width in pairwise(widths):
        layers += [*convolved(entering, width, resize="halve"), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
