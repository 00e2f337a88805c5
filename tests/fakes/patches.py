"""Patch samples whose distances and ranks can be said by hand."""

from __future__ import annotations

import numpy as np

from adframe.results.patch_samples import ANOMALOUS, NORMAL, TRAIN, LayerSample, PatchSample


def layer(
    name: str, *, moved: float = 0.0, auroc: float = 0.8, images: int = 8, each: int = 5, seed: int = 0
) -> LayerSample:
    """`each` patches of each of `images` images of every kind, with draws around the AUROC."""
    rng = np.random.default_rng([seed, len(name)])
    count = images * each
    features = rng.normal(moved, 1, (3 * count, 6)).astype(np.float32)
    features[2 * count :] += 4  # the anomalous ones
    drawn = auroc + rng.normal(0, 0.01, (2, 200)).astype(np.float32)
    return LayerSample(
        name=name,
        grid=(7, 9),
        features=features.astype(np.float16).astype(np.float32),
        kinds=np.repeat(np.array([TRAIN, NORMAL, ANOMALOUS], np.int8), count),
        images=np.repeat(np.arange(3 * images, dtype=np.int32), each),
        cells=rng.integers(0, 7, (3 * count, 2)).astype(np.int16),
        image_auroc=(auroc, auroc - 0.02, auroc + 0.02),
        patch_auroc=(auroc, auroc - 0.02, auroc + 0.02),
        drawn=drawn,
        reached=images,
    )


def sample(category: str, *layers: LayerSample, images: int = 8) -> PatchSample:
    """Of a category; the third kind of images has dents and scratches."""
    return PatchSample(
        category=category,
        backbone="tiny",
        layers=layers or (layer("layer1"), layer("layer2", auroc=0.9)),
        paths=tuple(f"{category}/{place}.png" for place in range(3 * images)),
        defects=tuple(["good"] * 2 * images + ["dent", "scratch"] * (images // 2)),
        covered=0.5,
        anomalous=images,
        tested=2 * images,
        seconds=1.5,
    )
