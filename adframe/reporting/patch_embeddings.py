"""Embeddings of sampled patches in two dimensions: t-SNE, and UMAP where it is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from adframe.contracts import GOOD
from adframe.reporting.document import Figure
from adframe.reporting.figures import cloud
from adframe.results.patch_samples import ANOMALOUS, NORMAL, TRAIN, LayerSample, PatchSample
from adframe.stats.embeddings import MIN_TSNE_IMAGES, tsne_plane

PATCHES_SHOWN = 250  # patches of a kind in a panel: more would hide each other
_NAMED_TYPES = 5  # types of defect with their own colour
NO_UMAP = "UMAP is not installed, so its figures are missing: pip install 'adframe[umap]'."
METHODS = {"tsne": "t-SNE", "umap": "UMAP"}
_KIND_NAMES = {TRAIN: "training", NORMAL: "test, normal"}
Plane = tuple[np.ndarray, list[str]]  # (n, 2) points, and the group of each


def has_umap() -> bool:
    """Returns whether UMAP is installed."""
    try:
        _umap()
    except ImportError:
        return False
    return True


def plane(vectors: np.ndarray, *, method: str, seed: int) -> np.ndarray | None:
    """Maps vectors to a plane in which near vectors stay near.

    Args:
        vectors: (N, D) float32.
        method: `tsne` (van der Maaten and Hinton, JMLR 9, 2008) or `umap` (McInnes et al., arXiv 1802.03426;
            15 neighbours), whose package must be installed.
        seed: of the optimisation; the same seed gives the same plane.

    Returns:
        (N, 2) float32; None where there are too few vectors, or all are equal.
    """
    if method == "tsne":
        with threadpool_limits(1):  # its threads wait in busy loops: on busy cores two are eight times slower
            return tsne_plane(vectors, seed=seed)
    if len(vectors) < MIN_TSNE_IMAGES or not np.ptp(vectors, axis=0).any():
        return None
    model: Any = _umap().UMAP(n_neighbors=min(15, len(vectors) - 1), random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(vectors), np.float32)


def kinds_figure(sample: PatchSample, *, name: str, method: str, seed: int) -> Figure | None:
    """Draws the patches of a category by kind, one panel per layer.

    Args:
        sample: of one category.
        name: of the figure's files.
        method: `tsne` or `umap`.
        seed: of the choice of patches and of the optimisation.

    Returns:
        The figure; None where too few patches were kept.
    """
    panels = {}
    for layer in sample.layers:
        rows = _draw_patches(layer, kinds=(TRAIN, NORMAL, ANOMALOUS), seed=seed)
        points = plane(layer.features[rows], method=method, seed=seed)
        if points is not None:
            panels[layer.name] = (points, _group_names(sample, layer, rows))
    caption = (
        f"{METHODS[method]} of up to {PATCHES_SHOWN} sampled patches of {sample.category} "
        f"({sample.backbone}) of each kind, layer by layer. An anomalous patch is one of which at least "
        f"{100 * sample.covered:.0f}% is annotated; it is named by its defect type. Only neighbourhoods "
        "have a meaning, not distances between clusters."
    )
    return cloud(name, caption=caption, panels=panels) if panels else None


def categories_figure(
    samples: Mapping[str, PatchSample], *, name: str, method: str, seed: int
) -> Figure | None:
    """Draws training patches of several categories together, one panel per layer, coloured by category.

    Args:
        samples: category -> its sample, all of one network; layers that some samples lack are left out.
        name: of the figure's files.
        method: `tsne` or `umap`.
        seed: of the choice of patches and of the optimisation.

    Returns:
        The figure; None where too few patches were kept.
    """
    shared = [
        layer.name
        for layer in next(iter(samples.values())).layers
        if all(layer.name in [own.name for own in sample.layers] for sample in samples.values())
    ]
    panels = {}
    for layer_name in shared:
        vectors, groups = [], []
        for category, sample in samples.items():
            layer = next(own for own in sample.layers if own.name == layer_name)
            rows = _draw_patches(layer, kinds=(TRAIN,), seed=seed)
            vectors.append(layer.features[rows])
            groups += [category] * len(rows)
        points = plane(np.concatenate(vectors), method=method, seed=seed)
        if points is not None:
            panels[layer_name] = (points, groups)
    caption = (
        f"{METHODS[method]} of up to {PATCHES_SHOWN} patches of the training images of each category, "
        "layer by layer."
    )
    return cloud(name, caption=caption, panels=panels) if panels else None


def _draw_patches(layer: LayerSample, *, kinds: Sequence[int], seed: int) -> np.ndarray:
    """Draws up to `PATCHES_SHOWN` patches of each kind, ordered by kind, so that defects lie on top."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(layer.kinds == kind))[:PATCHES_SHOWN] for kind in kinds]
    return np.concatenate(parts)


def _group_names(sample: PatchSample, layer: LayerSample, rows: np.ndarray) -> list[str]:
    """Names the group of each patch; the rarest types of defect share a name where there are many."""
    every = Counter(
        sample.defects[image]
        for own in sample.layers
        for image in own.images[own.kinds == ANOMALOUS].tolist()
    )
    named = {name for name, _ in sorted(every.items(), key=lambda each: (-each[1], each[0]))[:_NAMED_TYPES]}
    names = []
    for kind, image in zip(layer.kinds[rows].tolist(), layer.images[rows].tolist(), strict=True):
        defect = sample.defects[image]
        other = "anomalous" if defect == GOOD else defect if defect in named else "other defects"
        names.append(_KIND_NAMES.get(kind, other))
    return names


def _umap() -> Any:
    import umap  # its import takes seconds, so it is imported only when used

    return umap
