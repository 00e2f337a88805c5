"""A greedy selection that was begun before: where it is kept, and how it is known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store

FORMAT = 3  # of what is kept, and of the algorithm: another number finds none of the older files
INDEX = "index"  # name of the picks in what is kept


class Traversal:
    """One selection in a store: `<store>/traversals/<hash>.safetensors`, about 12 bytes a row.

    It is known by the rows' content, and by what decides the picks besides: the seed, the constants
    of the algorithm, and torch's version, which changes the last bits. So does the number of threads;
    it is left out, so that workers with few threads share what the first run selected with all.

    Args:
        store: where it is kept.
        rows: what is selected from; read once, to hash it.
        constants: the seed and whatever else decides the picks.
    """

    def __init__(self, store: Store, *, rows: Spool, constants: Sequence[float]) -> None:
        self.store = store
        found = blake2b(digest_size=20)
        facts = [FORMAT, rows.width, *constants, torch.__version__]
        found.update(repr(facts).encode())
        for _, block in rows.blocks():
            found.update(block.numpy().reshape(-1).data)
        self._key = f"traversals/{found.hexdigest()}"

    def read(self) -> dict[str, Tensor] | None:
        """What `write` kept; None where there is nothing."""
        return self.store.read(self._key)

    def write(self, state: Mapping[str, Tensor]) -> None:
        """Keeps a state, unless another process has kept a longer one meanwhile.

        Two that finish within the same milliseconds may leave the shorter one; it is as right.
        """
        other = self.read()
        if other is None or len(other[INDEX]) < len(state[INDEX]):
            self.store.write(self._key, state)
