"""Greedy k-centre over rows that several processes divide, with the picks of one process.

The first process has all rows, and the others wait for the fitted model. Where there are several machines, it
sends each of them a share of the rows. Each process keeps the bounds of its own; in every round the first
one picks among the candidates of all, and sends the picked rows to all. So a round exchanges about a thousand
rows, whatever the number of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adframe.io.disk_matrix import READ_ROWS, Spool
from adframe.io.processes import Processes, current_processes
from adframe.io.waiting_processes import ask_others, helpers
from adframe.ops.coreset_search import CoresetProgress, Search

# Multiplications of the plain algorithm from which the selection is divided: one to two minutes of a core.
# Sending the rows and the exchanges of the rounds would take a large part of a smaller selection.
DIVIDED_FROM = 10**12


def helpers_for(rows: Spool, count: int) -> Processes:
    """Returns the processes between which a selection is divided; one where that would not be faster.

    On one machine it is not: the threads of the first process use the cores of all.

    Args:
        rows: (N, D).
        count: number of rows to pick.
    """
    processes = helpers()
    worth = len(rows) * rows.width * count >= DIVIDED_FROM and len(rows) >= processes.count
    return processes if worth and processes.count > processes.local_count else Processes()


def divided_k_centre(
    rows: Spool, *, count: int, first: int, processes: Processes, progress: CoresetProgress | None
) -> Tensor:
    """Picks rows as `greedy_k_centre` does, together with the other processes; the first process calls it.

    Args:
        rows: (N, D), all of them.
        count: number of rows to pick.
        first: index of the first pick.
        processes: result of `helpers_for`.
        progress: called with (done, total) after every round; None reports nothing.

    Returns:
        (<= count,) int64 indices in the order of picking: those of one process up to ties and rounding.
    """
    share = _Share(len(rows), rows.width, count, first, rows.read(first, first + 1), Path(rows.folder))
    with ask_others(share.help):
        for rank in range(1, processes.count):
            for start, stop in share.parts(rank, processes.count):
                processes.send(rows.read(start, stop), to=rank)
        own = Spool(folder=share.folder)
        try:
            for start, stop in share.parts(0, processes.count):
                own.append(rows.read(start, stop))
            return share.search(own, processes, progress)
        finally:
            own.close()


@dataclass(frozen=True, slots=True)
class _Share:
    """A selection as all processes know it: its sizes, and the first pick."""

    rows: int
    width: int
    count: int
    first: int
    block: Tensor  # (1, D)
    folder: Path  # where the first process keeps the rows

    def parts(self, rank: int, processes: int) -> list[tuple[int, int]]:
        """Returns the blocks of rows of one process: (first, last + 1)."""
        start, stop = (self.rows * place // processes for place in (rank, rank + 1))
        return [(low, min(low + READ_ROWS, stop)) for low in range(start, stop, READ_ROWS)]

    def help(self) -> None:
        """Receives the rows of this process and takes part in the selection."""
        processes = current_processes()
        # The first process may keep them where only its own machine has a folder, such as a job's scratch.
        own = Spool(folder=self.folder if self.folder.is_dir() else None)
        try:
            for start, stop in self.parts(processes.rank, processes.count):
                own.append(processes.receive(torch.empty(stop - start, self.width), source=0))
            self.search(own, processes, None)
        finally:
            own.close()

    def search(self, own: Spool, processes: Processes, progress: CoresetProgress | None) -> Tensor:
        """Picks rows in all processes."""
        start = self.parts(processes.rank, processes.count)[0][0]
        search = Search(own, count=self.count, processes=processes, total=self.rows, start=start)
        search.add_first(self.first, self.block)
        return search.run(progress)
