"""SuperSimpleNet (Rolih, Fučka, Skočaj, SuperSimpleNet: Unifying Unsupervised and Supervised Learning for
Fast and Reliable Surface Defect Detection, ICPR 2024, arXiv 2408.03143).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from adframe.contracts import IMAGE, MASK, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, above, at_least
from adframe.models.backbones import TimmBackbone
from adframe.models.named_backbones import create_backbone
from adframe.models.residual_stages import stages_of
from adframe.models.seeded_training import SeededTraining
from adframe.models.shared_step import drawn_for_all, ratio_of_all
from adframe.ops.smoothing import heatmap
from adframe.transforms.synthesis.perlin import perlin_noise, rotate_field

# Channels of the classification head.
_HEAD = 128


class SuperSimpleNet(SeededTraining):
    """Trains two small heads to find Gaussian noise in blobs of the features of normal images.

    A linear adaptor transforms the features of a frozen network. One head segments, one classifies the image
    with the segmentation's map; each training image is seen once as it is, and once with noise. Labelled
    defects are anomalous both times, and get noise outside of their masks.

    Args:
        backbone: computes the features, or a name for `create_backbone`; it stays unchanged.
        noise: standard deviation of the noise, above 0.
        threshold: Perlin noise above it is anomalous, in [0, 1); it is in [-1, 1].
        scales: exponents of 2, lowest and highest, of the noise cells per side, drawn for each axis. A side
            has at most half as many cells as positions, because Perlin noise is 0 at the corners of cells.
        hidden: channels of the segmentation head.
        margin: distance from 0, above 0, up to which the truncated L1 loss asks scores of the map to move.
        gamma: exponent of the focal losses, 0 or more.
        adaptor_rate: learning rate of the adaptor as a share of that of the heads, above 0.
        stop_gradient: whether the classification's loss leaves the segmentation head and the adaptor
            unchanged.
        sigma: standard deviation of the heatmap's Gaussian, in pixels of the network's view.
        seed: seed of the noise.

    Raises:
        AdframeError: if a number is out of range.

    Attributes:
        takes_labelled: True, because masks of a batch are used where it has them.

    Example:
        >>> model = SuperSimpleNet("efficientnet_lite0", hidden=16).eval()
        >>> model(torch.rand(2, 3, 64, 64)).heatmap.shape
        torch.Size([2, 1, 64, 64])
    """

    takes_labelled = True

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        noise: float = 0.015,
        threshold: float = 0.2,
        scales: tuple[int, int] = (0, 5),
        hidden: int = 1024,
        margin: float = 0.5,
        gamma: float = 4.0,
        adaptor_rate: float = 0.5,
        stop_gradient: bool = False,
        sigma: float = 4.0,
        seed: int = 42,
    ) -> None:
        super().__init__(seed=seed)
        wrong = [
            text
            for text, bad in (
                (f"noise={noise} must be above 0", not above(noise, 0)),
                (f"threshold={threshold} must be in [0, 1)", not 0 <= threshold < 1),
                (
                    f"scales={list(scales)} must be two ascending whole numbers from 0 to 6",
                    len(scales) != 2 or not 0 <= scales[0] <= scales[1] <= 6,
                ),
                (f"hidden={hidden} must be above 0", hidden < 1),
                (f"margin={margin} must be above 0", not above(margin, 0)),
                (f"gamma={gamma} must be 0 or more", not at_least(gamma, 0)),
                (f"adaptor_rate={adaptor_rate} must be above 0", not above(adaptor_rate, 0)),
                (f"sigma={sigma} must be 0 or more", not at_least(sigma, 0)),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"model.{text}" for text in wrong))
        if isinstance(backbone, str):
            backbone = create_backbone(backbone)
        stages = stages_of(backbone.trunk, backbone.layers, name=backbone.name)
        width = sum(stage.width for stage in stages)
        self.backbone, self.noise, self.threshold, self.scales = backbone, noise, threshold, tuple(scales)
        self.margin, self.gamma, self.adaptor_rate = margin, gamma, adaptor_rate
        self.stop_gradient, self.sigma = stop_gradient, sigma
        self.adaptor = nn.Conv2d(width, width, 1)
        self.segmentation = nn.Sequential(
            nn.Conv2d(width, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, 1, bias=False),
        )
        self.classification = Classification(width)

    @property
    def frozen(self) -> set[str]:
        """Returns the names of the backbone's tensors."""
        return {f"backbone.{name}" for name in self.backbone.state_dict()}

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns the adaptor's parameters and those of the heads, which learn at another rate.

        Args:
            weight_decay: weight decay of all parameters.
            layer_decay: not used.

        Returns:
            The parameter groups.
        """
        del layer_decay
        heads = [*self.segmentation.parameters(), *self.classification.parameters()]
        return [
            {
                "params": list(self.adaptor.parameters()),
                "weight_decay": weight_decay,
                "lr_scale": self.adaptor_rate,
            },
            {"params": heads, "weight_decay": weight_decay, "lr_scale": 1.0},
        ]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of images without and with noise in their features (paper, 3.4).

        Args:
            batch: with `image` (B, 3, H, W), and `mask` (B, 1, H, W) where defects are labelled.

        Returns:
            `truncated`, `segmentation` and `classification`.
        """
        clean = self.adapted(batch[IMAGE])
        blobs, truth = self._blobs(clean), torch.zeros_like(clean[:, :1])
        if MASK in batch:
            truth = mask_on_grid(batch[MASK], size=(clean.shape[-2], clean.shape[-1])).to(clean)
            blobs = blobs * (1 - truth)  # a defect keeps its features
        tail = clean.shape[1:]
        # The order of the draws is that of the memory.
        last = not clean.is_contiguous() and clean.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format

        def draw(count: int) -> Tensor:
            return torch.randn_like(clean.new_empty(count, *tail).to(memory_format=layout))

        noise = drawn_for_all(draw, images=len(clean))
        noisy = clean + blobs * noise * self.noise
        mask = torch.cat([truth, truth + blobs])
        logits, whole = self.heads(torch.cat([clean, noisy]))
        with torch.autocast(mask.device.type, enabled=False):
            logits, whole = logits.float(), whole.float()
            label = mask.amax(dim=(1, 2, 3))
            return {
                "truncated": truncated_l1(logits, mask=mask, margin=self.margin),
                # A negative alpha does not weight the classes.
                "segmentation": sigmoid_focal_loss(
                    logits, mask, alpha=-1, gamma=self.gamma, reduction="mean"
                ),
                "classification": sigmoid_focal_loss(
                    whole, label, alpha=-1, gamma=self.gamma, reduction="mean"
                ),
            }

    def adapted(self, image: Tensor) -> Tensor:
        """Computes adapted features on twice the grid of the finest layer (paper, 3.1).

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, h, w).
        """
        maps = self.backbone(image)
        finest = max(maps, key=lambda each: each.shape[-1] * each.shape[-2]).shape[-2:]
        size = (2 * finest[0], 2 * finest[1])
        wide = [F.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in maps]
        averaged = F.avg_pool2d(torch.cat(wide, dim=1), 3, stride=1, padding=1, count_include_pad=False)
        found: Tensor = self.adaptor(averaged)
        return found

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Segments and classifies.

        Args:
            features: (B, C, h, w), adapted.

        Returns:
            Logits (B, 1, h, w) of the positions, and (B,) of the images.
        """
        logits = self.segmentation(features)
        seen = (features.detach(), logits.detach()) if self.stop_gradient else (features, logits)
        return logits, self.classification(*seen)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images by the logit of the classification, positions by those of the segmentation.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        logits, whole = self.heads(self.adapted(image))
        size = (image.shape[-2], image.shape[-1])
        with torch.autocast(image.device.type, enabled=False):
            return Prediction(whole.float(), heatmap(logits.float(), size=size, sigma=self.sigma))

    def feature_reader(self) -> FeatureReader:
        """Returns the backbone."""
        return self.backbone

    def _blobs(self, features: Tensor) -> Tensor:
        """Draws (B, 1, h, w) blobs of thresholded Perlin noise, 0 or 1."""
        # The draws follow from torch's generator, which is seeded for each step.
        generator = np.random.default_rng(int(torch.randint(2**31, ())))
        size = (features.shape[-2], features.shape[-1])
        # At least two positions in each cell: at its corners the noise is 0.
        ends = [max(0, min(self.scales[1], side.bit_length() - 2)) for side in size]

        def draw(count: int) -> Tensor:
            found = []
            for _ in range(count):
                rows, columns = (
                    2 ** int(generator.integers(min(self.scales[0], end), end + 1)) for end in ends
                )
                field = perlin_noise((rows, columns), size=size, generator=generator)
                found.append(rotate_field(field, degrees=float(generator.uniform(-90, 90))) > self.threshold)
            return torch.from_numpy(np.stack(found)[:, None].astype(np.float32)).to(features)

        return drawn_for_all(draw, images=len(features))


class Classification(nn.Module):
    """Classifies an image by its features and its map (paper, 3.3).

    Args:
        width: channels of the features.

    Example:
        >>> Classification(8)(torch.rand(2, 8, 6, 6), torch.rand(2, 1, 6, 6)).shape
        torch.Size([2])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Sequential(
            nn.Conv2d(width + 1, _HEAD, 5, padding=2), nn.BatchNorm2d(_HEAD), nn.ReLU()
        )
        self.linear = nn.Linear(2 * _HEAD + 2, 1)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Computes logits.

        Args:
            features: (B, C, h, w).
            logits: (B, 1, h, w) of the segmentation.

        Returns:
            (B,).
        """
        both = (self.convolution(torch.cat([features, logits], dim=1)), logits)
        pooled = [pool for each in both for pool in (each.mean(dim=(2, 3)), each.amax(dim=(2, 3)))]
        # Not a product of matrices: its rounding would depend on the number of images in the batch.
        found: Tensor = (torch.cat(pooled, dim=1) * self.linear.weight).sum(dim=1) + self.linear.bias
        return found


def mask_on_grid(mask: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Reduces masks to the grid of the features.

    Args:
        mask: (B, 1, H, W) in {0, 1}.
        size: (h, w) of the grid.

    Returns:
        (B, 1, h, w) in {0, 1}: positions of which the defect covers at least half; where it covers no
        position so far, every position that it touches, so that an anomalous image never has an empty mask.

    Example:
        >>> mask = torch.zeros(1, 1, 4, 4)
        >>> mask[0, 0, 0, 0] = 1
        >>> mask_on_grid(mask, size=(2, 2)).tolist()
        [[[[1.0, 0.0], [0.0, 0.0]]]]
    """
    covered = F.adaptive_avg_pool2d(mask, size)
    half = covered >= 0.5
    found = torch.where(half.flatten(1).any(dim=1).view(-1, 1, 1, 1), half, covered > 0)
    return found.to(mask)


def truncated_l1(logits: Tensor, *, mask: Tensor, margin: float) -> Tensor:
    """Computes how far scores are from the right side of 0, from `margin` beyond it on (SimpleNet, eq. 8).

    Args:
        logits: scores of any shape.
        mask: of the same shape, 1 for anomalous positions, else 0.
        margin: distance from 0 beyond which the loss is 0.

    Returns:
        A scalar: the mean over normal positions, and that over anomalous ones where there are any.

    Example:
        >>> logits, mask = torch.tensor([-1.0, 0.0, 0.0, 2.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])
        >>> float(truncated_l1(logits, mask=mask, margin=0.5))
        0.5
    """
    normal = ((logits + margin).clamp(min=0) * (1 - mask)).sum()
    anomalous = ((margin - logits).clamp(min=0) * mask).sum()
    return ratio_of_all(normal, (1 - mask).sum()) + ratio_of_all(anomalous, mask.sum())
