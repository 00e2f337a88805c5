"""A selection that is gone on with picks what a selection picks that runs alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.ops import coreset_search
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.coreset_cache import Traversal
from adframe.ops.coreset_search import Search
from tests.covering import pairwise
from tests.ops.test_coreset import DTYPES, ROWS, SIZES, choose, gaussian, grid

ORDERS = {
    "ascending": [1, 2, 30, 31, 90, 300],
    "descending": [300, 90, 31, 30, 2, 1],
    "mixed": [30, 300, 1, 90, 90, 600],
}


def spool_of(rows: Tensor) -> Spool:
    spool = Spool()
    spool.append(rows)
    return spool


@pytest.mark.parametrize(("make", "order", "size", "dtype"), pairwise(ROWS, ORDERS, SIZES, DTYPES))
def test_each_count_gets_the_picks_that_it_gets_alone(
    make, order: str, size: str, dtype: str, tmp_path: Path, monkeypatch
) -> None:
    choose(size, dtype, monkeypatch)
    torch.manual_seed(1)
    rows, store = spool_of(make()), Store(tmp_path)
    for count in ORDERS[order]:
        alone = greedy_k_centre(rows, count=count, seed=0)
        assert torch.equal(greedy_k_centre(rows, count=count, seed=0, store=store), alone)
    assert len(list(tmp_path.rglob("*.*"))) == 1


@pytest.mark.parametrize(("make", "size", "dtype"), pairwise(ROWS, SIZES, DTYPES))
def test_a_shorter_selection_is_the_beginning_of_a_longer_one(
    make, size: str, dtype: str, monkeypatch
) -> None:
    choose(size, dtype, monkeypatch)
    torch.manual_seed(2)
    rows = spool_of(make())
    longest = greedy_k_centre(rows, count=400, seed=3)
    for count in (1, 17, 40, 41, 80, 200):
        assert torch.equal(greedy_k_centre(rows, count=count, seed=3), longest[:count])


def test_a_beginning_costs_no_search_and_a_longer_one_only_what_is_new(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(coreset_search, "ROUND", 40)
    rows, store, rounds = spool_of(gaussian()), Store(tmp_path), []
    work = Search.round
    monkeypatch.setattr(Search, "round", lambda self: (rounds.append(self.picked), work(self))[1])
    greedy_k_centre(rows, count=200, seed=0, store=store)
    first = len(rounds)
    greedy_k_centre(rows, count=150, seed=0, store=store)
    assert len(rounds) == first > 3
    greedy_k_centre(rows, count=300, seed=0, store=store)
    assert min(rounds[first:]) >= 200


@pytest.mark.parametrize("change", ["row", "seed", "order", "constant"])
def test_other_rows_or_another_seed_are_another_selection(change: str, tmp_path: Path, monkeypatch) -> None:
    rows, store = gaussian(), Store(tmp_path)
    greedy_k_centre(spool_of(rows), count=50, seed=0, store=store)
    other = {"row": rows + (torch.arange(600) == 599)[:, None] * 1e-6, "order": rows.flip(0)}.get(
        change, rows
    )
    if change == "constant":
        monkeypatch.setattr(coreset_search, "ROUND", 30)
    seed = int(change == "seed")
    alone = greedy_k_centre(spool_of(other), count=50, seed=seed)
    assert torch.equal(greedy_k_centre(spool_of(other), count=50, seed=seed, store=store), alone)
    assert len(list(tmp_path.rglob("*.*"))) == 2


def test_rows_that_came_in_other_batches_are_the_same_rows(tmp_path: Path) -> None:
    rows, store, parts = gaussian(), Store(tmp_path), Spool()
    for part in torch.split(rows, 64):
        parts.append(part)
    greedy_k_centre(spool_of(rows), count=50, seed=0, store=store)
    greedy_k_centre(parts, count=20, seed=0, store=store)
    assert len(list(tmp_path.rglob("*.*"))) == 1


def test_a_damaged_selection_is_made_again(tmp_path: Path) -> None:
    rows, store = spool_of(grid()), Store(tmp_path)
    picks = greedy_k_centre(rows, count=50, seed=0, store=store)
    (path,) = tmp_path.rglob("*.*")
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    assert torch.equal(greedy_k_centre(rows, count=50, seed=0, store=store), picks)
    assert torch.equal(greedy_k_centre(rows, count=9, seed=0, store=store), picks[:9])


def test_the_longest_selection_wins(tmp_path: Path) -> None:
    kept = Traversal(Store(tmp_path), rows=spool_of(gaussian()), constants=[0])
    for length in (5, 9, 7):
        kept.write({"index": torch.arange(length)})
    assert len(kept.read()["index"]) == 9


def test_going_on_leaves_what_is_kept_as_it_was(tmp_path: Path) -> None:
    rows, store = spool_of(gaussian()), Store(tmp_path)
    greedy_k_centre(rows, count=20, seed=0, store=store)
    (path,) = tmp_path.rglob("*.*")
    before, full = path.read_bytes(), Store(tmp_path, limit_gb=1e-9)
    longer = greedy_k_centre(rows, count=500, seed=0, store=full)
    assert path.read_bytes() == before
    assert torch.equal(longer, greedy_k_centre(rows, count=500, seed=0))
