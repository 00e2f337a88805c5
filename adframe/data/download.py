"""Downloads a public dataset: official archives, checked by SHA-256, installed completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from adframe.errors import AdframeError
from adframe.io.archive import Limits, unpack
from adframe.io.http import UnreachableError, download
from adframe.io.install import exclusive, move_all, refuse_existing, remove_empty

STORE = ".download"  # below a dataset's root: unfinished downloads, and archives before they are unpacked
WAITS = (2.0, 10.0, 30.0)  # seconds before each new attempt


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive of a dataset, as its authors publish it.

    Args:
        url: http, https or file address.
        sha256: checksum of the archive, 64 hexadecimal digits.
        strip: number of leading path parts to drop: 1 where the archive holds one folder with the categories.
        into: subfolder of the dataset's root, for instance where each category has an archive of its own.

    Raises:
        AdframeError: if a value is impossible.

    Example:
        >>> archive = Archive(url="https://example.org/sets/bottle.tar.xz", sha256="0" * 64, into="bottle")
        >>> archive.file
        'bottle.tar.xz'
    """

    url: str
    sha256: str
    strip: int = 0
    into: str = ""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https", "file") or not self.file:
            raise AdframeError(
                f"url={self.url!r} must be http://, https:// or file:// and end in a file's name"
            )
        if not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise AdframeError(f"sha256={self.sha256!r} of {self.url} must be 64 hexadecimal digits")
        if self.strip < 0:
            raise AdframeError(f"strip={self.strip} of {self.url} must be 0 or more")
        into = PurePosixPath(self.into)
        below = not into.is_absolute() and ".." not in into.parts and not re.search(r"[\\:]", self.into)
        if self.into and not (below and into.parts):
            raise AdframeError(f"into={self.into!r} of {self.url} must be a folder below the dataset's root")

    @property
    def file(self) -> str:
        """The file name of the archive: the last part of its address."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


def fetch(
    archives: Sequence[Archive],
    *,
    root: Path,
    name: str,
    licence: str,
    homepage: str,
    say: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    waits: Sequence[float] = WAITS,
    timeout: float = 60.0,
    limits: Limits | None = None,
) -> None:
    """Downloads, checks and unpacks all archives, then moves everything into `root` at once.

    An interrupted download stays in `<root>/.download/<file>.part`, and the next call continues it.
    An archive that was put into `<root>/.download/` by hand is used if its checksum is right.
    The disk needs space for the archives and for their content.

    Args:
        archives: in any order; each file name may occur once.
        root: the folder of the dataset; created if it is missing.
        name: the name that a user types after `dataset=`, for messages.
        licence: reported before anything else happens.
        homepage: the page with the terms, where a person gets the data if the download fails.
        say: called with one line before each step; None is silent.
        progress: called with the current step, the bytes so far, and all bytes (0 where unknown).
        waits: seconds before each new attempt to reach a server.
        timeout: seconds without a byte after which a connection counts as broken.
        limits: largest size to which one archive may unpack; None uses the defaults.

    Raises:
        AdframeError: if an address does not answer, a checksum is wrong, an archive is broken or unsafe, the
            disk is full, or a category exists already. `root` then holds the same files as before, and
            `.download` where a file in it saves time on the next attempt.
    """
    files = [archive.file for archive in archives]
    if repeated := sorted(file for file in set(files) if files.count(file) > 1):
        raise AdframeError(f"dataset={name}: two archives have the file name {repeated[0]}")
    job = _Job(
        root=Path(root),
        name=name,
        homepage=homepage,
        say=say or _ignore,
        progress=progress or _ignore,
        waits=tuple(waits),
        timeout=timeout,
        limits=limits or Limits(),
    )
    job.say(f"dataset={name}: licence {licence}, terms at {homepage}")
    job.run(archives)


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One call of `fetch`, with the archives that it downloaded."""

    root: Path
    name: str
    homepage: str
    say: Callable[[str], None]
    progress: Callable[[str, int, int], None]
    waits: tuple[float, ...]
    timeout: float
    limits: Limits
    downloaded: list[Path] = field(default_factory=list)  # by this call; removed in the end

    @property
    def store(self) -> Path:
        return self.root / STORE

    def run(self, archives: Sequence[Archive]) -> None:
        new, staged = not self.root.exists(), self.store / "unpacked"
        try:
            refuse_existing(self.root / PurePosixPath(a.into).parts[0] for a in archives if a.into)
            with exclusive(self.store):
                try:
                    self._fetch(archives, staged)
                finally:
                    shutil.rmtree(staged, ignore_errors=True)
        except AdframeError as error:
            raise AdframeError(f"dataset={self.name}: {error}") from error
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some disk space" if full else "check the disk and the folder's rights"
            raise AdframeError(
                f"dataset={self.name}: cannot write below {self.root}: {error.strerror or error}; {advice}, "
                f"then run again: what was downloaded is kept in {self.store}"
            ) from error
        finally:
            remove_empty(self.store)
            if new:
                remove_empty(self.root)

    def _fetch(self, archives: Sequence[Archive], staged: Path) -> None:
        paths = [self._obtain(archive) for archive in archives]
        shutil.rmtree(staged, ignore_errors=True)  # left over by a run that was killed
        # Every archive has a folder of its own, so that equal names in two archives do not collide here.
        folders = [staged / str(number) for number in range(len(archives))]
        for archive, path, folder in zip(archives, paths, folders, strict=True):
            self._unpack(archive, path, folder / archive.into)
        move_all(folders, self.root)
        for path in paths:
            if path in self.downloaded:
                path.unlink()
            else:
                self.say(f"{path} is kept; delete it if you need the space")

    def _obtain(self, archive: Archive) -> Path:
        """Returns the path of a checked archive: local, from the store, or downloaded now."""
        path, wanted = self.store / archive.file, archive.sha256.lower()
        if urlsplit(archive.url).scheme == "file":
            path = Path(url2pathname(urlsplit(archive.url).path))
            if not path.is_file():
                raise AdframeError(f"there is no archive {path}; correct url={archive.url}")
        if not path.is_file():
            self._download(archive, path)
        elif (found := self._checksum(path)) != wanted:
            raise AdframeError(
                f"{path} has SHA-256 {found}, expected {wanted}; delete it, or put the right {archive.file} "
                f"there, from {self.homepage}"
            )
        return path

    def _download(self, archive: Archive, path: Path) -> None:
        part, wanted = path.with_name(f"{path.name}.part"), archive.sha256.lower()
        self.say(f"downloading {archive.url} to {path}")
        try:
            download(
                archive.url,
                part=part,
                waits=self.waits,
                timeout=self.timeout,
                progress=lambda done, total: self.progress(f"downloading {archive.file}", done, total),
            )
        except UnreachableError as error:
            raise AdframeError(
                f"cannot download {archive.url}: {error}; run again to continue, or download "
                f"{archive.file} by hand from {self.homepage} and put it at {path}"
            ) from error
        if (found := self._checksum(part)) != wanted:
            # Continuing a wrong file could never give the right checksum.
            part.unlink()
            raise AdframeError(
                f"{archive.url} has SHA-256 {found}, expected {wanted}; it was removed, run again; "
                f"if the error stays, another file is at this address now: see {self.homepage}"
            )
        part.rename(path)
        self.downloaded.append(path)

    def _checksum(self, path: Path) -> str:
        what = f"checking {path.name.removesuffix('.part')}"
        self.say(what)
        digest, done, total = hashlib.sha256(), 0, path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
                done += len(block)
                self.progress(what, done, total)
        return digest.hexdigest()

    def _unpack(self, archive: Archive, path: Path, into: Path) -> None:
        what = f"unpacking {path.name}"
        self.say(what)
        into.mkdir(parents=True)
        try:
            unpack(
                path,
                into=into,
                strip=archive.strip,
                limits=self.limits,
                progress=lambda done, total: self.progress(what, done, total),
            )
        except AdframeError as error:
            if path in self.downloaded:
                # The checksum is right, so neither continuing nor checking again would help.
                path.unlink()
            raise AdframeError(f"{error}; see {self.homepage}") from error
