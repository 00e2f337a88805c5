"""Many dimensions on a plane, and how far apart two groups are in all of them."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

FEWEST = 10  # images for t-SNE: below it neighbourhoods say nothing
_PERPLEXITY = 30.0


def principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The plane of the largest variance.

    Args:
        vectors: (N, D) float32.

    Returns:
        (N, 2) float32, and the share of the variance (2,) that each axis holds; None where fewer
        than three images, or images that are all alike, span no plane.
    """
    if len(vectors) < 3 or vectors.shape[1] < 2 or not _differ(vectors):
        return None
    pca = PCA(2, svd_solver="full")
    plane = pca.fit_transform(vectors.astype(np.float64))
    return plane.astype(np.float32), pca.explained_variance_ratio_.astype(np.float32)


def neighbourly(vectors: np.ndarray, *, seed: int) -> np.ndarray | None:
    """A plane in which near images stay near (van der Maaten and Hinton, 2008: t-SNE).

    Args:
        vectors: (N, D) float32.
        seed: of the descent.

    Returns:
        (N, 2) float32; None for fewer than `FEWEST` images, or for images that are all alike.
    """
    if len(vectors) < FEWEST or vectors.shape[1] < 2 or not _differ(vectors):
        return None
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, random_state=seed).fit_transform(vectors), np.float32)


def silhouette(vectors: np.ndarray, labels: np.ndarray) -> float | None:
    """How far two groups are apart (Rousseeuw, 1987): 1 far, 0 one inside the other, below 0 mixed up.

    Args:
        vectors: (N, D) float32; distances are Euclidean.
        labels: (N,) int, 0 or 1; what is negative is left out.

    Returns:
        The mean over images; None where a group has fewer than two.
    """
    known = labels >= 0
    if min((labels == 0).sum(), (labels == 1).sum()) < 2 or not _differ(vectors[known]):
        return None
    return float(silhouette_score(vectors[known].astype(np.float64), labels[known]))


def _differ(vectors: np.ndarray) -> bool:
    """Whether images differ by more than rounding."""
    spread = float(np.ptp(vectors, axis=0).max())
    return spread > 1e-6 * max(float(np.abs(vectors).max()), 1e-30)
