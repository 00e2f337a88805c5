"""Work of the first process in which the others take part while they wait for its result.

Some parts of a run are computed by the first process alone, such as the fit of a memory bank. Where such a
part comes to work that can be divided, however deep inside, it asks the others for help: they wait in
`wait_and_help`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from adframe.io.processes import Processes

# The processes that can be asked for help; set in the first process while the others wait.
_waiting: ContextVar[Processes | None] = ContextVar("waiting", default=None)


@contextmanager
def others_wait(processes: Processes) -> Iterator[None]:
    """Lets the first process work, with the cores of the others, which call `wait_and_help` meanwhile.

    Args:
        processes: all processes of the run.
    """
    before = torch.get_num_threads()
    token = _waiting.set(processes)
    torch.set_num_threads(before * processes.local_count)
    try:
        yield
        processes.of_first(None)
    finally:
        torch.set_num_threads(before)
        _waiting.reset(token)


def wait_and_help(processes: Processes) -> None:
    """Does what the first process asks for, until it leaves `others_wait`.

    Args:
        processes: all processes of the run.
    """
    task: Callable[[], None] | None
    while (task := processes.of_first(None)) is not None:
        task()


def helpers() -> Processes:
    """Returns the processes that take part in a task; one, where no other waits."""
    return _waiting.get() or Processes()


@contextmanager
def ask_others(task: Callable[[], None]) -> Iterator[None]:
    """Starts a task in the waiting processes, while this one does its own part with its own cores.

    Args:
        task: can be pickled; the others call it.
    """
    processes = helpers()
    processes.of_first(task)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes.local_count))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
