"""Stores tensors on disk between runs: found by key, bounded in size, and recomputed when they are lost."""

from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from adframe.errors import AdframeError
from adframe.io.files import remove_left_over, write_whole

# bytes that stay free, so that a store does not prevent a run from writing its results
DISK_RESERVE = 1 << 30
# After this many bytes the folder is measured again, because others may write, too.
RECOUNT_BYTES = 256 << 20


class Store:
    """A folder of safetensors files, one per key. Deleting it, or any file in it, only costs time.

    Several processes may share it without locks: a file is written to a temporary name and renamed, so that
    it is complete or absent, and processes that compute the same thing write the same file. A file with a
    wrong checksum, or with the tensors of another key, counts as missing, and the first one is reported.
    Where the store or the disk is full, nothing more is added and the run continues. Nothing is removed to
    make room: a sweep reads the same images in the same order in every run, and if the least recently used
    files were removed first, a store that is slightly too small would never contain the next file.

    Args:
        folder: folder of the files; created when the first one is written.
        limit_gb: largest size of the folder in 10^9 bytes, above 0; several processes at once may exceed it
            by 256 MiB each.
        dtype: type of features. `float16` takes half the space and rounds every feature to 11 bits (relative
            error up to 5e-4). Computed features are rounded as well, so that numbers do not depend on what
            was stored. Files of another dtype are not found.

    Raises:
        AdframeError: if the limit is not above 0.

    Example:
        >>> store = Store(Path("store"))
        >>> store.write("a", {"x": torch.ones(2)})
        >>> store.read("a")["x"].tolist(), store.read("b")
        ([1.0, 1.0], None)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        limit_gb: float = 20.0,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> None:
        if not limit_gb > 0:
            raise AdframeError(f"store.limit_gb={limit_gb} must be above 0; store=none stores nothing")
        self.folder, self.limit_gb = Path(folder), limit_gb
        self.dtype = torch.float16 if dtype == "float16" else torch.float32
        # Bytes that may still be written, as of the last count.
        self._room = 0
        self._uncounted = RECOUNT_BYTES  # bytes written since then
        # Whether an unusable file was reported.
        self._warned = False
        self._is_full = False  # whether nothing more is added

    def read(self, key: str) -> dict[str, Tensor] | None:
        """Reads the tensors of a key, memory-mapped.

        Args:
            key: name of the file without its suffix; may contain `/`.

        Returns:
            Tensors by name; None where the file is missing or damaged.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                metadata = file.metadata() or {}
        except Exception as error:  # the reader can fail in any way
            self._report_unusable(path, f"cannot be read ({' '.join(str(error).split())[:100]})")
            return None
        if metadata.get("crc32") == _checksum(tensors) and metadata.get("key") == key:
            return tensors
        other = metadata.get("key", key) != key
        self._report_unusable(
            path, f"holds another key's, {metadata['key']}" if other else "has a wrong checksum or no key"
        )
        return None

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Stores tensors under a key and replaces earlier ones; does nothing where there is no room.

        Args:
            key: as in `read`.
            tensors: tensors by name.
        """
        if self._is_full:
            return
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(own, metadata={"crc32": _checksum(own), "key": key})
        if self._uncounted >= RECOUNT_BYTES:
            self._room, self._uncounted = self._free_bytes(), 0
        if len(content) > self._room:
            self._stop_writing("is full", "delete it, or raise store.limit_gb where the disk has room")
            return
        try:
            write_whole(self._path(key), content)
        except AdframeError as error:
            self._stop_writing("takes no more", str(error))
            return
        self._room, self._uncounted = self._room - len(content), self._uncounted + len(content)

    def _report_unusable(self, path: Path, why: str) -> None:
        """Reports the first unusable file only, because a folder that was copied badly would have
        thousands.
        """
        # Another process may have removed it meanwhile.
        if path.exists() and not self._warned:
            self._warned = True
            _warn_once(
                f"note: {path} of the feature store {why}; such files count as missing and are written again"
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _free_bytes(self) -> int:
        """Returns the bytes that the limit and the disk leave."""
        place = next(p for p in (self.folder, *self.folder.absolute().parents) if p.is_dir())
        remove_left_over(self.folder)
        used = sum(_size_or_zero(path) for path in self.folder.rglob("*.*"))
        return min(int(self.limit_gb * 1e9) - used, shutil.disk_usage(place).free - DISK_RESERVE)

    def _stop_writing(self, state: str, advice: str) -> None:
        self._is_full = True
        _warn_once(
            f"note: the feature store {self.folder} {state}, the run goes on without adding to it; {advice}"
        )


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Computes CRC-32 of names, types, shapes and values, several times faster than a cryptographic hash."""
    found = 0
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _size_or_zero(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just renamed or removed it
        return 0


@cache
def _warn_once(text: str) -> None:
    """Logs a text once per process, however many categories and runs of a sweep meet it."""
    logging.getLogger(__name__).warning(text)
