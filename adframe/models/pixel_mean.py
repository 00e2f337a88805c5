"""Implements the simplest baseline: the distance of a pixel from its usual value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adframe.contracts import Prediction
from adframe.errors import AdframeError, above, at_least
from adframe.models.buffers import make_room, refuse_update
from adframe.models.scoring import image_score
from adframe.ops.smoothing import heatmap


class PixelMean(nn.Module):
    """Measures the distance of every pixel from the mean normal image, in units of its spread.

    It has no network: the advantage of another method over it is due to that method's features.

    Args:
        backbone: named in checkpoints; not used.
        sigma: standard deviation of the Gaussian on the distances, in pixels of the network's view.
        top_share: image score: 0 takes the largest pixel, 1 the mean of all, otherwise the mean of this share
            of the largest.
        floor: added to the spread, in grey values from 0 to 1; a tenth of it is a visible difference.

    Raises:
        AdframeError: if a number is out of range.

    Example:
        >>> model = PixelMean(None)
        >>> model.collect(torch.rand(4, 3, 32, 32))
        >>> model.finalise()
        >>> model(torch.rand(1, 3, 32, 32)).heatmap.shape
        torch.Size([1, 1, 32, 32])
    """

    uses_network = False
    mean: Tensor
    spread: Tensor

    def __init__(
        self, backbone: Any, *, sigma: float = 4.0, top_share: float = 0.01, floor: float = 0.02
    ) -> None:
        super().__init__()
        if not (at_least(sigma, 0) and 0 <= top_share <= 1 and above(floor, 0)):
            raise AdframeError(
                f"model.sigma={sigma} must be 0 or more, model.top_share={top_share} from 0 to 1, "
                f"model.floor={floor} above 0"
            )
        self.backbone, self.sigma, self.top_share, self.floor = backbone, sigma, top_share, floor
        self.register_buffer("mean", torch.empty(0))  # (3, H, W)
        self.register_buffer("spread", torch.empty(0))
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._sums: list[Tensor] = []
        self._count = 0

    def collect(self, image: Tensor) -> None:
        """Adds normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Raises:
            AdframeError: if the model was loaded, or the image has another size.
        """
        refuse_update(fitted=not self._sums and self.mean.numel() > 0)
        exact = image.double()
        sums = [exact.sum(0), exact.square().sum(0)]
        if self._sums and self._sums[0].shape != sums[0].shape:
            raise AdframeError("pixel_mean needs one image_size for all images")
        self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)] if self._sums else sums
        self._count += len(image)

    def finalise(self) -> None:
        """Computes mean and spread of all images collected so far."""
        mean, square = (each / self._count for each in self._sums)
        self.mean = mean.float()
        self.spread = (square - mean.square()).clamp(min=0).sqrt().float() + self.floor

    def release(self) -> None:
        """Releases the sums."""
        self._sums, self._count = [], 0

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        apart = ((image - self.mean) / self.spread).abs().mean(dim=1, keepdim=True)
        maps = heatmap(apart, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma)
        return Prediction(image_score(maps, top_share=self.top_share), maps)

    def facts(self) -> dict[str, float]:
        """Bytes of mean and spread."""
        return {"bytes": self.mean.nbytes + self.spread.nbytes}
