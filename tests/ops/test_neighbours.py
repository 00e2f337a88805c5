import pytest
import torch
from torch import Tensor

from adframe.ops import neighbours
from adframe.ops.neighbours import nearest, nearest_in_blocks, round_bank

torch.manual_seed(0)
QUERIES, BANK = torch.randn(130, 32), torch.randn(3000, 32)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_equals_brute_force(count: int) -> None:
    distance, index = nearest(QUERIES, BANK, count=count)
    expected = torch.cdist(QUERIES.double(), BANK.double()).topk(count, largest=False)
    assert torch.equal(index, expected.indices)
    torch.testing.assert_close(distance.double(), expected.values, rtol=1e-6, atol=0)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("limit_mb", [0, 1])  # a query a chunk, 87 queries a chunk
def test_the_memory_limit_changes_no_bit(count: int, limit_mb: int) -> None:
    whole, chunked = (
        nearest(QUERIES, BANK, count=count),
        nearest(QUERIES, BANK, count=count, limit_mb=limit_mb),
    )
    assert torch.equal(whole[0], chunked[0])
    assert torch.equal(whole[1], chunked[1])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_changes_no_bit(size: int) -> None:
    whole = nearest(QUERIES, BANK, count=3)
    parts = [nearest(part, BANK, count=3) for part in torch.split(QUERIES, size)]
    assert torch.equal(torch.cat([p[0] for p in parts]), whole[0])
    assert torch.equal(torch.cat([p[1] for p in parts]), whole[1])


def test_nearest_first_even_where_the_search_cannot_tell() -> None:
    bank = 1000 + torch.randn(400, 8) * 1e-2  # distances far below float32's resolution of the norms
    distance, _ = nearest(bank[:50] + 1e-3, bank, count=20)
    assert (distance.diff(dim=1) >= 0).all()


def test_given_norms_are_the_same_as_its_own() -> None:
    given = nearest(QUERIES, BANK, count=2, norms=BANK.square().sum(1))
    assert torch.equal(given[0], nearest(QUERIES, BANK, count=2)[0])


def test_a_row_of_the_bank_is_at_distance_zero() -> None:
    distance, index = nearest(BANK[:100], BANK)
    assert torch.equal(index[:, 0], torch.arange(100))
    assert not distance.any()


@pytest.mark.parametrize("count", [0, 3001])
def test_more_neighbours_than_rows_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="a bank of 3000 rows"):
        nearest(QUERIES, BANK, count=count)


def bank_like_features(rows: int, *, seed: int) -> Tensor:
    """(rows, 256): images of one object resemble each other, so that the nearest row lies close."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(12, 256, generator=torch.Generator().manual_seed(9))
    return torch.randn(rows, 12, generator=generator) @ basis + torch.randn(rows, 256, generator=generator)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "multiplies_bfloat16", lambda: True)


@pytest.fixture
def searched_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries went to the float32 product, call by call."""
    real, counts = neighbours._by_float32, list[int]()
    monkeypatch.setattr(
        neighbours, "_by_float32", lambda q, *a, **k: counts.append(len(q)) or real(q, *a, **k)
    )
    return counts


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_rounded_rows_find_the_same(fast: None, searched_again: list[int], count: int, scale: float) -> None:
    queries, bank = bank_like_features(300, seed=1) * scale, bank_like_features(8000, seed=2) * scale
    found = nearest(queries, bank, count=count, prepared=round_bank(bank))
    assert sum(searched_again) < 30
    expected = nearest(queries, bank, count=count)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_the_bound_holds_where_rounding_misleads(fast: None) -> None:
    bank = bank_like_features(8000, seed=2)
    queries = bank[:200].clone()
    bank[4000:4200] = queries * (1 + 2**-10)  # what bfloat16 makes the same or the nearer one
    bank[:200] += 1e-4
    found = nearest(queries, bank, prepared=round_bank(bank))
    expected = torch.cdist(queries.double(), bank.double()).min(1)
    assert torch.equal(found[1][:, 0], expected.indices)
    assert (nearest(queries.bfloat16(), bank.bfloat16())[1][:, 0] != expected.indices).any()


def test_crowds_of_equal_distance_are_searched_in_float32(fast: None, searched_again: list[int]) -> None:
    bank = bank_like_features(8000, seed=2)
    bank[1000:1100] = bank[1000] + 1e-3 * torch.randn(100, 256, generator=torch.Generator().manual_seed(3))
    queries = torch.cat([bank[1000:1001] + 0.01, bank_like_features(50, seed=1)])
    found = nearest(queries, bank, prepared=round_bank(bank))
    assert searched_again == [1]
    assert 1000 <= found[1][0] < 1100
    assert torch.equal(found[1][1:], nearest(queries, bank)[1][1:])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_numbers_without_a_bound_go_the_float32_way(fast: None, bad: float) -> None:
    queries, bank = bank_like_features(20, seed=1), bank_like_features(8000, seed=2)
    queries[3, 5] = bad
    prepared = round_bank(bank)
    found, expected = nearest(queries, bank, prepared=prepared), nearest(queries, bank)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize("limit_mb", [0, 256])
def test_rounded_rows_make_no_batch_differ(fast: None, size: int, limit_mb: int) -> None:
    queries, bank = bank_like_features(300, seed=1), bank_like_features(8000, seed=2)
    prepared = round_bank(bank)
    whole = nearest(queries, bank, count=2, prepared=prepared)
    parts = [nearest(p, bank, count=2, prepared=prepared, limit_mb=limit_mb) for p in queries.split(size)]
    assert torch.equal(torch.cat([p[0] for p in parts]), whole[0])
    assert torch.equal(torch.cat([p[1] for p in parts]), whole[1])


def test_equal_rows_give_the_first_of_them(fast: None) -> None:
    bank = bank_like_features(8000, seed=2)
    bank[7000:] = bank[3000:4000]
    found = nearest(bank[7000:7100] + 1e-3, bank, prepared=round_bank(bank))[1][:, 0]
    assert torch.equal(found, torch.arange(3000, 3100))


def test_what_gains_nothing_is_not_prepared(fast: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert round_bank(torch.zeros(8000, 64)) is None
    assert round_bank(torch.zeros(1000, 256)) is None
    assert round_bank(torch.zeros(8000, 256).double()) is None
    monkeypatch.setattr(neighbours, "multiplies_bfloat16", lambda: False)
    assert round_bank(torch.zeros(8000, 256)) is None


@pytest.mark.parametrize("block", [1, 7, 50, 64])
@pytest.mark.parametrize("count", [1, 3])
def test_the_search_in_blocks_finds_what_the_search_finds(block: int, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    queries, bank = (torch.randn(rows, 6, generator=generator) for rows in (40, 50))
    expected, places = nearest(queries, bank, count=count)
    found = nearest_in_blocks(queries, bank, count=count, norms=bank.square().sum(1), block=block)
    assert torch.equal(found[1], places)
    assert torch.allclose(found[0], expected, rtol=1e-6)
