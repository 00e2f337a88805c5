"""Threads that stand for the processes of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """What a process knows of the run, in a thread of this one."""

    def __init__(self, rank: int, count: int, shared: dict[str, Any]) -> None:
        self.rank, self.count, self._shared = rank, count, shared

    def gather(self, value: Any) -> list[Any]:
        self._shared["values"][self.rank] = value
        self._shared["all"].wait()
        found = list(self._shared["values"])
        self._shared["all"].wait()
        return found

    def gather_in_first(self, value: Any) -> list[Any]:
        found = self.gather(value)
        return found if self.rank == 0 else []

    def of_first(self, value: Any) -> Any:
        return self.gather(value)[0]

    def largest(self, values: list[float]) -> list[float]:
        return [max(each) for each in zip(*self.gather(values), strict=True)]


def in_threads(count: int, work: Callable[[Any], Any]) -> list[Any]:
    """Runs a function in threads, each with its place among them, and returns their results in order."""
    shared = {"values": [None] * count, "all": threading.Barrier(count, timeout=60)}
    found: list[Any] = [None] * count

    def run(rank: int) -> None:
        try:
            found[rank] = work(Threads(rank, count, shared))
        except BaseException:
            shared["all"].abort()  # the others would wait for it
            raise

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
