"""Processes that divide a bank on disk find what one process finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adframe.io import row_file
from adframe.io.disk_matrix import Spool
from adframe.models import shared_searches as module
from adframe.models.disk_bank import DiskBank
from adframe.models.memory import Choice
from tests.fakes.threads import in_threads

SEARCHES = {0: [(2, 5), (1, 3)], 1: [(3, 4)], 2: []}  # images and rows of each search, by process


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskBank:
    monkeypatch.setattr(row_file, "BLOCK_BYTES", 400)
    torch.manual_seed(0)
    rows, bank = Spool(folder=tmp_path), DiskBank()
    rows.append(torch.randn(120, 8))
    bank.fit(rows, Choice(120, seed=0))
    return bank


@pytest.mark.parametrize("neighbours", [1, 4])
def test_each_process_finds_what_it_would_find_alone(
    bank: DiskBank, neighbours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    queries = {rank: [torch.randn(*shape, 8) for shape in SEARCHES[rank]] for rank in SEARCHES}
    read: list[int] = []
    blocks = row_file.RowFile._read
    monkeypatch.setattr(
        row_file.RowFile, "_read", lambda self, file, start: read.append(start) or blocks(self, file, start)
    )

    def work(own: Any) -> list[torch.Tensor]:
        searches = module.SharedSearches([bank], own)
        token = module._step.set(searches)
        found = [bank.distances(groups, limit_mb=1) for groups in queries[own.rank]]
        found += [
            bank.rarity(groups[:, 0], neighbours=neighbours, limit_mb=1) for groups in queries[own.rank]
        ]
        searches.finish()
        module._step.reset(token)
        return found

    together = in_threads(3, work)
    one_pass = len(range(0, 120, bank.file.block))  # type: ignore[union-attr]
    # Each exchange reads every block once: the most searches of one process decide on their number.
    assert len(read) == one_pass * (2 if neighbours == 1 else 2 + 2 * 2)
    for rank, own in queries.items():
        alone = [bank.distances(groups, limit_mb=1) for groups in own]
        alone += [bank.rarity(groups[:, 0], neighbours=neighbours, limit_mb=1) for groups in own]
        assert len(together[rank]) == len(alone)
        for found, expected in zip(together[rank], alone, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_shared_by_one_process_or_without_banks_on_disk(bank: DiskBank) -> None:
    with module.shared_searches(torch.nn.Sequential(bank)):
        assert module.current_searches() is None
