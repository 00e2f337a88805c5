"""One file over HTTP: goes on where a broken connection stopped, and tries again a few times."""

from __future__ import annotations

import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from adframe.errors import AdframeError

CHUNK = 2**20  # bytes read at once
_PASSING = (408, 425, 429)  # answers that may be another one in a minute, as may all from 500 on


class UnreachableError(Exception):
    """The file could not be had; the text is the reason, without advice."""


class _InterruptedError(Exception):
    """This attempt failed, another one may not."""


def download(
    url: str,
    *,
    part: Path,
    waits: Sequence[float],
    timeout: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Downloads into `part`, whole; what `part` holds already is not asked for again.

    A server that does not do ranges starts over. Proxies are taken from the environment, as urllib does.
    Whether the bytes are the right ones is for the caller to check.

    Args:
        url: http or https.
        part: the file; it stays after an error, for the next call.
        waits: seconds before each new attempt; an attempt that got further than all before it makes
            the count begin again.
        timeout: seconds without a byte after which a connection counts as broken.
        progress: called with the bytes so far and with all of them, 0 where the server does not say.

    Raises:
        UnreachableError: the server refused, or the last attempt failed.
        AdframeError: the disk has no room for the rest.
        OSError: `part` cannot be written.
    """
    furthest, pending = _size(part), list(waits)
    while True:
        try:
            return _attempt(url, part=part, timeout=timeout, progress=progress)
        except _InterruptedError as error:
            if (have := _size(part)) > furthest:
                furthest, pending = have, list(waits)
            if not pending:
                raise UnreachableError(str(error)) from error
            time.sleep(pending.pop(0))


def _attempt(url: str, *, part: Path, timeout: float, progress: Callable[[int, int], None] | None) -> None:
    have = _size(part)
    response = _ask(url, part=part, have=have, timeout=timeout)
    if response is None:
        return
    with response:
        done, total = _extent(response, part=part, have=have)
        if total - done > (free := shutil.disk_usage(part.parent).free):
            raise AdframeError(
                f"no room for {url}: {_mb(total - done)} are to come and {part.parent} has {_mb(free)} free; "
                "free some disk space, or choose another dataset.root"
            )
        with part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
    # http.client tells of a connection that ended early only where the whole body is read at once.
    if done < total:
        raise _InterruptedError(f"the connection ended after {_mb(done)} of {_mb(total)}")


def _ask(url: str, *, part: Path, have: int, timeout: float) -> HTTPResponse | None:
    """The server's answer, opened; None where it says that the bytes in `part` are all there are."""
    headers = {"User-Agent": "adframe"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if have and error.code == 416 and error.headers.get("Content-Range", "") == f"bytes */{have}":
            return None
        if have and error.code == 416:
            part.unlink(missing_ok=True)
            raise _InterruptedError("the server's file is shorter than what was downloaded before") from error
        again = error.code in _PASSING or error.code >= 500
        raise (_InterruptedError if again else UnreachableError)(f"the server says {_line(error)}") from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        again = not isinstance(reason, ssl.SSLCertVerificationError)
        raise (_InterruptedError if again else UnreachableError)(_line(reason)) from error
    except ValueError as error:  # a host name that cannot be written down
        raise UnreachableError(_line(error)) from error
    if urlsplit(response.geturl()).scheme not in ("http", "https"):
        response.close()
        raise UnreachableError(f"the server sends on to {response.geturl()}, neither http nor https")
    return response


def _extent(response: HTTPResponse, *, part: Path, have: int) -> tuple[int, int]:
    """Where the answer starts and where the file ends, in bytes; 0 for an end that is not told."""
    if response.status != 206:
        return 0, int(response.headers.get("Content-Length") or 0)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        part.unlink(missing_ok=True)  # else it would ask for the same range again, and again in vain
        raise _InterruptedError(f"the server sent another range than the one from byte {have}")
    return have, 0 if found[2] == "*" else int(found[2])


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The body; errors of reading it are told apart here from errors of writing the file."""
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, HTTPException) as error:
            raise _InterruptedError(_line(error)) from error
        if not chunk:
            return
        yield chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _line(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
