"""Runs k-means over rows on disk: scikit-learn's mini-batch algorithm, block by block."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool

PASSES = 3  # number of passes over all rows
# Rows from which k-means++ chooses the start.
START_ROWS = 65536


def k_means(rows: Spool, *, count: int, seed: int) -> Tensor:
    """Computes k-means centres; the same seed gives the same centres.

    k-means++ chooses the start on a sample; then mini-batches (Sculley, WWW 2010) of rows drawn without
    replacement pass `PASSES` times.

    Args:
        rows: (N, D), N >= count.
        count: number of centres.
        seed: seed of all draws.

    Returns:
        (count, D) float32 centres.
    """
    from sklearn.cluster import MiniBatchKMeans  # half a second, which other memories do not need

    rng = np.random.default_rng(seed)
    batch = max(count, 8192)
    start = rows.gather(_random_places(rng, len(rows), count=max(START_ROWS, count))).numpy()
    model = MiniBatchKMeans(n_clusters=count, n_init=1, random_state=seed, batch_size=batch, max_iter=1)
    model.fit(start)
    for _ in range(PASSES):
        for part in torch.split(_random_places(rng, len(rows), count=len(rows)), batch):
            model.partial_fit(rows.gather(part.sort().values).numpy())
    return torch.from_numpy(model.cluster_centers_.astype(np.float32))


def _random_places(rng: np.random.Generator, total: int, *, count: int) -> Tensor:
    """Returns up to `count` distinct positions below `total`, in random order."""
    return torch.from_numpy(rng.permutation(total)[:count])
