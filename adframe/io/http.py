"""Downloads one file over HTTP: continues after a broken connection, and retries a few times."""

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

DOWNLOAD_BYTES = 2**20  # bytes read at once
# Status codes that may change soon, as may all from 500 on.
_TEMPORARY_STATUS = (408, 425, 429)


class UnreachableError(Exception):
    """The error for a file that cannot be downloaded; its text has the reason without advice.

    Example:
        >>> from pathlib import Path
        >>> download("http://localhost:9/a", part=Path("a"), waits=(), timeout=1)
        Traceback (most recent call last):
        adframe.io.http.UnreachableError: ...
    """


class _InterruptedError(Exception):
    """The error for an attempt that failed and may be repeated."""


def download(
    url: str,
    *,
    part: Path,
    waits: Sequence[float],
    timeout: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Downloads a file completely into `part`; bytes that `part` already has are not requested again.

    A server without support for ranges starts from the beginning. Proxies are taken from the environment, as
    in urllib. The caller checks whether the content is right.

    Args:
        url: http or https.
        part: the file; it remains after an error, for the next call.
        waits: seconds to wait before each retry; an attempt that gets further than all before resets the
            list.
        timeout: seconds without data after which a connection counts as broken.
        progress: called with the bytes so far and the total, 0 if the server does not state it; None reports
            nothing.

    Raises:
        UnreachableError: if the server refuses, or the last attempt fails.
        AdframeError: if the disk has no room for the rest.
        OSError: if `part` cannot be written.
    """
    furthest, pending = _file_size(part), list(waits)
    while True:
        try:
            return _attempt(url, part=part, timeout=timeout, progress=progress)
        except _InterruptedError as error:
            if (have := _file_size(part)) > furthest:
                furthest, pending = have, list(waits)
            if not pending:
                raise UnreachableError(str(error)) from error
            time.sleep(pending.pop(0))


def _attempt(url: str, *, part: Path, timeout: float, progress: Callable[[int, int], None] | None) -> None:
    have = _file_size(part)
    response = _open_response(url, part=part, have=have, timeout=timeout)
    if response is None:
        return
    with response:
        done, total = _byte_range(response, part=part, have=have)
        if total - done > (free := shutil.disk_usage(part.parent).free):
            raise AdframeError(
                f"no room for {url}: {_mb(total - done)} are missing and {part.parent} has {_mb(free)} free; "
                "free some disk space, or choose another dataset.root"
            )
        with part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
    # http.client reports a connection that ended early only where the whole body is read at once.
    if done < total:
        raise _InterruptedError(f"the connection ended after {_mb(done)} of {_mb(total)}")


def _open_response(url: str, *, part: Path, have: int, timeout: float) -> HTTPResponse | None:
    """Opens the server's response; None where the server states that `part` is complete."""
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
        again = error.code in _TEMPORARY_STATUS or error.code >= 500
        raise (_InterruptedError if again else UnreachableError)(
            f"the server says {_one_line(error)}"
        ) from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        again = not isinstance(reason, ssl.SSLCertVerificationError)
        raise (_InterruptedError if again else UnreachableError)(_one_line(reason)) from error
    except ValueError as error:  # a host name that cannot be encoded
        raise UnreachableError(_one_line(error)) from error
    if urlsplit(response.geturl()).scheme not in ("http", "https"):
        response.close()
        raise UnreachableError(
            f"the server redirects to {response.geturl()}, which is neither http nor https"
        )
    return response


def _byte_range(response: HTTPResponse, *, part: Path, have: int) -> tuple[int, int]:
    """Returns where the response starts and where the file ends, in bytes; 0 for an unknown end."""
    if response.status != 206:
        return 0, int(response.headers.get("Content-Length") or 0)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        # Otherwise the same range would be requested again, in vain.
        part.unlink(missing_ok=True)
        raise _InterruptedError(f"the server sent another range than the one from byte {have}")
    return have, 0 if found[2] == "*" else int(found[2])


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yields the body; errors of reading are caught here, apart from errors of writing the file."""
    while True:
        try:
            chunk = response.read(DOWNLOAD_BYTES)
        except (OSError, HTTPException) as error:
            raise _InterruptedError(_one_line(error)) from error
        if not chunk:
            return
        yield chunk


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
