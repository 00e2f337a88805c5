"""Unpacks a tar or zip archive from a stranger: plain files below one folder, or an error that says why."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from adframe.errors import AdframeError

CHUNK = 2**20  # bytes read at once
FREE_RATIO = 64 * 2**20  # bytes that any archive may unpack to: of a small one, the ratio says nothing
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip's compression method that Python does not have
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one archive may unpack to, before it counts as a bomb.

    Args:
        total: bytes of all its files together.
        ratio: bytes unpacked for one byte of archive; images are compressed already, so theirs is near 1.
        members: files and folders.
    """

    total: int = 200 * 10**9
    ratio: float = 100.0
    members: int = 2_000_000


@dataclass(frozen=True)
class _Member:
    name: str
    folder: bool
    open: Callable[[], IO[bytes]]


def unpack(
    path: Path,
    *,
    into: Path,
    strip: int = 0,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Unpacks files and folders only; owners, rights, times and macOS's own files are left behind.

    The kind of archive is read from its first bytes: zip, else tar, tar.gz, tar.bz2 or tar.xz.

    Args:
        path: the archive.
        into: an empty folder; what was written before an error stays in it, for the caller to remove.
        strip: leading parts dropped from every name; what has no more parts than that is left out.
        limits: what counts as a bomb; None: the default ones.
        progress: called with the archive's bytes read so far, and with all of them.

    Raises:
        AdframeError: a broken or empty archive, a bomb, or a member that is not a plain file below the
            folder: an absolute path, `..`, a drive letter, a link, a device. It names the member.
        OSError: the disk is full or not writable.
    """
    limits = limits or Limits()
    size, written = path.stat().st_size, 0
    allowed = min(limits.total, max(FREE_RATIO, int(limits.ratio * size)))
    try:
        with path.open("rb") as file:
            for count, member in enumerate(_members(file), start=1):
                if count > limits.members:
                    raise _RefusedError(member.name, f"it is one of more than {limits.members} members")
                if (parts := _parts(member.name, strip)) is None:
                    continue
                for block in _write(member, into.joinpath(*parts)):
                    if (written := written + block) > allowed:
                        raise _RefusedError(
                            member.name, f"with it the archive unpacks to more than {allowed} bytes"
                        )
                    if progress:
                        progress(file.tell(), size)
    except _RefusedError as error:
        raise AdframeError(f"{path.name} is refused, nothing of it was kept: {error}") from error
    except _BROKEN as error:
        reason = (
            str(error).partition("\n")[0] or type(error).__name__
        )  # tarfile says a line a method it tried
        raise AdframeError(f"{path.name} is broken, or neither tar nor zip: {reason}") from error
    if not written:
        raise AdframeError(f"{path.name} holds no files deeper than the {strip} leading path parts to drop")


class _RefusedError(Exception):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"member {name!r}: {why}")  # repr: a name may hold line breaks


def _parts(name: str, strip: int) -> tuple[str, ...] | None:
    """Where a member goes below the folder, None where it is left out."""
    for wrong, why in (
        (name.startswith("/"), "an absolute path"),
        (re.match(r"[A-Za-z]:", name), "a path with a drive letter"),
        ("\\" in name, "a path with a backslash"),
        ("\0" in name, "a path with a null byte"),
        (".." in name.split("/"), "a path that leaves the folder"),
    ):
        if wrong:
            raise _RefusedError(name, why)
    parts = PurePosixPath(name).parts
    # `._0001.png`, a Mac's note on a file, would pass for an image.
    if "__MACOSX" in parts or (parts and parts[-1].startswith("._")):
        return None
    return parts[strip:] or None


def _write(member: _Member, target: Path) -> Iterator[int]:
    """Writes one member, and gives the number of bytes after each block, so that the caller can stop."""
    try:
        (target if member.folder else target.parent).mkdir(parents=True, exist_ok=True)
        if member.folder:
            return
        with member.open() as source, target.open("xb") as file:
            while block := source.read(CHUNK):
                yield len(block)  # before it is written: a bomb must not fill the disk first
                file.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        raise _RefusedError(member.name, "it is listed twice, or as a file and as a folder") from error


def _members(file: BinaryIO) -> Iterator[_Member]:
    magic = file.read(4)
    file.seek(0)
    return _zip_members(file) if magic[:2] == b"PK" else _tar_members(file)


def _tar_members(file: BinaryIO) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for info in tar:
            if not (info.isreg() or info.isdir()):
                kind = "a link" if info.issym() or info.islnk() else "a device, a pipe or of an unknown kind"
                raise _RefusedError(info.name, f"it is {kind}")
            _parts(info.name, 0)  # Python's filter mends an absolute path instead of refusing it
            try:
                tarfile.data_filter(info, ".")
            except tarfile.FilterError as error:
                raise _RefusedError(info.name, str(error)) from error
            yield _Member(info.name, info.isdir(), partial(_contents, tar, info))


def _contents(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    contents = tar.extractfile(info)
    if contents is None:  # never so for a plain file; tarfile's signature allows it for links
        raise _RefusedError(info.name, "it has no contents")
    return contents


def _zip_members(file: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.orig_filename  # `filename` has lost null bytes, and on Windows backslashes
            if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(
                    name, "it is a link" if kind == stat.S_IFLNK else "it is a device or a pipe"
                )
            if info.flag_bits & 1:
                raise _RefusedError(name, "it is encrypted")
            yield _Member(name, info.is_dir(), partial(archive.open, info))
