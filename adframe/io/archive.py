"""Unpacks an untrusted tar or zip archive: plain files below one folder, or an error with the reason."""

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

COPY_BYTES = 2**20  # bytes read at once
# bytes that any archive may unpack to, because the ratio of a small one means nothing
FREE_RATIO = 64 * 2**20
_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    # A compression method of zip that Python does not support.
    NotImplementedError,
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one archive may unpack to before it counts as a bomb.

    Attributes:
        total: bytes of all its files together.
        ratio: unpacked bytes per byte of archive; images are compressed already, so theirs is near 1.
        members: number of files and folders.
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
    """Unpacks files and folders only, without owners, permissions, times and macOS metadata files.

    The kind of archive is detected by its first bytes: zip, otherwise tar, tar.gz, tar.bz2 or tar.xz.

    Args:
        path: the archive.
        into: an empty folder; files written before an error remain in it, and the caller removes them.
        strip: number of leading parts to drop from every name; members with no more parts are left out.
        limits: limits of size; None uses the defaults.
        progress: called with the bytes of the archive read so far and their total; None reports nothing.

    Raises:
        AdframeError: if the archive is broken, empty or a bomb, or a member is not a plain file below the
            folder: an absolute path, `..`, a drive letter, a link, a device. The message has the member.
        OSError: if the disk is full or not writable.
    """
    limits = limits or Limits()
    size, written = path.stat().st_size, 0
    allowed = min(limits.total, max(FREE_RATIO, int(limits.ratio * size)))
    try:
        with path.open("rb") as file:
            for count, member in enumerate(_members(file), start=1):
                if count > limits.members:
                    raise _RefusedError(member.name, f"it is one of more than {limits.members} members")
                if (parts := _target_parts(member.name, strip)) is None:
                    continue
                for block in _write_member(member, into.joinpath(*parts)):
                    if (written := written + block) > allowed:
                        raise _RefusedError(member.name, f"the archive unpacks to more than {allowed} bytes")
                    if progress:
                        progress(file.tell(), size)
    except _RefusedError as error:
        raise AdframeError(f"{path.name} is refused, and nothing of it was kept: {error}") from error
    except _ARCHIVE_ERRORS as error:
        # tarfile reports one line per compression it tried.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise AdframeError(f"{path.name} is broken, or neither tar nor zip: {reason}") from error
    if not written:
        raise AdframeError(f"{path.name} has no files below the {strip} leading path parts that are dropped")


class _RefusedError(Exception):
    def __init__(self, name: str, why: str) -> None:
        # `repr`, because a name may contain line breaks.
        super().__init__(f"member {name!r}: {why}")


def _target_parts(name: str, strip: int) -> tuple[str, ...] | None:
    """Returns the target of a member as path parts below the folder; None where it is left out."""
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
    # macOS adds metadata files such as `._0001.png`, which would count as images.
    if "__MACOSX" in parts or (parts and parts[-1].startswith("._")):
        return None
    return parts[strip:] or None


def _write_member(member: _Member, target: Path) -> Iterator[int]:
    """Writes one member, and yields the number of bytes of each block, so that the caller can stop."""
    try:
        (target if member.folder else target.parent).mkdir(parents=True, exist_ok=True)
        if member.folder:
            return
        with member.open() as source, target.open("xb") as file:
            while block := source.read(COPY_BYTES):
                # Before it is written, because a bomb must not fill the disk first.
                yield len(block)
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
            # Python's filter corrects an absolute path instead of refusing it.
            _target_parts(info.name, 0)
            try:
                tarfile.data_filter(info, ".")
            except tarfile.FilterError as error:
                raise _RefusedError(info.name, str(error)) from error
            yield _Member(info.name, info.isdir(), partial(_tar_contents, tar, info))


def _tar_contents(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    contents = tar.extractfile(info)
    # Never for a plain file; tarfile's signature allows it for links.
    if contents is None:
        raise _RefusedError(info.name, "it has no contents")
    return contents


def _zip_members(file: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # `filename` has lost null bytes, and on Windows backslashes.
            name = info.orig_filename
            if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(
                    name, "it is a link" if kind == stat.S_IFLNK else "it is a device or a pipe"
                )
            if info.flag_bits & 1:
                raise _RefusedError(name, "it is encrypted")
            yield _Member(name, info.is_dir(), partial(archive.open, info))
