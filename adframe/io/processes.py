"""The processes of one run, and what they exchange.

A run on several devices is the same program in every process. Each takes its share of the images; what it
finds is exchanged in the order in which one process would have found it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed

Value = TypeVar("Value")
# One process may work alone for hours, while it selects a coreset or measures times, and the others wait.
_PATIENCE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Processes:
    """The place of this process among those of the run.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
        local_count: number of processes on this machine.

    Example:
        >>> Processes().gather("a")
        ['a']
    """

    rank: int = 0
    count: int = 1
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """Exchanges values; all processes must call it.

        Args:
            value: anything that can be pickled; tensors must be on the CPU.

        Returns:
            The values of all processes, by rank.
        """
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, value, group=_cpu_group())
        return found

    def gather_in_first(self, value: Value) -> list[Value]:
        """Sends values to the first process; all processes must call it.

        Args:
            value: as for `gather`.

        Returns:
            The values of all processes, by rank, in the first process; [] in the others.
        """
        if self.count == 1:
            return [value]
        found: list[Any] | None = [None] * self.count if self.first else None
        torch.distributed.gather_object(value, found, dst=0, group=_cpu_group())
        return found or []

    def of_first(self, value: Value) -> Value:
        """Returns the value of the first process; all processes must call it.

        Args:
            value: anything that can be pickled; only that of the first process is used.
        """
        if self.count == 1:
            return value
        found = [value]
        torch.distributed.broadcast_object_list(found, src=0, group=_cpu_group())
        return found[0]

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Sums a tensor over all processes, on its own device; all processes must call it.

        Args:
            value: of one shape in all processes; its gradient is not followed.
        """
        total = value.detach().clone()
        if self.count > 1:
            torch.distributed.all_reduce(total)
        return total

    def largest(self, values: Sequence[float]) -> list[float]:
        """Returns the largest of each of some numbers over all processes; all processes must call it.

        Args:
            values: equally many in all processes.
        """
        if self.count == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX, group=_cpu_group())
        return found.tolist()

    def send(self, value: torch.Tensor, *, to: int) -> None:
        """Sends a tensor to another process, which must call `receive`.

        Args:
            value: on the CPU.
            to: rank of the other process.
        """
        torch.distributed.send(value.contiguous(), to, group=_cpu_group())

    def receive(self, value: torch.Tensor, *, source: int) -> torch.Tensor:
        """Receives a tensor that another process sends.

        Args:
            value: of the same shape and type as the one that is sent; it is overwritten.
            source: rank of the other process.

        Returns:
            `value`.
        """
        torch.distributed.recv(value, source, group=_cpu_group())
        return value

    def rows(self, value: torch.Tensor) -> torch.Tensor:
        """Joins the rows of all processes, on their own device; all processes must call it.

        Args:
            value: (n, ...), where n may differ between processes; its gradient is not followed.

        Returns:
            (N, ...), by rank.
        """
        own = value.detach().contiguous()
        if self.count == 1:
            return own
        sizes = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(self.count)]
        torch.distributed.all_gather(sizes, torch.tensor([len(own)], device=own.device))
        counts = [int(size) for size in sizes]
        # Tensors of one shape can be exchanged only.
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        found = [torch.empty_like(padded) for _ in counts]
        torch.distributed.all_gather(found, padded)
        return torch.cat([each[:count] for each, count in zip(found, counts, strict=True)])

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier(group=_cpu_group())

    def in_order(self, found: Iterable[tuple[int, Value]]) -> list[Value]:
        """Exchanges numbered values and sorts them; all processes must call it.

        Args:
            found: pairs of a number and a value, of this process.

        Returns:
            The values of all processes, by their numbers.
        """
        pairs = [pair for own in self.gather(list(found)) for pair in own]
        return [value for _, value in sorted(pairs, key=lambda pair: pair[0])]


def current_processes() -> Processes:
    """Returns the processes of the running run: one, unless `join` was called."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return Processes()
    return Processes(
        rank=torch.distributed.get_rank(),
        count=torch.distributed.get_world_size(),
        local_count=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def join(*, gpu: bool) -> Processes:
    """Joins the other processes, with the variables of the environment that torchrun sets.

    Args:
        gpu: whether tensors of models are exchanged between GPUs.

    Returns:
        All of them.
    """
    if torch.distributed.is_initialized():  # by Ray
        return current_processes()
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_PATIENCE)
    return current_processes()


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """Lets the first process work on shared files before the others do; all processes must enter it."""
    processes = current_processes()
    if not processes.first:
        processes.wait()
    try:
        yield
    finally:
        if processes.first:
            processes.wait()


def leave() -> None:
    """Leaves the other processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


_groups: dict[int, Any] = {}


def _cpu_group() -> Any:
    """Returns a group of all processes that exchanges on the CPU, made once."""
    world = torch.distributed.group.WORLD
    if torch.distributed.get_backend() == "gloo":
        return world
    if id(world) not in _groups:
        _groups.clear()
        _groups[id(world)] = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return _groups[id(world)]
