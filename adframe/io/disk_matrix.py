"""Keeps rows on disk, so that memory does not grow with the number of training patches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError

# Rows per read: a few megabytes, enough for the speed of the page cache.
READ_ROWS = 8192


class Spool:
    """An append-only matrix (N, D) float32 in an unnamed temporary file.

    The page cache of the operating system makes reading as fast as memory while there is room, and releases
    it when others need it; the process itself holds one block at a time.

    Args:
        folder: folder of the file; None uses the system's folder for temporary files.

    Raises:
        AdframeError: if the folder is not writable.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> len(rows), rows.gather(torch.tensor([1])).tolist()
        (2, [[3.0, 4.0]])
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        self.folder = str(folder or tempfile.gettempdir())
        try:
            # Unbuffered, so that a failing write fails here and not when a buffer is flushed later.
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (lives as long as we)
        except OSError as error:
            raise AdframeError(
                f"cannot store features in {self.folder}: {error.strerror or error}; "
                "set model.spool= to a writable folder"
            ) from error
        self.rows = 0
        self.width = 0

    def __len__(self) -> int:
        return self.rows

    def append(self, block: Tensor) -> None:
        """Appends rows.

        Args:
            block: (n, D).

        Raises:
            AdframeError: if the disk is full.
            ValueError: if D differs from that of earlier rows.
        """
        rows = block.detach().to("cpu", torch.float32).contiguous().numpy()  # (n, D)
        if self.rows and rows.shape[1] != self.width:
            raise ValueError(f"rows are {rows.shape[1]} wide, the spool holds {self.width}")
        try:
            # Overwrites the rest of a failed append.
            self._file.seek(self.rows * self.width * 4)
            rest = rows.reshape(-1).view(np.uint8).data
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise AdframeError(
                f"cannot store {rows.nbytes >> 20} MiB more of features in {self.folder}: "
                f"{error.strerror or error}; free some space, or set model.spool= to a larger disk"
            ) from error
        self.rows, self.width = self.rows + len(rows), rows.shape[1]

    def read(self, start: int, stop: int) -> Tensor:
        """Reads consecutive rows.

        Args:
            start: index of the first row.
            stop: index after the last row; may exceed the number of rows.

        Returns:
            (n, D) float32.
        """
        stop = min(stop, self.rows)
        self._file.seek(start * self.width * 4)
        rows = np.fromfile(self._file, dtype=np.float32, count=(stop - start) * self.width)
        return torch.from_numpy(rows.reshape(-1, self.width))

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Yields every block with the index of its first row."""
        for start in range(0, self.rows, READ_ROWS):
            yield start, self.read(start, start + READ_ROWS)

    def gather(self, index: Tensor) -> Tensor:
        """Reads rows by index; only their blocks are read.

        Args:
            index: (n,) int64, in any order.

        Returns:
            (n, D) float32, in the order of `index`.
        """
        order = torch.argsort(index)
        wanted = index[order]
        picked = torch.empty(len(index), self.width)
        starts = torch.unique_consecutive(wanted // READ_ROWS) * READ_ROWS
        for start in starts.tolist():
            low, high = torch.searchsorted(wanted, torch.tensor([start, start + READ_ROWS])).tolist()
            picked[order[low:high]] = self.read(start, start + READ_ROWS)[wanted[low:high] - start]
        return picked

    def close(self) -> None:
        """Releases the disk space."""
        self._file.close()
