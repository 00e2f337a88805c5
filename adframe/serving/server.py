"""Runs the service with uvicorn until a signal, then lets running requests end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from adframe.errors import AdframeError
from adframe.serving.settings import ServiceSettings


def create_server(app: ASGIApp, settings: ServiceSettings) -> uvicorn.Server:
    """Prepares a server; `server.run(sockets=[...])` runs it until SIGINT or SIGTERM.

    Args:
        app: the application.
        settings: limits of connections and times.

    Returns:
        The server.
    """

    class PatientProtocol(H11Protocol):
        """Closes connections whose request does not arrive; uvicorn itself waits for headers forever."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._headers_timer: asyncio.TimerHandle | None = None
            self._follow_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._follow_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._headers_timer is not None:
                self._headers_timer.cancel()
            super().connection_lost(exc)

        def _waits_for_headers(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _follow_headers(self) -> None:
            """Starts the clock with the first byte of a request, and stops it with its last header."""
            if not self._waits_for_headers():
                if self._headers_timer is not None:
                    self._headers_timer.cancel()
                self._headers_timer = None
            elif self._headers_timer is None:
                self._headers_timer = self.loop.call_later(settings.body_seconds, self._close_without_request)

        def _close_without_request(self) -> None:
            self._headers_timer = None
            if self._waits_for_headers():
                self.transport.close()

    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # the service writes its own log
        access_log=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(settings.shutdown_seconds),
        h11_max_incomplete_event_size=32 << 10,
    )
    return uvicorn.Server(config)


def open_socket(settings: ServiceSettings) -> socket.socket:
    """Opens the port before a model is loaded, so that a taken port is reported at once.

    Args:
        settings: with address and port.

    Returns:
        A listening socket.

    Raises:
        AdframeError: the address or the port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AdframeError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error
    return found


def run_server(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        server: of `create_server`.
        listening: of `open_socket`.

    Raises:
        AdframeError: the application did not start.
    """
    # Both write a line of text for every malformed request, which the service's own log has as a number.
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # After the last request uvicorn raises the signal again, which has done its work by then.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listening]))
    if not server.started:
        raise AdframeError("the service did not start; its log says why")
