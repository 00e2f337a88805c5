"""The limits and choices of a service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adframe.errors import AdframeError

TOKEN_VARIABLE = "ADFRAME_SERVE_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How a service answers; every limit is checked before the work that it bounds.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        batch_size: largest number of pictures that a model inspects together.
        queue: largest number of pictures that wait for a model; beyond it requests get status 503.
        most_bytes: largest size of a request's body.
        most_pixels: largest number of pixels of a picture, checked before it is decoded.
        most_pictures: largest number of pictures in a request.
        body_seconds: time in which a request and its body must have arrived.
        connections: largest number of open connections.
        shutdown_seconds: time that running requests get after the signal to stop.
        threads: threads that decode pictures and draw overlays.
        token: what clients must send as `Authorization: Bearer <token>`; None lets everybody in.
        log: folder of the prediction log; None keeps none.
        log_parquet: whether finished files of the log become Parquet.

    Raises:
        AdframeError: a limit is not positive, or the token is too short.

    Example:
        >>> ServiceSettings(queue=8).most_pictures
        16
    """

    host: str = "127.0.0.1"
    port: int = 8000
    batch_size: int = 8
    queue: int = 64
    most_bytes: int = 32 << 20
    most_pixels: int = 50_000_000
    most_pictures: int = 16
    body_seconds: float = 30.0
    connections: int = 128
    shutdown_seconds: float = 30.0
    threads: int = 2
    token: str | None = None
    log: Path | None = None
    log_parquet: bool = False

    def __post_init__(self) -> None:
        for name in (
            "batch_size", "queue", "most_bytes", "most_pixels", "most_pictures", "body_seconds",
            "connections", "shutdown_seconds", "threads",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise AdframeError(f"{name}={getattr(self, name)} must be above 0")
        if self.token is not None and len(self.token) < 16:
            raise AdframeError(f"{TOKEN_VARIABLE} must have 16 characters or more, so that it is not guessed")

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine reach the service."""
        return self.host in LOOPBACK
