"""Keeps the rows of a memory bank in a named file, which is read in blocks and never as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.io.files import remove_left_over, temporary_name, write_error
from adframe.io.processes import Processes

DTYPES = {"float32": torch.float32, "float16": torch.float16}
# Bytes of a block: long enough for the speed of a disk, short enough that a few fit in any memory.
BLOCK_BYTES = 16 << 20
# Folder of files that no checkpoint refers to yet; what a killed process left there is removed.
FOLDER = "adframe-banks"


class RowFile:
    """A matrix (M, D) in a file; blocks are read ahead, and compared with their checksums once.

    Rows are read, not memory-mapped: the pages of a mapped file count as memory of the process.

    Args:
        path: the file.
        reference: `reference` of the file that was written: rows, width, type, rows of a block, checksums.

    Example:
        >>> file = write_rows([torch.eye(3)], dtype="float16", folder=Path("."))
        >>> file.rows, file.bytes, file.gather(torch.tensor([1])).tolist()
        (3, 18, [[0.0, 1.0, 0.0]])
        >>> file.place(Path("screw.bank"))
        >>> RowFile(Path("screw.bank"), file.reference).check()
    """

    def __init__(self, path: Path, reference: Mapping[str, Any]) -> None:
        self.path = path
        self.rows, self.width = int(reference["rows"]), int(reference["width"])
        self.block, self.dtype = int(reference["block"]), DTYPES[reference["dtype"]]
        self.checksums = tuple(reference["checksums"])
        self._checked: set[int] = set()  # numbers of the blocks whose checksum was compared
        self._remove: weakref.finalize[[Path], RowFile] | None = None  # while no checkpoint refers to it

    def __deepcopy__(self, _: object) -> RowFile:
        return self  # the rows never change

    @property
    def bytes(self) -> int:
        """Returns the size of the file."""
        return self.rows * self._row_bytes

    @property
    def reference(self) -> dict[str, Any]:
        """Returns what a checkpoint stores about the file: plain values."""
        return {
            "name": self.path.name,
            "bytes": self.bytes,
            "rows": self.rows,
            "width": self.width,
            "dtype": str(self.dtype).removeprefix("torch."),
            "block": self.block,
            "checksums": list(self.checksums),
        }

    def check(self) -> None:
        """Checks that the file is there and complete; checksums are compared when blocks are read.

        Raises:
            AdframeError: it is missing or has another size.
        """
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise AdframeError(
                f"memory bank {self.path} cannot be read: {error.strerror or error}; it belongs to the "
                "checkpoint next to it: copy both files, or fit the model again"
            ) from error
        if size != self.bytes:
            raise AdframeError(
                f"memory bank {self.path} has {size} bytes instead of {self.bytes}: it was not copied to its "
                "end, or belongs to another checkpoint; copy it again, or fit the model again"
            )

    def blocks(self, processes: Processes | None = None) -> Iterator[tuple[int, Tensor]]:
        """Yields all rows: (n, D) float32 blocks, with the index of the first row of each.

        The next block is read while the caller works with this one.

        Args:
            processes: yields the share of this process instead: every n-th block, of n processes.

        Raises:
            AdframeError: the file is missing, incomplete or damaged.
        """
        self.check()
        own = processes or Processes()
        step = own.count * self.block
        starts = range(own.rank * self.block, self.rows, step)
        with self.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as reader:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            following = reader.submit(self._read, file, starts[0]) if starts else None
            for start in starts:
                assert following is not None
                rows, then = following.result(), start + step
                following = reader.submit(self._read, file, then) if then < self.rows else None
                yield start, rows

    def gather(self, index: Tensor) -> Tensor:
        """Reads single rows.

        Args:
            index: int64 of any shape.

        Returns:
            (..., D) float32 on the CPU.
        """
        found = np.empty((index.numel(), self._row_bytes), np.uint8)
        with self.path.open("rb", buffering=0) as file:
            for row, place in zip(found, index.flatten().tolist(), strict=True):
                file.seek(place * self._row_bytes)
                self._fill(file, row)
        return self._rows_of(found.reshape(-1)).view(*index.shape, self.width)

    def place(self, path: Path) -> None:
        """Gives the file its name next to a checkpoint; a file that already has one is copied.

        Args:
            path: the file, on any disk; another one of this name is replaced.

        Raises:
            AdframeError: the disk is full, or the folder is not writable.
        """
        temporary = temporary_name(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._remove is None:
                shutil.copyfile(self.path, temporary)
            else:
                shutil.move(self.path, temporary)
                self._remove.detach()
                self._remove = None
            temporary.replace(path)
        except OSError as error:
            raise write_error(path, error) from error
        finally:
            _remove_file(temporary)
        self.path = path

    def remove_when_unused(self) -> None:
        """Removes the file when nothing uses this object any more, unless `place` names it before."""
        self._remove = weakref.finalize(self, _remove_file, self.path)

    @property
    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def _read(self, file: BinaryIO, start: int) -> Tensor:
        data = np.empty((min(self.rows, start + self.block) - start) * self._row_bytes, np.uint8)
        file.seek(start * self._row_bytes)
        self._fill(file, data)
        number = start // self.block
        # Once is enough, because nothing changes the file. A bank without checksums is not compared.
        if self.checksums and number not in self._checked:
            if hashlib.sha256(data.data).hexdigest() != self.checksums[number]:
                raise AdframeError(
                    f"memory bank {self.path} is damaged, or of another checkpoint: the checksum from "
                    f"row {start} on is wrong; copy it again, or fit the model again"
                )
            self._checked.add(number)
        return self._rows_of(data)

    def _fill(self, file: BinaryIO, data: np.ndarray) -> None:
        rest = memoryview(data.data)
        while len(rest):
            count = file.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise AdframeError(f"memory bank {self.path} ended while it was read: it has become shorter")
            rest = rest[count:]

    def _rows_of(self, data: np.ndarray) -> Tensor:
        return torch.from_numpy(data).view(self.dtype).view(-1, self.width).float()


def write_rows(blocks: Iterable[Tensor], *, dtype: str, folder: Path | None) -> RowFile:
    """Writes rows to a new file, which is removed when nothing uses it any more, unless it is placed.

    Args:
        blocks: (n, D) rows in any number of blocks; one of them is in memory at a time.
        dtype: `float32` or `float16`.
        folder: the file is made in a folder of its own in this one; None takes the system's for temporary
            files.

    Returns:
        The file.

    Raises:
        AdframeError: the disk is full, the folder is not writable, or a number is too large for float16.
    """
    own = Path(folder or tempfile.gettempdir()) / FOLDER
    path = temporary_name(own / "bank")
    try:
        own.mkdir(parents=True, exist_ok=True)
        remove_left_over(own)
        with path.open("wb", buffering=0) as file:
            return _written(file, path, blocks, dtype)
    except BaseException as error:
        _remove_file(path)
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def _written(file: BinaryIO, path: Path, blocks: Iterable[Tensor], dtype: str) -> RowFile:
    rows, width, block = 0, 0, 1
    digest, left = hashlib.sha256(), 0  # of the current block, and its bytes that are still to come
    checksums: list[str] = []
    for part in blocks:
        stored = part.detach().cpu().to(DTYPES[dtype]).contiguous()
        if not rows:
            width = stored.shape[1]
            block = max(1, BLOCK_BYTES // (width * stored.element_size()))
            left = block * width * stored.element_size()
        if stored.isinf().any():
            raise AdframeError("a feature is too large for memory.dtype=float16; set memory.dtype=float32")
        rest = memoryview(stored.reshape(-1).view(torch.uint8).numpy().data)
        rows += len(stored)
        while len(rest):
            count = file.write(rest[:left])
            digest.update(rest[:count])
            rest, left = rest[count:], left - count
            if not left:
                checksums.append(digest.hexdigest())
                digest, left = hashlib.sha256(), block * width * stored.element_size()
    if rows % block:
        checksums.append(digest.hexdigest())
    reference = {"rows": rows, "width": width, "dtype": dtype, "block": block, "checksums": checksums}
    made = RowFile(path, reference)
    made._checked.update(range(len(checksums)))
    made.remove_when_unused()
    return made


def _remove_file(path: Path) -> None:
    with contextlib.suppress(OSError):  # the caller's own error matters more
        path.unlink(missing_ok=True)
