"""Tensors kept on disk between runs: found again by key, bounded, and never missed when they are lost."""

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
from adframe.io.files import clear_left_over, write_whole

RESERVE = 1 << 30  # bytes of disk left free: a store must not keep a run from writing its results
RECOUNT = 256 << 20  # bytes written after which the folder is measured again: others may write, too


class Store:
    """A folder of safetensors files, one a key. Deleting it, or any file in it, costs time only.

    Several processes may share it without locks: a file is written beside and renamed, so that it
    is whole or not there, and whoever computes the same thing twice writes the same file. A file
    whose checksum is wrong, or which holds another key's tensors, counts as missing, and the first one
    is named. Where the store is full, or the disk, nothing more is
    added and the run goes on. Nothing is thrown out to make room: a sweep reads the same images in
    the same order in every run, and with the least recently used files going first a store that is
    a little too small would never hold the one that is asked for next.

    Args:
        folder: where the files lie; made when the first one is written.
        limit_gb: most that the folder may take, 10^9 bytes each; several processes at once may
            go over it by 256 MiB each.
        dtype: of features. `float16` takes half the room and rounds every feature to 11 bits
            (relative error up to 5e-4); what a run computes is rounded like what it reads, so that
            its numbers do not depend on what was there. Another dtype finds none of the other's files.

    Raises:
        AdframeError: a limit that is not above 0.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        limit_gb: float = 20.0,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> None:
        if not limit_gb > 0:
            raise AdframeError(f"store.limit_gb={limit_gb} must be above 0; store=none keeps nothing")
        self.folder, self.limit_gb = Path(folder), limit_gb
        self.dtype = torch.float16 if dtype == "float16" else torch.float32
        self._room = 0  # bytes that may still be written, as of the last count
        self._uncounted = RECOUNT  # bytes written since then
        self._told = False  # that a file cannot be used
        self._closed = False  # full: nothing more is added

    def read(self, key: str) -> dict[str, Tensor] | None:
        """What was written under a key, memory-mapped; None where it is not there or damaged."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                noted = file.metadata() or {}
        except Exception as error:  # its reader can fail in any way
            self._tell(path, f"cannot be read ({' '.join(str(error).split())[:100]})")
            return None
        if noted.get("crc32") == _checksum(tensors) and noted.get("key") == key:
            return tensors
        other = noted.get("key", key) != key
        self._tell(
            path, f"holds another key's, {noted['key']}" if other else "has a wrong checksum or no key"
        )
        return None

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps tensors under a key, in place of what was there; where there is no room, does nothing."""
        if self._closed:
            return
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(own, metadata={"crc32": _checksum(own), "key": key})
        if self._uncounted >= RECOUNT:
            self._room, self._uncounted = self._counted(), 0
        if len(content) > self._room:
            self._close("is full", "delete it, or raise store.limit_gb where the disk has room")
            return
        try:
            write_whole(self._path(key), content)
        except AdframeError as error:
            self._close("takes no more", str(error))
            return
        self._room, self._uncounted = self._room - len(content), self._uncounted + len(content)

    def _tell(self, path: Path, why: str) -> None:
        """Says it of the first file only: a folder that was copied badly would have thousands."""
        if path.exists() and not self._told:  # another process may have removed it meanwhile
            self._told = True
            _say(
                f"note: {path} of the feature store {why}; such files count as missing and are written again"
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _counted(self) -> int:
        """Bytes that the limit and the disk leave."""
        place = next(p for p in (self.folder, *self.folder.absolute().parents) if p.is_dir())
        clear_left_over(self.folder)
        used = sum(_size(path) for path in self.folder.rglob("*.*"))
        return min(int(self.limit_gb * 1e9) - used, shutil.disk_usage(place).free - RESERVE)

    def _close(self, state: str, advice: str) -> None:
        self._closed = True
        _say(f"note: the feature store {self.folder} {state}, the run goes on without adding to it; {advice}")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 of names, kinds, shapes and values: several times faster than a cryptographic hash."""
    found = 0
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just renamed or removed it
        return 0


@cache
def _say(text: str) -> None:
    """Once a process, however many categories and runs of a sweep meet it."""
    logging.getLogger(__name__).warning(text)
