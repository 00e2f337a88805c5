"""Tiles cover an image, and what is the same in all tiles of a place comes back unchanged."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.errors import AdframeError
from adframe.ops.tiles import MERGES, Stitcher, cut_tiles, pad_reflect, tile_grid

SIDES = st.integers(1, 40)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    size = draw(SIDES), draw(SIDES)
    stride = draw(st.integers(1, size[0])), draw(st.integers(1, size[1]))
    return (draw(SIDES), draw(SIDES)), size, stride


@settings(deadline=None, max_examples=60)
@given(grids(), st.sampled_from(MERGES), st.integers(1, 7))
def test_a_map_that_is_cut_and_put_together_is_the_same(drawn, merge, chunk) -> None:  # type: ignore[no-untyped-def]
    image, size, stride = drawn
    grid = tile_grid(image, size=size, stride=stride)
    maps = torch.randn(2, 1, *image, generator=torch.Generator().manual_seed(0))
    stitcher = Stitcher(grid, images=2, merge=merge, like=maps)
    seen = 0
    for tiles, number, places in cut_tiles(maps, grid, chunk=chunk):
        assert tiles.shape == (len(places), 1, *size)
        assert len(places) <= chunk
        seen += len(places)
        stitcher.add(tiles, number, places)
    assert seen == 2 * len(grid.corners)
    assert torch.allclose(stitcher.result(), maps, atol=1e-5)
    if merge in ("max", "centre"):
        assert torch.equal(stitcher.result(), maps)


@settings(deadline=None, max_examples=60)
@given(grids())
def test_no_tile_is_placed_twice_or_beyond_the_image(drawn) -> None:  # type: ignore[no-untyped-def]
    image, size, stride = drawn
    grid = tile_grid(image, size=size, stride=stride)
    assert len(set(grid.corners)) == len(grid.corners)
    for top, left in grid.corners:
        assert top + size[0] <= grid.padded[0]
        assert left + size[1] <= grid.padded[1]
    assert {top + size[0] for top, _ in grid.corners} >= {grid.padded[0]}


def test_padding_mirrors_as_often_as_it_takes() -> None:
    row = torch.arange(3.0).view(1, 1, 1, 3)
    assert pad_reflect(row, (1, 9)).flatten().tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert pad_reflect(row, (2, 3)).shape == (1, 1, 2, 3)
    assert pad_reflect(row, (1, 3)) is row


def test_each_way_of_merging_by_its_definition() -> None:
    """Two tiles of four pixels that share two: 1 everywhere, and 3 everywhere."""
    grid = tile_grid((1, 6), size=(1, 4), stride=(1, 2))
    assert grid.corners == ((0, 0), (0, 2))
    expected = {
        "mean": [1, 1, 2, 2, 3, 3],
        "max": [1, 1, 3, 3, 3, 3],
        "centre": [1, 1, 1, 3, 3, 3],
        "smooth": [1, 1, (2 * 1 + 1 * 3) / 3, (1 * 1 + 2 * 3) / 3, 3, 3],
    }
    for merge in MERGES:
        stitcher = Stitcher(grid, images=1, merge=merge, like=torch.zeros(1, 1, 1, 1))
        for place, value in enumerate((1.0, 3.0)):
            stitcher.add(torch.full((1, 1, 1, 4), value), 0, [place])
        assert stitcher.result().flatten().tolist() == pytest.approx(expected[merge]), merge


def test_an_unknown_way_of_merging_is_refused() -> None:
    grid = tile_grid((4, 4), size=(4, 4), stride=(4, 4))
    with pytest.raises(AdframeError, match="did you mean 'mean'"):
        Stitcher(grid, images=1, merge="meen", like=torch.zeros(1, 1, 1, 1))  # type: ignore[arg-type]
