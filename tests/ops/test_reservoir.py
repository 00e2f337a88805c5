"""A sample of a stream is bounded, fair, and does not depend on how the stream came."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adframe.ops.reservoir import Reservoir


def kept(order: list[int], *, count: int = 30, seed: int = 1) -> tuple[torch.Tensor, np.ndarray]:
    """Streams of 20 rows each, that say where they are from."""
    sample = Reservoir(count=count, seed=seed)
    for stream in order:
        rows = torch.stack([torch.full((20,), float(stream)), torch.arange(20.0)], dim=1)
        sample.offer(rows, stream=stream, chosen=np.arange(20) % 2 == 0)
    return sample.kept()


def test_the_order_of_the_streams_changes_nothing_and_the_seed_all() -> None:
    rows, places = kept(list(range(40)))
    again, _ = kept(list(range(39, -1, -1)))
    assert torch.equal(rows, again)
    assert len(rows) == 30
    np.testing.assert_array_equal(rows.numpy(), places)  # each row is the one that its place names
    assert not torch.equal(rows, kept(list(range(40)), seed=2)[0])


def test_only_chosen_rows_and_all_of_them_where_they_are_few() -> None:
    rows, _ = kept([0, 1], count=50)
    assert rows.tolist() == [[stream, row] for stream in (0, 1) for row in range(0, 20, 2)]
    assert len(Reservoir(count=5, seed=0).kept()[0]) == 0


def test_every_row_has_the_same_chance() -> None:
    hits = np.zeros(40)
    for seed in range(100):
        hits += np.bincount(kept(list(range(40)), count=40, seed=seed)[1][:, 0], minlength=40)
    assert hits.sum() == 100 * 40
    assert hits.min() / 100 == pytest.approx(1, abs=0.4)  # of every stream one in ten, first or last
    assert hits.max() / 100 == pytest.approx(1, abs=0.4)
