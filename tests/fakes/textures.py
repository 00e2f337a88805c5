"""Plain textures: normal everywhere, so that the largest value of a map may lie anywhere."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

KINDS = ("grain", "clouds", "stripes")


def textures(kind: str, count: int, *, side: int, seed: int) -> Tensor:
    """(count, 3, side, side) in [0, 1], each drawn again."""
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    drawn = np.stack([_field(kind, side, rng) for _ in range(count)])
    grey = 0.45 + 0.08 * drawn + 0.01 * rng.normal(size=(count, 1, 1))
    colours = np.stack([grey, 0.95 * grey + 0.02, 0.9 * grey], axis=1)
    return torch.from_numpy(np.clip(colours, 0, 1)).float()


def _field(kind: str, side: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=(side, side))
    if kind == "stripes":
        y, x = np.mgrid[:side, :side] + rng.uniform(0, 9, (2, 1, 1))
        return np.sin(2 * np.pi * x / 9) + np.sin(2 * np.pi * y / 7) + 1.5 * gaussian_filter(noise, 1)
    sizes = (1.5,) if kind == "grain" else (1, 3, 8)
    field = sum(size * gaussian_filter(noise, size, mode="wrap") for size in sizes)
    return np.asarray(field / np.std(field))


def at_border(heatmaps: Tensor, *, width: int) -> float:
    """Share of (B, 1, H, W) maps whose largest value lies in the outer `width` pixels."""
    place = heatmaps.flatten(1).argmax(1)
    y, x = place // heatmaps.shape[-1], place % heatmaps.shape[-1]
    near = torch.stack([y, x, heatmaps.shape[-2] - 1 - y, heatmaps.shape[-1] - 1 - x]).amin(0)
    return float((near < width).float().mean())
