"""Embeddings of whole images: projected, stored in a run's folder, read back, and described."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.io.files import write_whole
from adframe.stats.embeddings import pca_plane, silhouette, tsne_plane

FEATURES_FOLDER = "features"
_SIMILAR = 0.05  # silhouettes that differ by less count as equal: a few images change them by as much
_MAX_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class FeatureView:
    """The embeddings of one name, with their projections to a plane.

    Attributes:
        name: such as `before` or `after`.
        vectors: (N, D) float32.
        pca: (N, 2) float32, the first two principal components; None where they are undefined.
        shares: (2,) the shares of the variance in those components, in [0, 1]; None as for `pca`.
        tsne: (N, 2) float32; None for too few images.
        silhouette: of normal and anomalous images, in [-1, 1]; None with fewer than two of either.

    Example:
        >>> view = FeatureView("after", np.zeros((5, 8), np.float32), None, None, None, silhouette=0.3)
        >>> view.vectors.shape
        (5, 8)
    """

    name: str
    vectors: np.ndarray
    pca: np.ndarray | None
    shares: np.ndarray | None
    tsne: np.ndarray | None
    silhouette: float | None


@dataclass(frozen=True, slots=True)
class Features:
    """The embeddings of N test images of a category, in one or several views.

    Attributes:
        views: one per name, in order.
        paths: the image files.
        defects: types of defect, `good` for normal images.
        subsets: `good`, `anomaly`, `logical`, `structural` or `unlabelled`.
        labels: (N,) int8, 0 normal, 1 anomalous, -1 unknown.

    Example:
        >>> view = FeatureView("after", np.zeros((1, 8), np.float32), None, None, None, silhouette=None)
        >>> Features((view,), ("000.png",), ("good",), ("good",), np.zeros(1, np.int8)).paths
        ('000.png',)
    """

    views: tuple[FeatureView, ...]
    paths: tuple[str, ...]
    defects: tuple[str, ...]
    subsets: tuple[str, ...]
    labels: np.ndarray


def describe_features(vectors: Mapping[str, np.ndarray], records: Sequence[Record], *, seed: int) -> Features:
    """Projects embeddings to planes and measures how far normal and anomalous images lie apart.

    Args:
        vectors: name -> (N, D) float32; an image with a value that is not finite is left out everywhere.
        records: the N images.
        seed: of t-SNE.

    Returns:
        The embeddings of the kept images with one view per name.
    """
    keep = np.all([np.isfinite(each).all(axis=1) for each in vectors.values()], axis=0)
    kept = [record for record, good in zip(records, keep, strict=True) if good]
    labels = np.array([-1 if r.label is None else r.label for r in kept], dtype=np.int8)
    return Features(
        views=tuple(_feature_view(name, each[keep], labels, seed=seed) for name, each in vectors.items()),
        paths=tuple(str(r.path) for r in kept),
        defects=tuple(r.defect for r in kept),
        subsets=tuple(r.subset for r in kept),
        labels=labels,
    )


def write_features(run: Path, features: Features, *, category: str) -> None:
    """Writes `features/<category>.npz`: vectors in float16, planes, paths, labels.

    Args:
        run: the run's folder.
        features: the embeddings of the category.
        category: its name.
    """
    arrays: dict[str, Any] = {
        "names": np.array([view.name for view in features.views], dtype=str),
        "labels": features.labels,
        **{key: np.array(getattr(features, key), dtype=str) for key in ("paths", "defects", "subsets")},
    }
    for view in features.views:
        found = {"pca": view.pca, "shares": view.shares, "tsne": view.tsne, "silhouette": view.silhouette}
        arrays[view.name] = view.vectors.clip(-_MAX_HALF, _MAX_HALF).astype(np.float16)
        arrays |= {f"{view.name}_{key}": value for key, value in found.items() if value is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(run / FEATURES_FOLDER / f"{category}.npz", buffer.getvalue())


def read_features(run: Path, *, category: str) -> Features | None:
    """Reads the file of `write_features`.

    Args:
        run: the run's folder.
        category: the name of a category.

    Returns:
        The embeddings; None where there is no file.

    Raises:
        AdframeError: the file exists and cannot be read.
    """
    path = run / FEATURES_FOLDER / f"{category}.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _unpack_features(dict(stored))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error


def features_finding(features: Features) -> str:
    """Describes whether normal and anomalous images lie further apart in the last view than in the first.

    Args:
        features: the embeddings of a category.

    Returns:
        One sentence.
    """
    first, last = features.views[0], features.views[-1]
    if first.silhouette is None or last.silhouette is None:
        return "Without at least two good and two anomalous images nothing can be said about their distance."
    one, two = round(first.silhouette, 2) + 0.0, round(last.silhouette, 2) + 0.0  # never -0.00
    how = "further apart" if two > one else "closer together"
    how, tail = ("about as far apart", "as") if abs(two - one) < _SIMILAR else (how, "than")
    return (
        f"Good and anomalous test images lie {how} {last.name} {tail} {first.name}: "
        f"silhouette {one:.2f} {first.name}, {two:.2f} {last.name}."
    )


def _feature_view(name: str, vectors: np.ndarray, labels: np.ndarray, *, seed: int) -> FeatureView:
    plane, shares = pca_plane(vectors) or (None, None)
    return FeatureView(
        name=name,
        vectors=vectors,
        pca=plane,
        shares=shares,
        tsne=tsne_plane(vectors, seed=seed),
        silhouette=silhouette(vectors, labels),
    )


def _unpack_features(stored: Mapping[str, np.ndarray]) -> Features:
    views = tuple(
        FeatureView(
            name=name,
            vectors=stored[name].astype(np.float32),
            pca=stored.get(f"{name}_pca"),
            shares=stored.get(f"{name}_shares"),
            tsne=stored.get(f"{name}_tsne"),
            silhouette=float(stored[key]) if (key := f"{name}_silhouette") in stored else None,
        )
        for name in stored["names"].tolist()
    )
    paths, defects, subsets = (tuple(stored[key].tolist()) for key in ("paths", "defects", "subsets"))
    if not views or any(len(each) != len(paths) for each in (defects, subsets, stored["labels"])):
        raise ValueError("its columns differ in length")
    return Features(views, paths, defects, subsets, stored["labels"])
