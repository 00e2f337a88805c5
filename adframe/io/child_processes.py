"""What processes that start others, and those that are started, need."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache


@contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment, and restores them at the end.

    Args:
        values: name -> value.

    Example:
        >>> with environment_variables({"ADFRAME_EXAMPLE": "1"}):
        ...     os.environ["ADFRAME_EXAMPLE"]
        '1'
        >>> "ADFRAME_EXAMPLE" in os.environ
        False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def end_with_parent() -> None:
    """Ends this process when its parent has ended for any reason; starts one watching thread per process."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()
