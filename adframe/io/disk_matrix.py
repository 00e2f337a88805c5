"""Rows kept on disk, so that memory does not grow with the number of training patches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError

BLOCK = 8192  # rows a read: a few megabytes, enough to run at the page cache's speed


class Spool:
    """An append-only matrix (N, D) float32 in an unnamed temporary file.

    The operating system's page cache makes reading as fast as memory while there is room, and
    gives the room back when others need it; the process itself holds one block at a time.

    Args:
        folder: where the file lies; None for the system's folder for temporary files.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        self.folder = str(folder or tempfile.gettempdir())
        try:
            # Unbuffered: a write that fails must fail here, not when a buffer is flushed later.
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (lives as long as we)
        except OSError as error:
            raise AdframeError(
                f"cannot keep features in {self.folder}: {error.strerror or error}; "
                "point model.spool at a folder that can be written"
            ) from error
        self.rows = 0
        self.width = 0

    def __len__(self) -> int:
        return self.rows

    def append(self, block: Tensor) -> None:
        """Adds (n, D) rows. Raises AdframeError when the disk is full."""
        rows = block.detach().to("cpu", torch.float32).contiguous().numpy()  # (n, D)
        if self.rows and rows.shape[1] != self.width:
            raise ValueError(f"rows are {rows.shape[1]} wide, the spool holds {self.width}")
        try:
            self._file.seek(self.rows * self.width * 4)  # over what an append that failed left behind
            rest = rows.reshape(-1).view(np.uint8).data
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise AdframeError(
                f"cannot keep {rows.nbytes >> 20} MiB more of features in {self.folder}: "
                f"{error.strerror or error}; free some space, or point model.spool at a larger disk"
            ) from error
        self.rows, self.width = self.rows + len(rows), rows.shape[1]

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start..stop as (n, D) float32."""
        stop = min(stop, self.rows)
        self._file.seek(start * self.width * 4)
        rows = np.fromfile(self._file, dtype=np.float32, count=(stop - start) * self.width)
        return torch.from_numpy(rows.reshape(-1, self.width))

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Every block with the index of its first row."""
        for start in range(0, self.rows, BLOCK):
            yield start, self.read(start, start + BLOCK)

    def gather(self, index: Tensor) -> Tensor:
        """Rows by index, in the order asked for: (len(index), D) float32; touches only their blocks."""
        order = torch.argsort(index)
        wanted = index[order]
        picked = torch.empty(len(index), self.width)
        starts = torch.unique_consecutive(wanted // BLOCK) * BLOCK
        for start in starts.tolist():
            low, high = torch.searchsorted(wanted, torch.tensor([start, start + BLOCK])).tolist()
            picked[order[low:high]] = self.read(start, start + BLOCK)[wanted[low:high] - start]
        return picked

    def close(self) -> None:
        """Gives the disk space back."""
        self._file.close()
