"""How far categories' normal features lie apart, layer by layer, and how far two halves of one do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adframe.results.patch_samples import TRAIN, PatchSample
from adframe.stats.two_sample import Mmd, cosine_of_means, median_distance, mmd_test, sliced_wasserstein

SPLITS = 5  # ways to part one category's images in two halves


@dataclass(frozen=True, slots=True)
class LayerDistance:
    """The distance between two categories in one layer; of a category from itself: between halves of it.

    Attributes:
        first: a category.
        second: another, or the same one: then all is the mean over `SPLITS` random ways to part its
            images in two halves. That is what no difference looks like; Wasserstein's is a little too
            large there, because halves are smaller.
        layer: its name.
        mmd: squared MMD and what permuting images makes of it; one bandwidth for all pairs of a layer.
            Of a category from itself `floor` and `p_value` are NaN.
        wasserstein: sliced 2-Wasserstein, in the layer's units: it compares within a layer only.
        cosine: 1 - cosine of the means.
    """

    first: str
    second: str
    layer: str
    mmd: Mmd
    wasserstein: float
    cosine: float


@dataclass(frozen=True, slots=True)
class _Rows:
    features: np.ndarray  # (n, C) float32
    images: np.ndarray  # (n,) of which image

    def part(self, chosen: np.ndarray) -> _Rows:
        return _Rows(self.features[chosen], self.images[chosen])


def layer_distances(
    samples: Mapping[str, PatchSample], *, most: int = 1000, permutations: int = 200, seed: int = 0
) -> list[LayerDistance]:
    """Of every unordered pair of categories, and of each with itself, in every layer that all have.

    Only patches of training images count, all of them normal. Layers come in the network's order, and
    in each (a, a), (a, b), ..., (b, b), ...: k (k + 1) / 2 entries for k categories.

    Args:
        samples: by category, of one network at one image size: distances between features of
            different networks mean nothing.
        most: patches of a category, drawn from its sample; MMD's time grows with their square.
        permutations: of images, for MMD.
        seed: of draws, halves, permutations and projections.
    """
    found = []
    for layer in shared_layers(samples):
        rows = {name: _rows(sample, layer, most=most, seed=seed) for name, sample in samples.items()}
        every = np.concatenate([part.features for part in rows.values()])
        width = median_distance(every[::2], every[1::2])
        for one, other in itertools.combinations_with_replacement(rows, 2):
            if one == other:
                found.append(_within(one, layer, rows[one], width=width, seed=seed))
            else:
                pair = (rows[one], rows[other])
                numbers = _between(*pair, width=width, permutations=permutations, seed=seed)
                found.append(LayerDistance(one, other, layer, *numbers))
    return found


def shared_layers(samples: Mapping[str, PatchSample]) -> list[str]:
    """Layers that all samples have, in the network's order, each with training patches enough to halve."""
    known = [
        [layer.name for layer in sample.layers if len(np.unique(layer.images[layer.kinds == TRAIN])) >= 4]
        for sample in samples.values()
    ]
    return [name for name in (known[0] if known else []) if all(name in names for names in known)]


def _rows(sample: PatchSample, name: str, *, most: int, seed: int) -> _Rows:
    layer = next(layer for layer in sample.layers if layer.name == name)
    places = np.flatnonzero(layer.kinds == TRAIN)
    drawn = np.sort(np.random.default_rng(seed).permutation(places)[:most])
    return _Rows(layer.features[drawn], layer.images[drawn])


def _between(
    one: _Rows, other: _Rows, *, width: float, permutations: int, seed: int
) -> tuple[Mmd, float, float]:
    a, b = one.features, other.features
    mmd = mmd_test(
        a, b, groups=(one.images, other.images), permutations=permutations, bandwidth=width, seed=seed
    )
    return mmd, sliced_wasserstein(a, b, seed=seed), cosine_of_means(a, b)


def _within(name: str, layer: str, rows: _Rows, *, width: float, seed: int) -> LayerDistance:
    """The mean over halves, whole images on each side."""
    rng, images, halves = np.random.default_rng(seed), np.unique(rows.images), []
    for _ in range(SPLITS):
        left = np.isin(rows.images, rng.permutation(images)[: len(images) // 2])
        halves.append(_between(rows.part(left), rows.part(~left), width=width, permutations=0, seed=seed))
    mmds, transports, cosines = zip(*halves, strict=True)
    squared, biased = (float(np.mean([getattr(mmd, key) for mmd in mmds])) for key in ("squared", "biased"))
    none = Mmd(squared, biased, floor=math.nan, p_value=math.nan, bandwidth=width)
    return LayerDistance(name, name, layer, none, float(np.mean(transports)), float(np.mean(cosines)))
