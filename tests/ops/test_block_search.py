"""A search by blocks finds what one search finds, in float32 and where rounded rows decide."""

import pytest
import torch
from torch import Tensor

from adframe.ops import neighbours
from adframe.ops.block_search import BlockSearch
from adframe.ops.neighbours import nearest, round_bank

DRAWS = torch.Generator().manual_seed(0)


def searched(queries: Tensor, bank: Tensor, *, count: int, block: int) -> BlockSearch:
    search = BlockSearch(queries, count=count)
    for start in range(0, len(bank), block):
        part = bank[start : start + block]
        search.add(part, round_bank(part), start=start)
    return search


@pytest.fixture(params=["float32", "bfloat16"])
def _arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MIN_ENTRIES", 0)
    monkeypatch.setattr(neighbours, "MIN_SIDE", 0 if request.param == "bfloat16" else 1 << 40)
    monkeypatch.setattr(neighbours, "multiplies_bfloat16", lambda: True)


@pytest.mark.usefixtures("_arithmetic")
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("block", [3, 64, 1000])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
def test_distances_are_those_of_one_search(count: int, block: int, scale: float) -> None:
    bank = torch.randn(700, 20, generator=DRAWS) * scale
    queries = torch.cat([torch.randn(90, 20, generator=DRAWS) * scale, bank[:10] + 1e-3 * scale])
    found = searched(queries, bank, count=count, block=block)
    distance, index = nearest(queries, bank, count=count)
    assert torch.equal(found.distance, distance)
    assert torch.equal(found.index, index)


@pytest.mark.usefixtures("_arithmetic")
def test_equal_rows_the_first_one_is_found_and_nan_stays_alone() -> None:
    bank = torch.randn(50, 8, generator=DRAWS).repeat(4, 1)
    queries = bank[:50] + 0.01
    queries[7] = torch.nan
    found = searched(queries, bank, count=1, block=50)
    others = torch.arange(50) != 7
    assert torch.equal(found.index[others, 0], torch.arange(50)[others])
    assert found.distance[others].isfinite().all()


@pytest.mark.usefixtures("_arithmetic")
def test_fewer_rows_in_a_block_than_neighbours() -> None:
    bank = torch.randn(9, 4, generator=DRAWS)
    found = searched(bank, bank, count=9, block=2)
    assert torch.equal(found.index.sort(1).values, torch.arange(9).expand(9, 9))
