"""k-means over rows on disk: scikit-learn's mini-batch algorithm, fed block by block."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from adframe.io.disk_matrix import Spool

PASSES = 3  # over all rows
SAMPLE = 65536  # rows that the start is chosen from


def k_means(rows: Spool, *, count: int, seed: int) -> Tensor:
    """Centres (count, D) float32 of (N, D) rows, N >= count; the same seed gives the same centres.

    k-means++ chooses the start on a sample; then mini-batches (Sculley, WWW 2010) of rows drawn
    without replacement pass `PASSES` times.
    """
    rng = np.random.default_rng(seed)
    batch = max(count, 8192)
    start = rows.gather(_drawn(rng, len(rows), count=max(SAMPLE, count))).numpy()
    model = MiniBatchKMeans(n_clusters=count, n_init=1, random_state=seed, batch_size=batch, max_iter=1)
    model.fit(start)
    for _ in range(PASSES):
        for part in torch.split(_drawn(rng, len(rows), count=len(rows)), batch):
            model.partial_fit(rows.gather(part.sort().values).numpy())
    return torch.from_numpy(model.cluster_centers_.astype(np.float32))


def _drawn(rng: np.random.Generator, total: int, *, count: int) -> Tensor:
    """Up to `count` different places below `total`, in random order."""
    return torch.from_numpy(rng.permutation(total)[:count])
