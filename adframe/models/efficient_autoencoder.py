"""The autoencoder of EfficientAD (Batzner et al., WACV 2024, appendix, table of its layers)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError

# Smallest side of an image: the last convolution of the encoder has a kernel of 8x8 at stride 32.
SMALLEST = 256


class Autoencoder(nn.Module):
    """Predicts the teacher's features of an image from a vector of it, or of its overlapping large parts.

    Args:
        features: number of channels of the output.
        width: channels of the wide layers; the first two have half of them.
        dropout: dropout after each but the last two layers of the decoder, in [0, 1).

    Example:
        >>> import torch
        >>> Autoencoder(features=6, width=4)(torch.rand(1, 3, 256, 256), size=(56, 56)).shape
        torch.Size([1, 6, 56, 56])
    """

    def __init__(self, *, features: int, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        half = width // 2
        widths = ((3, half), (half, half), (half, width), (width, width), (width, width))
        strided = [nn.Conv2d(entering, leaving, 4, stride=2, padding=1) for entering, leaving in widths]
        self.encoder = nn.Sequential(
            *(layer for convolution in strided for layer in (convolution, nn.ReLU())),
            nn.Conv2d(width, width, 8),
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 4, padding=2), nn.ReLU(), nn.Dropout(dropout))
            for _ in range(6)
        )
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, features, 3, padding=1)
        )

    def forward(self, normal: Tensor, *, size: tuple[int, int]) -> Tensor:
        """Predicts features.

        Args:
            normal: (B, 3, H, W) normalised images of 256 pixels or more.
            size: (h, w) of the output.

        Returns:
            (B, C, h, w).

        Raises:
            AdframeError: the image is too small.
        """
        sides = (normal.shape[-2], normal.shape[-1])
        if min(sides) < SMALLEST:
            raise AdframeError(
                f"EfficientAD's autoencoder takes images of {SMALLEST} pixels or more, and this one has "
                f"{sides[0]}x{sides[1]}; set image_size={SMALLEST}"
            )
        found = self.encoder(normal)
        for layer, grid in zip(self.decoder, _grids(sides), strict=True):
            found = layer(F.interpolate(found, size=grid, mode="bilinear", align_corners=False))
        found = F.interpolate(found, size=size, mode="bilinear", align_corners=False)
        features: Tensor = self.head(found)
        return features


def _grids(sides: tuple[int, int]) -> list[tuple[int, int]]:
    """Returns the grids of the decoder: 3, 8, 15, 32, 63 and 127 for 256 pixels, as in the paper."""
    steps = ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))
    return [(sides[0] // stride - less, sides[1] // stride - less) for stride, less in steps]
