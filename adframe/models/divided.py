"""Collecting in two halves, of which several processes divide the first one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from adframe.contracts import Divisible


def features_of(method: Any, image: Tensor) -> Any:
    """Reads what a method collects of images.

    Args:
        method: a method that collects images.
        image: (B, 3, H, W) in [0, 1].

    Returns:
        Its features of them; the images themselves where it collects in one piece.

    Example:
        >>> import torch
        >>> from adframe.models.pixel_mean import PixelMean
        >>> features_of(PixelMean(None), torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """
    return method.features(image) if isinstance(method, Divisible) else image


def collect_features_of(method: Any, found: Any) -> None:
    """Lets a method collect images by what `features_of` returned.

    Args:
        method: the same method, in this process or another one.
        found: result of `features_of`.
    """
    if isinstance(method, Divisible):
        method.collect_features(found)
    else:
        method.collect(found)
