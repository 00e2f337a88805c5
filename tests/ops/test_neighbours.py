import pytest
import torch

from adframe.ops.neighbours import nearest

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
    with pytest.raises(ValueError, match="the bank has 3000 rows"):
        nearest(QUERIES, BANK, count=count)
