"""Small test sets with maps of every temper, seeded."""

from __future__ import annotations

import numpy as np

from adframe.contracts import Region
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.regions import components
from tests.metrics.reference import Image

SIZE = 10
BIGGEST = np.finfo(np.float32).max


def _outlier(rng, shape):
    scores = rng.uniform(1, 1.001, shape)
    scores[0, 0] = 0
    return scores


# (H, W) scores, before what is anomalous is lifted
DRAWS = {
    "random": lambda rng, shape: rng.normal(size=shape),
    "unit": lambda rng, shape: rng.random(shape),
    "twelve_orders": lambda rng, shape: 10 ** rng.uniform(-6, 6, shape),
    "squeezed": lambda rng, shape: rng.uniform(1, 1.001, shape),
    "negative": lambda rng, shape: -rng.gamma(2, 3, shape),
    "tied": lambda rng, shape: rng.choice([0, 0, 0, 0, 0.25, 3], shape),
    "constant": lambda rng, shape: np.full(shape, 7.5),
    "zeros": lambda rng, shape: rng.choice([-0.0, 0.0], shape),
    "signed_zeros": lambda rng, shape: rng.choice([-1e-45, -0.0, 0.0, 1e-45], shape),
    "outlier": _outlier,
    "biggest": lambda rng, shape: rng.choice([-BIGGEST, -1, 1, BIGGEST], shape),
}
EXACT = ("squeezed", "tied", "constant", "zeros", "signed_zeros", "outlier", "biggest")


def images_of(draw: str, *, seed: int = 0, count: int = 4) -> list[Image]:
    """Every other image is good; the others hold a corner pixel, a patch at the border, one inside."""
    rng = np.random.default_rng(seed)
    images = []
    for i in range(count):
        heatmap = DRAWS[draw](rng, (SIZE, SIZE)).astype(np.float32)
        if i % 2 == 0:
            images.append(Image(heatmap, [], "good", "good", f"{draw}/{i}.png"))
            continue
        mask = np.zeros((SIZE, SIZE), bool)
        mask[0, 0] = mask[7:, 6:] = mask[2:5, 2 : 4 + i % 3] = True
        heatmap[mask] = np.maximum(heatmap[mask], rng.permutation(heatmap.ravel())[: mask.sum()])
        defect = "scratch" if i % 4 == 1 else "dent"
        images.append(Image(heatmap, components(mask), defect, path=f"{draw}/{i}.png"))
    return images


def loco(seed: int = 0) -> list[Image]:
    """Good, logical and structural images; regions overlap and saturate early."""
    rng = np.random.default_rng(seed)
    wide = Region(1, 1, np.ones((6, 6), bool), saturation=5.0)
    small = Region(4, 4, rng.random((5, 3)) < 0.8, saturation=2.0)
    kinds = [
        ("good", []),
        ("logical", [wide, small]),
        ("structural", [small]),
        ("logical", [small]),
        ("good", []),
    ]
    return [
        Image(rng.choice(40, (SIZE, SIZE)).astype(np.float32), regions, f"{subset}_anomalies", subset, f"{i}")
        for i, (subset, regions) in enumerate(kinds)
    ]


def fed(images: list[Image], **options) -> PixelMetrics:
    metrics = PixelMetrics(**options)
    for image in images:
        metrics.update(**image._asdict())
    return metrics
