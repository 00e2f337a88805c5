"""Processes that divide the rows pick what one process picks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from adframe.io.disk_matrix import Spool
from adframe.io.processes import current_processes, join, leave
from adframe.io.waiting_processes import others_wait, wait_and_help
from adframe.ops import divided_coreset
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.coreset_search import Search
from tests.covering import pairwise
from tests.fakes.threads import in_threads
from tests.ops.test_coreset import DTYPES, ROWS, SIZES, choose, clusters, gaussian, greedy, low_rank, radius


def divided(rows: Tensor, count: int, *, first: int, processes: int) -> list[list[int]]:
    """The picks that each process knows."""

    def work(own: Any) -> list[int]:
        part, start = Spool(), len(rows) * own.rank // processes
        part.append(rows[start : len(rows) * (own.rank + 1) // processes])
        search = Search(part, count=count, processes=own, total=len(rows), start=start)
        search.add_first(first, rows[first : first + 1])
        return search.run(None).tolist()

    return in_threads(processes, work)


@pytest.mark.parametrize(
    ("make", "size", "dtype", "processes"), pairwise([gaussian, low_rank, clusters], SIZES, DTYPES, [2, 3, 7])
)
def test_without_ties_the_picks_are_those_of_one_process(
    make, size: str, dtype: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(size, dtype, monkeypatch)
    torch.manual_seed(1)
    rows = make()
    found = divided(rows, 60, first=5, processes=processes)
    assert set(found[0]) == set(greedy(rows, 60, 5))
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize(
    ("make", "count", "size", "dtype", "processes"), pairwise(ROWS, [1, 7, 300], SIZES, DTYPES, [2, 5])
)
def test_covers_as_well_as_one_process(
    make, count: int, size: str, dtype: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(size, dtype, monkeypatch)
    torch.manual_seed(2)
    rows = make()
    found = divided(rows, count, first=0, processes=processes)[0]
    alone = greedy(rows, count, 0)
    scale = float(rows.norm(dim=1).max())
    assert len(set(found)) == len(found) == len(alone)
    assert radius(rows, found) <= radius(rows, alone) * (1 + 1e-5) + 1e-7 * scale


def _rows() -> Spool:
    rows = Spool()
    rows.append(torch.randn(20_000, 24, generator=torch.Generator().manual_seed(3)))
    return rows


def _worker(rank: int, count: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=count)
    join(gpu=False)
    torch.set_num_threads(1)
    divided_coreset.DIVIDED_FROM = 0
    processes, told = current_processes(), []
    if rank:
        wait_and_help(processes)
    else:
        with others_wait(processes):
            found = [
                greedy_k_centre(_rows(), count=500, seed=seed, progress=lambda done, _: told.append(done))
                for seed in (0, 1)
            ]
        torch.save(found, Path(folder) / "picks.pt")
        assert told[-1] == 500
    leave()


@pytest.mark.slow
def test_processes_that_wait_help_the_first_one(tmp_path: Path) -> None:
    spawn(_worker, args=(3, str(tmp_path)), nprocs=3)
    found = torch.load(tmp_path / "picks.pt")
    for seed in (0, 1):
        assert torch.equal(found[seed], greedy_k_centre(_rows(), count=500, seed=seed))
