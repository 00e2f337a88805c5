"""The log of a service: one JSON object per line, without pictures, names of files or tokens."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO


class ServiceLog:
    """Writes events as JSON lines.

    Args:
        stream: where to; None for standard error.

    Example:
        >>> import io
        >>> out = io.StringIO()
        >>> ServiceLog(out).write("start", {"port": 8000})
        >>> json.loads(out.getvalue())["port"]
        8000
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def write(self, event: str, facts: Mapping[str, object] | None = None) -> None:
        """Writes one event.

        Args:
            event: its name.
            facts: numbers and texts by name; None for none.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **(facts or {})})
        stream = self._stream or sys.stderr
        with self._lock:
            stream.write(line + "\n")
            stream.flush()
