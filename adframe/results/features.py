"""Vectors of whole images, by name: described, kept in a run's folder, read back, put into words."""

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

FOLDER = "features"
_ALIKE = 0.05  # silhouettes nearer than this are not told apart: a few images make as much
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class View:
    """The vectors of one name, as they can be looked at."""

    name: str  # before | after | ...
    vectors: np.ndarray  # (N, D) float32
    pca: np.ndarray | None  # (N, 2) float32
    shares: np.ndarray | None  # (2,) of the variance
    tsne: np.ndarray | None  # (N, 2) float32
    silhouette: float | None  # of normal against anomalous images


@dataclass(frozen=True, slots=True)
class Features:
    """N test images of a category, in one view or several."""

    views: tuple[View, ...]
    paths: tuple[str, ...]
    defects: tuple[str, ...]
    subsets: tuple[str, ...]
    labels: np.ndarray  # (N,) int8; -1 where nobody knows


def described(vectors: Mapping[str, np.ndarray], records: Sequence[Record], *, seed: int) -> Features:
    """Planes and distances of what was collected.

    Args:
        vectors: (N, D) float32 by name; an image that is not finite in one of them is left out.
        records: of the N images.
        seed: of t-SNE.
    """
    keep = np.all([np.isfinite(each).all(axis=1) for each in vectors.values()], axis=0)
    kept = [record for record, good in zip(records, keep, strict=True) if good]
    labels = np.array([-1 if r.label is None else r.label for r in kept], dtype=np.int8)
    return Features(
        views=tuple(_view(name, each[keep], labels, seed=seed) for name, each in vectors.items()),
        paths=tuple(str(r.path) for r in kept),
        defects=tuple(r.defect for r in kept),
        subsets=tuple(r.subset for r in kept),
        labels=labels,
    )


def write_features(run: Path, features: Features, *, category: str) -> None:
    """Writes `features/<category>.npz`: vectors in float16, planes, paths, labels.

    Args:
        run: the run's folder.
        features: of the category.
        category: its name.
    """
    arrays: dict[str, Any] = {
        "names": np.array([view.name for view in features.views], dtype=str),
        "labels": features.labels,
        **{key: np.array(getattr(features, key), dtype=str) for key in ("paths", "defects", "subsets")},
    }
    for view in features.views:
        found = {"pca": view.pca, "shares": view.shares, "tsne": view.tsne, "silhouette": view.silhouette}
        arrays[view.name] = view.vectors.clip(-_LARGEST, _LARGEST).astype(np.float16)
        arrays |= {f"{view.name}_{key}": value for key, value in found.items() if value is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(run / FOLDER / f"{category}.npz", buffer.getvalue())


def read_features(run: Path, *, category: str) -> Features | None:
    """What `write_features` left; None where it left nothing.

    Raises:
        AdframeError: the file is there and cannot be understood.
    """
    path = run / FOLDER / f"{category}.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _unpacked(dict(stored))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error


def finding(features: Features) -> str:
    """One sentence: whether good and anomalous images part more in the last view than in the first."""
    first, last = features.views[0], features.views[-1]
    if first.silhouette is None or last.silhouette is None:
        return "Without at least two good and two anomalous images nothing can be said of their distance."
    one, two = round(first.silhouette, 2) + 0.0, round(last.silhouette, 2) + 0.0  # never -0.00
    how = "further apart" if two > one else "closer together"
    how, tail = ("about as far apart", "as") if abs(two - one) < _ALIKE else (how, "than")
    return (
        f"Good and anomalous test images lie {how} {last.name} {tail} {first.name}: "
        f"silhouette {one:.2f} {first.name}, {two:.2f} {last.name}."
    )


def _view(name: str, vectors: np.ndarray, labels: np.ndarray, *, seed: int) -> View:
    plane, shares = pca_plane(vectors) or (None, None)
    return View(
        name=name,
        vectors=vectors,
        pca=plane,
        shares=shares,
        tsne=tsne_plane(vectors, seed=seed),
        silhouette=silhouette(vectors, labels),
    )


def _unpacked(stored: Mapping[str, np.ndarray]) -> Features:
    views = tuple(
        View(
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
        raise ValueError("its columns are not of one length")
    return Features(views, paths, defects, subsets, stored["labels"])
