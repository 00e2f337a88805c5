"""Projects vectors to a plane, and measures the separation of two groups.

scikit-learn is imported by its first use: with pandas, which it imports, it takes half a second of the start
of every command.
"""

from __future__ import annotations

import numpy as np

# Below this number neighbourhoods mean nothing.
MIN_TSNE_IMAGES = 10
_PERPLEXITY = 30.0


def pca_plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Projects vectors to the plane of largest variance.

    Args:
        vectors: (N, D) float32.

    Returns:
        (N, 2) float32 and the share of the variance (2,) of each axis; None where no plane exists: fewer than
        three images, or all images equal.
    """
    if len(vectors) < 3 or vectors.shape[1] < 2 or not _differ(vectors):
        return None
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")
    plane = pca.fit_transform(vectors.astype(np.float64))
    return plane.astype(np.float32), pca.explained_variance_ratio_.astype(np.float32)


def tsne_plane(vectors: np.ndarray, *, seed: int) -> np.ndarray | None:
    """Projects vectors to a plane in which neighbours stay neighbours: t-SNE (van der Maaten and Hinton,
    2008).

    Args:
        vectors: (N, D) float32.
        seed: seed of the optimisation.

    Returns:
        (N, 2) float32; None for fewer than `MIN_TSNE_IMAGES` images, or if all images are equal.
    """
    if len(vectors) < MIN_TSNE_IMAGES or vectors.shape[1] < 2 or not _differ(vectors):
        return None
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, random_state=seed).fit_transform(vectors), np.float32)


def silhouette(vectors: np.ndarray, labels: np.ndarray) -> float | None:
    """Computes the silhouette of two groups (Rousseeuw, 1987): 1 separate, 0 overlapping, below 0 mixed.

    Args:
        vectors: (N, D) float32; distances are Euclidean.
        labels: (N,) int, 0 or 1; images with a negative label are left out.

    Returns:
        The mean over images, in [-1, 1]; None where a group has fewer than two.
    """
    known = labels >= 0
    if min((labels == 0).sum(), (labels == 1).sum()) < 2 or not _differ(vectors[known]):
        return None
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(vectors[known].astype(np.float64), labels[known]))


def _differ(vectors: np.ndarray) -> bool:
    """Tells whether images differ by more than rounding."""
    spread = float(np.ptp(vectors, axis=0).max())
    return spread > 1e-6 * max(float(np.abs(vectors).max()), 1e-30)
