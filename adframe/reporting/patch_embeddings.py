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

SHOWN = 250  # patches of a kind in a picture: more would hide each other
_TYPES = 5  # defect types told apart in a picture
NO_UMAP = "UMAP is not installed here, so there are no figures of it: pip install 'adframe[umap]'."
METHODS = {"tsne": "t-SNE", "umap": "UMAP"}
_KINDS = {TRAIN: "training", NORMAL: "test, normal"}
Plane = tuple[np.ndarray, list[str]]  # (n, 2) and the group of each point


def has_umap() -> bool:
    """Whether UMAP is installed."""
    try:
        _umap()
    except ImportError:
        return False
    return True


def plane(vectors: np.ndarray, *, method: str, seed: int) -> np.ndarray | None:
    """(N, D) on a plane in which near patches stay near: (N, 2); None for too few, or all alike.

    Args:
        vectors: float32.
        method: `tsne` (van der Maaten and Hinton, JMLR 9, 2008) or `umap` (McInnes et al., arXiv
            1802.03426; 15 neighbours), whose package must be there.
        seed: of the descent: the same seed gives the same plane.
    """
    if method == "tsne":
        with threadpool_limits(1):  # its threads wait by spinning: on busy cores two are eight times slower
            return tsne_plane(vectors, seed=seed)
    if len(vectors) < MIN_TSNE_IMAGES or not np.ptp(vectors, axis=0).any():
        return None
    model: Any = _umap().UMAP(n_neighbors=min(15, len(vectors) - 1), random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(vectors), np.float32)


def kinds_figure(sample: PatchSample, *, name: str, method: str, seed: int) -> Figure | None:
    """The patches of a category by kind, one panel per layer; None where too few were kept.

    Args:
        sample: of one category.
        name: of the figure's files.
        method: `tsne` or `umap`.
        seed: of the draw and of the descent.
    """
    panels = {}
    for layer in sample.layers:
        rows = _few(layer, kinds=(TRAIN, NORMAL, ANOMALOUS), seed=seed)
        points = plane(layer.features[rows], method=method, seed=seed)
        if points is not None:
            panels[layer.name] = (points, _groups(sample, layer, rows))
    caption = (
        f"{METHODS[method]} of up to {SHOWN} sampled patches of {sample.category} ({sample.backbone}) of "
        "each kind, layer by layer. An anomalous patch is one of which at least "
        f"{100 * sample.covered:.0f}% is annotated; it is named by its defect type. Only neighbourhoods "
        "have a meaning, not distances between clusters."
    )
    return _figure(name, caption, panels)


def classes_figure(samples: Mapping[str, PatchSample], *, name: str, method: str, seed: int) -> Figure | None:
    """Training patches of several categories together, one panel per layer, coloured by category.

    Args:
        samples: by category, of one network; layers that not all of them have are left out.
        name: of the figure's files.
        method: `tsne` or `umap`.
        seed: of the draw and of the descent.
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
            rows = _few(layer, kinds=(TRAIN,), seed=seed)
            vectors.append(layer.features[rows])
            groups += [category] * len(rows)
        points = plane(np.concatenate(vectors), method=method, seed=seed)
        if points is not None:
            panels[layer_name] = (points, groups)
    caption = (
        f"{METHODS[method]} of up to {SHOWN} patches of the training images of each category, layer by layer."
    )
    return _figure(name, caption, panels)


def _figure(name: str, caption: str, panels: Mapping[str, Plane]) -> Figure | None:
    return cloud(name, caption=caption, panels=panels) if panels else None


def _few(layer: LayerSample, *, kinds: Sequence[int], seed: int) -> np.ndarray:
    """Places of up to `SHOWN` patches of each kind, drawn; ordered by kind, so that defects lie on top."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(layer.kinds == kind))[:SHOWN] for kind in kinds]
    return np.concatenate(parts)


def _groups(sample: PatchSample, layer: LayerSample, rows: np.ndarray) -> list[str]:
    """What each patch is called; the rarest defect types share a name where there are many."""
    every = Counter(
        sample.defects[image]
        for own in sample.layers
        for image in own.images[own.kinds == ANOMALOUS].tolist()
    )
    told = {name for name, _ in sorted(every.items(), key=lambda each: (-each[1], each[0]))[:_TYPES]}
    names = []
    for kind, image in zip(layer.kinds[rows].tolist(), layer.images[rows].tolist(), strict=True):
        defect = sample.defects[image]
        other = "anomalous" if defect == GOOD else defect if defect in told else "other defects"
        names.append(_KINDS.get(kind, other))
    return names


def _umap() -> Any:
    import umap  # takes seconds to load, so only where it is wanted

    return umap
