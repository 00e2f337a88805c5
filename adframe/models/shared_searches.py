"""Searches in banks on disk that the processes of a run do for each other.

In a step of validation or test every process has images of its own. With a bank on disk it would read the
whole file for them. Here each process reads its share of the file, and searches it for the images of all
processes; the nearest rows of the shares are merged. The processes need not search equally often: one that is
done with its images, or has none, searches for the others until all are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from adframe.io.processes import Processes, current_processes
from adframe.ops.block_search import Nearest, merge_nearest


@dataclass(frozen=True, slots=True)
class Query:
    """Rows that are searched in a bank.

    Attributes:
        groups: (B, Q, D) on the CPU; each group is searched by itself.
        count: number of neighbours per row.
        limit_mb: largest memory in MiB for a distance matrix.
    """

    groups: Tensor
    count: int
    limit_mb: int


@runtime_checkable
class SharedBank(Protocol):
    """A bank of which every process can search its share."""

    def search_share(self, queries: Sequence[Query], processes: Processes) -> list[list[Nearest]]:
        """Finds the nearest rows of each group of each query, in one pass of a share of the bank.

        Args:
            queries: what to search.
            processes: this process searches its share of the bank.

        Returns:
            Per query one result per group, on the CPU.
        """


class SharedSearches:
    """One step of all processes.

    Args:
        banks: those of the method, in the same order in every process.
        processes: all processes of the run.
    """

    def __init__(self, banks: list[SharedBank], processes: Processes) -> None:
        self._banks, self._processes = banks, processes

    def search(self, bank: SharedBank, query: Query) -> list[Nearest]:
        """Searches a bank, with the help of the other processes.

        Args:
            bank: one of `banks`.
            query: what to search.

        Returns:
            One result per group, on the CPU.
        """
        place = next(i for i, own in enumerate(self._banks) if own is bank)
        parts = self._exchange((place, query))
        return [merge_nearest(each, count=query.count) for each in zip(*parts, strict=True)]

    def finish(self) -> None:
        """Searches for the other processes until all are done with this step."""
        while self._exchange(None):
            pass

    def _exchange(self, asked: tuple[int, Query] | None) -> list[list[Nearest]]:
        """Answers the queries of all processes, and returns the answers to the own one, by rank.

        A process that asks for nothing while others do gets empty answers; all get [] when none asks.
        """
        queries = self._processes.gather(asked)
        if all(query is None for query in queries):
            return []
        answers: list[list[Nearest]] = [[] for _ in queries]
        for place, bank in enumerate(self._banks):
            asking = {rank: query[1] for rank, query in enumerate(queries) if query and query[0] == place}
            if asking:
                found = bank.search_share(list(asking.values()), self._processes)
                for rank, each in zip(asking, found, strict=True):
                    answers[rank] = each
        rank = self._processes.rank
        return [parts[rank] for parts in self._processes.gather(answers)]


_step: ContextVar[SharedSearches | None] = ContextVar("shared_searches", default=None)


def current_searches() -> SharedSearches | None:
    """Returns the step in which the processes search for each other; None outside of one."""
    return _step.get()


@contextmanager
def shared_searches(method: nn.Module) -> Iterator[None]:
    """Lets the processes search for each other; all of them must enter it.

    Args:
        method: nothing is done for one without banks on disk.
    """
    processes = current_processes()
    banks: list[SharedBank] = [module for module in method.modules() if isinstance(module, SharedBank)]
    if processes.count == 1 or not banks:
        yield
        return
    searches = SharedSearches(banks, processes)
    token = _step.set(searches)
    try:
        yield
        searches.finish()
    finally:
        _step.reset(token)
