"""Distances between normal features of categories, layer by layer, and between halves of each category."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adframe.results.patch_samples import TRAIN, PatchSample
from adframe.stats.two_sample import Mmd, cosine_of_means, median_distance, mmd_test, sliced_wasserstein

HALVINGS = 5  # random ways to split the images of one category into two halves


@dataclass(frozen=True, slots=True)
class LayerDistance:
    """The distance between two categories in one layer.

    Attributes:
        first: a category.
        second: another category, or the same one: then all values are means over `HALVINGS` random splits of
            its images into two halves. They show what no difference looks like; the Wasserstein distance is
            a little too large there, because halves are smaller.
        layer: the name of the layer.
        mmd: the squared MMD and its permutation test; one bandwidth for all pairs of a layer. Between halves
            of one category, `floor` and `p_value` are NaN.
        wasserstein: sliced 2-Wasserstein distance in the units of the layer, comparable within a layer only.
        cosine: 1 - cosine similarity of the means, in [0, 2].

    Example:
        >>> mmd = Mmd(squared=0.1, biased=0.12, floor=0.02, p_value=0.005, bandwidth=1.0)
        >>> LayerDistance("bolt", "tray", "layer2", mmd, wasserstein=0.4, cosine=0.05).mmd.p_value
        0.005
    """

    first: str
    second: str
    layer: str
    mmd: Mmd
    wasserstein: float
    cosine: float


@dataclass(frozen=True, slots=True)
class _PatchRows:
    features: np.ndarray  # (n, C) float32
    images: np.ndarray  # (n,) number of the image of each patch

    def select(self, chosen: np.ndarray) -> _PatchRows:
        return _PatchRows(self.features[chosen], self.images[chosen])


def layer_distances(
    samples: Mapping[str, PatchSample], *, most: int = 1000, permutations: int = 200, seed: int = 0
) -> list[LayerDistance]:
    """Measures every unordered pair of categories, and each category with itself, in every shared layer.

    Only patches of training images count, all of them normal.

    Args:
        samples: category -> its sample, all of one network at one image size: distances between features of
            different networks have no meaning.
        most: largest number of patches per category, drawn from its sample; the time of MMD grows with its
            square.
        permutations: number of permutations of the images for MMD.
        seed: of draws, halves, permutations and projections.

    Returns:
        Layers in the network's order, in each (a, a), (a, b), ..., (b, b), ...: k (k + 1) / 2 entries for
        k categories.
    """
    found = []
    for layer in shared_layers(samples):
        rows = {name: _sampled_rows(sample, layer, most=most, seed=seed) for name, sample in samples.items()}
        pooled = np.concatenate([part.features for part in rows.values()])
        # One bandwidth for all pairs, because MMD values of different bandwidths cannot be compared.
        width = median_distance(pooled[::2], pooled[1::2])
        for one, other in itertools.combinations_with_replacement(rows, 2):
            if one == other:
                found.append(_within_category(one, layer, rows[one], width=width, seed=seed))
            else:
                pair = (rows[one], rows[other])
                numbers = _between_samples(*pair, width=width, permutations=permutations, seed=seed)
                found.append(LayerDistance(one, other, layer, *numbers))
    return found


def shared_layers(samples: Mapping[str, PatchSample]) -> list[str]:
    """Lists the layers that all samples have.

    Args:
        samples: category -> its sample.

    Returns:
        Names in the network's order; layers with fewer than four training images are left out, because
        they cannot be halved.
    """
    known = [
        [layer.name for layer in sample.layers if len(np.unique(layer.images[layer.kinds == TRAIN])) >= 4]
        for sample in samples.values()
    ]
    return [name for name in (known[0] if known else []) if all(name in names for names in known)]


def _sampled_rows(sample: PatchSample, name: str, *, most: int, seed: int) -> _PatchRows:
    layer = next(layer for layer in sample.layers if layer.name == name)
    places = np.flatnonzero(layer.kinds == TRAIN)
    drawn = np.sort(np.random.default_rng(seed).permutation(places)[:most])
    return _PatchRows(layer.features[drawn], layer.images[drawn])


def _between_samples(
    one: _PatchRows, other: _PatchRows, *, width: float, permutations: int, seed: int
) -> tuple[Mmd, float, float]:
    a, b = one.features, other.features
    mmd = mmd_test(
        a, b, groups=(one.images, other.images), permutations=permutations, bandwidth=width, seed=seed
    )
    return mmd, sliced_wasserstein(a, b, seed=seed), cosine_of_means(a, b)


def _within_category(name: str, layer: str, rows: _PatchRows, *, width: float, seed: int) -> LayerDistance:
    """Returns means over random halves of a category; the patches of an image stay together."""
    rng, images, halves = np.random.default_rng(seed), np.unique(rows.images), []
    for _ in range(HALVINGS):
        left = np.isin(rows.images, rng.permutation(images)[: len(images) // 2])
        halves.append(
            _between_samples(rows.select(left), rows.select(~left), width=width, permutations=0, seed=seed)
        )
    mmds, transports, cosines = zip(*halves, strict=True)
    squared, biased = (float(np.mean([getattr(mmd, key) for mmd in mmds])) for key in ("squared", "biased"))
    mean_mmd = Mmd(squared, biased, floor=math.nan, p_value=math.nan, bandwidth=width)
    return LayerDistance(name, name, layer, mean_mmd, float(np.mean(transports)), float(np.mean(cosines)))
