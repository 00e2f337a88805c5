"""Stores greedy selections, so that a later run can continue one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store

# Version of the file and of the algorithm: files of another number are not found.
TRAVERSAL_FORMAT = 3
# Key of the picked rows in the stored state.
PICKS = "index"


class Traversal:
    """Stores the state of one selection: `<store>/traversals/<hash>.safetensors`, about 12 bytes per row.

    It is identified by the content of the rows, and by what else determines the picks: the seed, the
    constants of the algorithm, and torch's version, which changes the last bits. The number of threads
    changes them, too; it is left out, so that workers with few threads share what the first run selected with
    all threads.

    Args:
        store: where the state is stored.
        rows: rows from which the selection is made; read once, to hash them.
        constants: the seed and all other numbers that determine the picks.

    Example:
        >>> from pathlib import Path
        >>> rows = Spool()
        >>> rows.append(torch.rand(8, 2))
        >>> traversal = Traversal(Store(Path("store")), rows=rows, constants=[0])
        >>> traversal.write({PICKS: torch.tensor([3, 1])})
        >>> traversal.read()[PICKS].tolist()
        [3, 1]
    """

    def __init__(self, store: Store, *, rows: Spool, constants: Sequence[float]) -> None:
        self.store = store
        found = blake2b(digest_size=20)
        facts = [TRAVERSAL_FORMAT, rows.width, *constants, torch.__version__]
        found.update(repr(facts).encode())
        for _, block in rows.blocks():
            found.update(block.numpy().reshape(-1).data)
        self._key = f"traversals/{found.hexdigest()}"

    def read(self) -> dict[str, Tensor] | None:
        """Returns the stored state; None where there is none."""
        return self.store.read(self._key)

    def write(self, state: Mapping[str, Tensor]) -> None:
        """Stores a state, unless another process has stored a longer one.

        Two processes that finish within milliseconds may leave the shorter one, which is correct as well.

        Args:
            state: tensors by name, with the picked rows under `PICKS`.
        """
        other = self.read()
        if other is None or len(other[PICKS]) < len(state[PICKS]):
            self.store.write(self._key, state)
