"""Reads the body of a request within its limits, and takes the pictures out of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from adframe.serving.errors import RequestError
from adframe.serving.settings import ServiceSettings

_LONGEST_NAME = 200
# Content types of a body that is one picture; curl states the last one by itself.
_RAW = ("application/octet-stream", "image/", "application/x-www-form-urlencoded")


class ByteBudget:
    """Bounds the bytes that all requests hold at once, so that many large ones do not fill memory.

    Args:
        most: largest number of bytes.

    Example:
        >>> budget = ByteBudget(10)
        >>> budget.take(8)
        >>> budget.give_back(8)
        >>> budget.held
        0
    """

    def __init__(self, most: int) -> None:
        self._most, self._held, self._lock = most, 0, threading.Lock()

    @property
    def held(self) -> int:
        """The number of bytes that are held now."""
        return self._held

    def take(self, count: int) -> None:
        """Takes a part.

        Args:
            count: bytes.

        Raises:
            RequestError: 503, there is no room.
        """
        with self._lock:
            if self._held + count > self._most:
                raise RequestError(503, "busy", "too many large requests at once; try again later")
            self._held += count

    def give_back(self, count: int) -> None:
        """Gives a part back.

        Args:
            count: bytes.
        """
        with self._lock:
            self._held -= count


async def read_body(request: Request, settings: ServiceSettings, budget: ByteBudget) -> bytes:
    """Reads a body; what it holds of the budget must be given back by the caller.

    Args:
        request: the request.
        settings: with the largest size and the time limit.
        budget: of all bodies.

    Returns:
        The bytes.

    Raises:
        RequestError: it is too large, too slow or incomplete, or memory is short.
    """
    limit = settings.most_bytes
    too_large = RequestError(413, "too_large", f"the body is larger than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                budget.take(len(chunk))
                chunks.append(chunk)
    except BaseException as error:
        budget.give_back(sum(map(len, chunks)))
        if isinstance(error, TimeoutError):
            raise RequestError(
                408, "too_slow", f"the body did not arrive in {settings.body_seconds:g} seconds"
            ) from error
        if isinstance(error, ClientDisconnect):
            raise RequestError(400, "incomplete", "the connection ended before the body did") from error
        raise
    return b"".join(chunks)


async def pictures_in(body: bytes, headers: Headers, settings: ServiceSettings) -> list[tuple[str, bytes]]:
    """Takes the pictures out of a body: one as it is, or several as `multipart/form-data`.

    Args:
        body: the bytes.
        headers: of the request.
        settings: with the largest number of pictures.

    Returns:
        (name, bytes) of each picture.

    Raises:
        RequestError: there is no picture, there are too many, or the body is malformed or of another type.
    """
    kind = headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        found = await _parts(body, headers, settings)
    elif kind.startswith(_RAW):
        found = [("picture", body)] if body else []
    else:
        raise RequestError(
            415, "unsupported", "send one picture as the body, or several as multipart/form-data"
        )
    if not found:
        raise RequestError(400, "no_picture", "the request has no picture")
    return found


async def _parts(body: bytes, headers: Headers, settings: ServiceSettings) -> list[tuple[str, bytes]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(headers, stream(), max_files=settings.most_pictures, max_fields=16)
        # All bytes are in memory already; a file on disk would only be slower.
        parser.spool_max_size = settings.most_bytes + 1
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise RequestError(
                413, "too_many", f"a request may have {settings.most_pictures} pictures"
            ) from error
        raise RequestError(400, "malformed", f"the multipart body is malformed: {error.message}") from error
    except (KeyError, ValueError, AssertionError, UnicodeError) as error:
        raise RequestError(400, "malformed", "the multipart body is malformed") from error
    try:
        return [
            (_name_of(part, number), await part.read())
            for number, (_, part) in enumerate(form.multi_items())
            if isinstance(part, UploadFile)
        ]
    finally:
        await form.close()


def _name_of(part: UploadFile, number: int) -> str:
    """Returns the name that the client gave, without folders and characters that could not be printed."""
    name = (part.filename or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())[:_LONGEST_NAME]
    return name or f"picture {number}"
