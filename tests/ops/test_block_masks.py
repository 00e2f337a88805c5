"""Which patches are hidden."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.ops.block_masks import complementary_masks, random_blocks


@pytest.mark.parametrize("ratio", [0.1, 0.4, 0.65, 0.9])
def test_exactly_the_share_is_hidden(ratio: float) -> None:
    for grid, seed in itertools.product([(16, 16), (5, 9)], range(20)):
        hidden = random_blocks(grid, ratio=ratio, rng=np.random.default_rng(seed))
        assert hidden.sum() == round(ratio * grid[0] * grid[1]), (grid, seed)


def test_something_is_hidden_and_something_is_left() -> None:
    for ratio in (0.001, 0.999):
        hidden = random_blocks((4, 4), ratio=ratio, rng=np.random.default_rng(0))
        assert 0 < hidden.sum() < 16, ratio


def test_hidden_patches_lie_together() -> None:
    """Of blocks, most hidden patches have a hidden neighbour to the right; of single ones 30 % had."""
    grids = [random_blocks((16, 16), ratio=0.3, rng=np.random.default_rng(seed)) for seed in range(50)]
    together = np.mean([(g[:, :-1] & g[:, 1:]).sum() / g[:, :-1].sum() for g in grids])
    assert together > 0.6


def test_masks_follow_from_the_generator() -> None:
    first, again, other = (random_blocks((8, 8), ratio=0.5, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@given(
    masks=st.integers(2, 9),
    block=st.integers(1, 4),
    offset=st.integers(0, 3),
    grid=st.tuples(st.integers(1, 17), st.integers(1, 17)),
)
@settings(max_examples=60, deadline=None)
def test_a_cover_hides_every_patch_exactly_once(
    masks: int, block: int, offset: int, grid: tuple[int, int]
) -> None:
    every = complementary_masks(grid, block=block, masks=masks, offset=offset)
    assert (every.sum(0) == 1).all()


def test_blocks_of_one_mask_do_not_touch_by_a_side() -> None:
    for masks in (2, 4, 9):
        for hidden in complementary_masks((12, 12), block=1, masks=masks):
            assert not (hidden[1:] & hidden[:-1]).any(), masks
            assert not (hidden[:, 1:] & hidden[:, :-1]).any(), masks


def test_blocks_are_as_large_as_asked_for() -> None:
    (first, second) = complementary_masks((8, 8), block=4, masks=2)
    assert first[:4, :4].all()
    assert torch.equal(first, ~second)


def test_masks_that_hide_nothing_are_left_out() -> None:
    assert len(complementary_masks((4, 4), block=4, masks=4)) == 1
