"""The largest distance of an image's rows to those of all other images, as a plain search finds it."""

from __future__ import annotations

import pytest
import torch

from adframe.io.disk_matrix import Spool
from adframe.ops import leave_one_out as module
from adframe.ops.leave_one_out import leave_one_out


def spooled(rows: torch.Tensor) -> Spool:
    spool = Spool()
    spool.append(rows)
    return spool


def plain(rows: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
    distances = torch.cdist(rows.double(), rows.double())
    distances[owners[:, None] == owners] = torch.inf
    nearest = distances.amin(1)
    return torch.stack([nearest[owners == image].max() for image in owners.unique()]).float()


@pytest.mark.parametrize("first", [8, 2048])
def test_equals_a_plain_search(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_ROWS", first)
    monkeypatch.setattr(module, "ROUND_ROWS", 2)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 5, generator=generator)
    owners = torch.arange(10).repeat_interleave(40)
    torch.testing.assert_close(leave_one_out(spooled(rows), owners, seed=0), plain(rows, owners))
    mixed = torch.randperm(400, generator=generator)
    torch.testing.assert_close(
        leave_one_out(spooled(rows[mixed]), owners[mixed], seed=0), plain(rows, owners)
    )


def test_a_sample_stands_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_ROWS", 200)
    rows = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    rows[130:135] += 9  # a defect in image 1
    owners = torch.arange(20).repeat_interleave(100)
    found = leave_one_out(spooled(rows), owners, seed=0)
    assert found.argmax() == 1
    assert found[1] > 2 * found.sort().values[-2]
    assert torch.equal(found, leave_one_out(spooled(rows), owners, seed=0))
