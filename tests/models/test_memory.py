import pytest
import torch
from sklearn.covariance import oas
from torch import Tensor

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.models.memory import (
    Centres,
    Choice,
    Density,
    Everything,
    Gaussian,
    Greedy,
    Memory,
    Random,
    Subspace,
)
from adframe.ops import neighbours

ROWS = torch.randn(400, 12, generator=torch.Generator().manual_seed(0))
QUERIES = torch.randn(30, 12, generator=torch.Generator().manual_seed(1))


def spool_of(rows: Tensor) -> Spool:
    spool = Spool()
    for part in torch.split(rows, 64):
        spool.append(part)
    return spool


def fitted(memory: Memory, rows: Tensor = ROWS, *, count: int = 40, seed: int = 0) -> Memory:
    memory.fit(spool_of(rows), Choice(count, seed))
    return memory


@pytest.mark.parametrize("memory", [Greedy, Random, Centres, Density, Everything])
def test_the_distance_is_to_the_nearest_row(memory: type[Memory]) -> None:
    made = fitted(memory())
    assert len(made.bank) == (400 if memory is Everything else 40)
    expected = torch.cdist(QUERIES, made.bank).amin(1)
    torch.testing.assert_close(made.distance(QUERIES, limit_mb=1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", [Greedy, Random, Density])
def test_what_is_kept_are_rows_and_none_twice(memory: type[Memory]) -> None:
    bank = fitted(memory()).bank
    assert torch.cdist(bank, ROWS).amin(1).max() < 1e-2
    assert len(bank.unique(dim=0)) == 40


def test_the_greedy_one_covers_better_than_a_draw() -> None:
    radius = [torch.cdist(ROWS, fitted(memory()).bank).amin(1).max() for memory in (Greedy, Random)]
    assert radius[0] < 0.95 * radius[1]


def test_density_keeps_rare_rows_that_a_draw_loses() -> None:
    crowd = torch.randn(2000, 12, generator=torch.Generator().manual_seed(3)) * 0.1
    rare = torch.randn(40, 12, generator=torch.Generator().manual_seed(4)) + 20
    rows = torch.cat([crowd, rare])
    kept = {
        kind: sum(int((fitted(kind(), rows, count=100, seed=s).bank > 10).all(1).sum()) for s in range(5)) / 5
        for kind in (Density, Random)
    }
    assert kept[Random] < 5  # 2 % of 100 on average
    assert kept[Density] > 3 * kept[Random]


def test_density_keeps_each_row_with_its_chance() -> None:
    # A slow count over all rows: at the radius where enough are left, the chance is 1 / (1 + neighbours).
    memory = Density(sample=400)  # all rows, so that nothing is estimated
    times = torch.zeros(len(ROWS))
    for seed in range(200):
        bank = fitted(memory, count=60, seed=seed).bank
        times[torch.cdist(bank, ROWS).argmin(1)] += 1
    distance = torch.cdist(ROWS, ROWS)
    neighbours = (distance < distance[distance > 0].quantile(0.2)).sum(1).float() - 1
    order = neighbours.argsort()
    lonely, crowded = times[order[:100]].mean(), times[order[-100:]].mean()
    assert lonely > 2 * crowded


def test_centres_lie_where_rows_are_dense() -> None:
    middles = torch.randn(5, 12, generator=torch.Generator().manual_seed(2)) * 10
    rows = (middles.repeat(80, 1) + ROWS * 0.1)[torch.randperm(400)]
    centres = fitted(Centres(), rows, count=5).bank
    assert torch.cdist(middles, centres).amin(1).max() < 0.1


@pytest.mark.parametrize("memory", [Greedy, Random, Centres, Density])
def test_the_seed_decides(memory: type[Memory]) -> None:
    assert torch.equal(fitted(memory(), seed=3).bank, fitted(memory(), seed=3).bank)
    assert not torch.equal(fitted(memory(), seed=3).bank, fitted(memory(), seed=4).bank)


def test_the_subspace_keeps_what_varies_and_reports_what_sticks_out() -> None:
    flat = ROWS.clone()
    flat[:, 3:] = 7.0  # three dimensions vary
    made = fitted(Subspace(variance=0.999), flat)
    assert made.bank.shape == (3, 12)
    assert made.distance(flat, limit_mb=1).max() < 1e-4
    out = flat[:5].clone()
    out[:, 5] += 2
    torch.testing.assert_close(made.distance(out, limit_mb=1), torch.full((5,), 2.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("variance", [0.3, 0.7, 0.95])
def test_the_subspace_is_as_small_as_its_share_allows(variance: float) -> None:
    rows = ROWS * torch.arange(1, 13)
    made = fitted(Subspace(variance=variance), rows)
    centred = rows - rows.mean(0)
    explained = [
        float((centred @ made.bank[:d].T).square().sum() / centred.square().sum()) for d in range(13)
    ]
    d = len(made.bank)
    assert explained[d] >= variance > explained[d - 1]


def test_without_variance_in_normal_rows_other_rows_are_still_outside() -> None:
    made = fitted(Subspace(), torch.ones(40, 12))
    assert made.distance(torch.ones(1, 12), limit_mb=1).item() == pytest.approx(0.0, abs=1e-6)
    assert made.distance(QUERIES, limit_mb=1).min() > 0.1


def test_squared_distances_are_the_squares() -> None:
    plain, squared = (fitted(Subspace(variance=0.7, squared=each)) for each in (False, True))
    expected = plain.distance(QUERIES, limit_mb=1).square()
    torch.testing.assert_close(squared.distance(QUERIES, limit_mb=1), expected)


def test_the_gaussian_has_the_mahalanobis_distances_of_a_shrunk_covariance() -> None:
    rows = ROWS * torch.arange(1, 13) + 5
    found = fitted(Gaussian(), rows).distance(QUERIES, limit_mb=1).double()
    shrunk = torch.from_numpy(oas(rows.double().numpy())[0])
    centred = QUERIES.double() - rows.double().mean(0)
    expected = torch.einsum("qd,de,qe->q", centred, torch.linalg.inv(shrunk), centred).sqrt()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(AdframeError, match=r"memory\.variance=1 must be between 0 and 1"):
        Subspace(variance=1)


@pytest.mark.parametrize("memory", [Greedy, Subspace, Gaussian])
def test_sizes_come_from_the_file(memory: type[Memory]) -> None:
    made, fresh = fitted(memory()), memory()
    fresh.load_state_dict(made.state_dict(), strict=True)
    assert torch.equal(fresh.distance(QUERIES, limit_mb=1), made.distance(QUERIES, limit_mb=1))


def test_a_new_bank_is_searched_not_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "multiplies_bfloat16", lambda: True)
    first, second = (torch.randn(5000, 256, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    memory, other = fitted(Everything(), first), fitted(Everything(), second)
    assert memory.distance(second[:9], limit_mb=64).min() > 1
    memory.load_state_dict(other.state_dict())
    assert not memory.distance(second[:9], limit_mb=64).any()
    memory.fit(spool_of(first), Choice(5000, 0))
    assert memory.distance(second[:9], limit_mb=64).min() > 1
    assert sorted(memory.state_dict()) == ["bank", "norms"]
