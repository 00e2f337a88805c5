"""Windows of a grid of patches, and what their scores say about each patch."""

from __future__ import annotations

import torch
from torch import Tensor

from adframe.errors import AdframeError

# Scores are raised to this before they are inverted: the harmonic mean with a zero is then nearly zero.
_LEAST = 1e-6


def window_places(grid: tuple[int, int], *, side: int) -> Tensor:
    """Lists the patches of all square windows, one patch apart.

    Args:
        grid: (h, w) in patches.
        side: side of a window in patches, 1 or more.

    Returns:
        (W, side * side) int64 positions in the flattened grid; windows and patches row by row.

    Raises:
        AdframeError: the grid is smaller than a window.

    Example:
        >>> window_places((2, 3), side=2).tolist()
        [[0, 1, 3, 4], [1, 2, 4, 5]]
    """
    if min(grid) < side:
        raise AdframeError(
            f"images have grids of {grid[0]}x{grid[1]} patches, fewer than model.windows={side} needs: "
            "choose a larger image_size, or smaller windows"
        )
    places = torch.arange(grid[0] * grid[1]).view(grid)
    return places.unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)


def harmonic_mean_of_windows(scores: Tensor, places: Tensor, *, patches: int) -> Tensor:
    """Gives each patch the harmonic mean of the scores of the windows that cover it.

    Args:
        scores: (B, W) scores of windows, 0 or more.
        places: (W, K) patches of the windows, as `window_places` returns them; every patch is in one.
        patches: number of patches.

    Returns:
        (B, patches).

    Example:
        >>> places = window_places((1, 3), side=1)
        >>> harmonic_mean_of_windows(torch.tensor([[0.5, 0.25, 1.0]]), places, patches=3)
        tensor([[0.5000, 0.2500, 1.0000]])
    """
    covers = torch.zeros(len(places), patches, device=scores.device)
    covers.scatter_(1, places.to(scores.device), 1.0)
    inverse = 1 / scores.clamp(min=_LEAST)
    # By sums and not by a matrix product, whose rounding depends on the number of images.
    return covers.sum(0) / (inverse[:, :, None] * covers).sum(1)


def harmonic_mean(parts: Tensor) -> Tensor:
    """Computes the harmonic mean over the first dimension.

    Args:
        parts: (K, ...) numbers, 0 or more.

    Returns:
        (...).

    Example:
        >>> harmonic_mean(torch.tensor([1.0, 0.5]))
        tensor(0.6667)
    """
    return len(parts) / (1 / parts.clamp(min=_LEAST)).sum(0)
