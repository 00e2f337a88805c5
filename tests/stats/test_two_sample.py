from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from adframe.stats.two_sample import cosine_of_means, median_distance, mmd_rbf, mmd_test, sliced_wasserstein


def drawn(count: int, *, seed: int, width: int = 5, moved: float = 0.0) -> Tensor:
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    rows[:, 0] += moved
    return rows


def slow_mmd(a: Tensor, b: Tensor, sigma: float) -> tuple[float, float]:
    """Unbiased and biased, pair by pair."""

    def kernel(x: Tensor, y: Tensor) -> float:
        return math.exp(-float((x.double() - y.double()).square().sum()) / (2 * sigma**2))

    n, m = len(a), len(b)
    aa = [kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j]
    bb = [kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j]
    ab = [kernel(x, y) for x in a for y in b]
    between = 2 * sum(ab) / (n * m)
    unbiased = sum(aa) / (n * (n - 1)) + sum(bb) / (m * (m - 1)) - between
    return unbiased, (sum(aa) + n) / n**2 + (sum(bb) + m) / m**2 - between


def slow_transport(a: np.ndarray, b: np.ndarray) -> float:
    """W2 squared of two lists of numbers, each repeated until both are as long."""
    n, m = len(a), len(b)
    return float(np.mean((np.repeat(np.sort(a), m) - np.repeat(np.sort(b), n)) ** 2))


@pytest.mark.parametrize("limit_mb", [0, 64])
def test_mmd_equals_a_slow_sum_over_pairs_however_it_is_cut(limit_mb: int) -> None:
    a, b = drawn(13, seed=1), drawn(9, seed=2, moved=0.7)
    unbiased, biased = slow_mmd(a, b, 1.7)
    found = mmd_test(a, b, bandwidth=1.7, permutations=3, limit_mb=limit_mb)
    assert found.squared == pytest.approx(unbiased, abs=1e-6)
    assert found.biased == pytest.approx(biased, abs=1e-6)
    assert mmd_rbf(a, b, bandwidth=1.7, limit_mb=limit_mb) == pytest.approx(unbiased, abs=1e-6)


def test_mmd_of_two_gaussians_is_what_the_formula_says() -> None:
    # Of unit Gaussians d apart: 2 (s / (s + 2))^(D/2) (1 - exp(-d^2 / (2 (s + 2)))), s = sigma^2.
    width, sigma, apart = 3, 1.5, 1.2
    s = sigma**2
    expected = 2 * (s / (s + 2)) ** (width / 2) * (1 - math.exp(-(apart**2) / (2 * (s + 2))))
    rng, there = np.random.default_rng(0), np.array([apart, 0, 0])
    found = [
        mmd_rbf(rng.normal(size=(500, width)), there + rng.normal(size=(400, width)), bandwidth=sigma)
        for _ in range(60)
    ]
    error = float(np.std(found)) / math.sqrt(60)
    assert np.mean(found) == pytest.approx(expected, abs=3 * error)
    assert error < 0.03 * expected


def test_mmd_is_zero_in_the_mean_where_nothing_differs_and_the_biased_one_is_not() -> None:
    pairs = [(drawn(20, seed=2 * k), drawn(30, seed=2 * k + 1)) for k in range(60)]
    found = [mmd_test(a, b, bandwidth=2.0, permutations=0) for a, b in pairs]
    values = np.array([each.squared for each in found])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(60)
    assert min(each.biased for each in found) > 0 > values.min()


def test_distances_are_symmetric_and_read_numpy_as_well() -> None:
    a, b = drawn(30, seed=1), drawn(44, seed=2, moved=1.0)
    for measure in (mmd_rbf, sliced_wasserstein, cosine_of_means, median_distance):
        assert measure(a, b) == pytest.approx(measure(b.numpy(), a.numpy()), rel=1e-5)
        assert measure(a, b) == pytest.approx(measure(a.flip(0), b.flip(0)), rel=1e-5)


def test_the_permutation_test_tells_a_shift_from_nothing() -> None:
    same = [mmd_test(drawn(40, seed=k), drawn(40, seed=100 + k)).p_value for k in range(40)]
    shifted = mmd_test(drawn(40, seed=1), drawn(40, seed=2, moved=2.0))
    assert 0.3 < np.mean(same) < 0.7
    assert sum(p <= 0.05 for p in same) <= 6
    assert shifted.p_value == pytest.approx(1 / 201)
    assert shifted.squared > shifted.floor > 0


def test_rows_of_one_image_change_sides_together() -> None:
    # Images of one kind, each with a place of its own: row by row they seem to differ, image by image not.
    places = torch.randn(12, 1, 5, generator=torch.Generator().manual_seed(3))
    rows = places + 0.1 * torch.randn(12, 20, 5, generator=torch.Generator().manual_seed(4))
    a, b = rows[:6].flatten(0, 1), rows[6:].flatten(0, 1)
    image = np.repeat(np.arange(6), 20)
    by_row, by_image = mmd_test(a, b), mmd_test(a, b, groups=(image, image))
    assert by_row.p_value < 0.01 < 0.1 < by_image.p_value
    assert by_image.floor > 5 * by_row.floor
    assert by_image.squared == by_row.squared


def test_the_median_distance_is_that_of_all_pairs() -> None:
    a, b = drawn(20, seed=1), drawn(31, seed=2, moved=3.0)
    pairs = torch.pdist(torch.cat([a, b]))
    assert median_distance(a, b) == pytest.approx(float(pairs.median()), rel=1e-5)
    assert median_distance(torch.ones(3, 2), torch.ones(2, 2)) == 1.0


def test_of_many_rows_the_median_distance_looks_at_some_from_end_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adframe.stats.two_sample.MEDIAN_ROWS", 60)
    a, b = drawn(300, seed=1).sort(dim=0).values, drawn(600, seed=2).sort(dim=0).values
    whole = float(torch.pdist(torch.cat([a, b])).median())
    assert median_distance(a, b) == pytest.approx(whole, rel=0.15)


@pytest.mark.parametrize("sizes", [(12, 12), (12, 7), (5, 30)])
def test_sliced_wasserstein_equals_a_slow_reference(sizes: tuple[int, int]) -> None:
    a, b = drawn(sizes[0], seed=1), drawn(sizes[1], seed=2, moved=2.0)
    ways = torch.randn(5, 70, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    ways = ways / ways.norm(dim=0)
    squares = [slow_transport((a.double() @ w).numpy(), (b.double() @ w).numpy()) for w in ways.T]
    found = sliced_wasserstein(a, b, projections=70, seed=7)
    assert found == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-4)


def test_a_sample_moved_is_as_far_from_itself_as_it_was_moved() -> None:
    a = drawn(200, seed=1, width=16)
    moved = torch.full((16,), 0.75)
    assert sliced_wasserstein(a, a + moved, projections=4000) == pytest.approx(0.75, rel=0.03)
    assert sliced_wasserstein(a, a.repeat(3, 1)) == pytest.approx(0, abs=1e-6)
    assert sliced_wasserstein(a, 5 * a) == pytest.approx(5 * sliced_wasserstein(a / 5, a), rel=1e-4)


def test_the_cosine_knows_directions_only() -> None:
    right, up = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert cosine_of_means(right, up) == pytest.approx(1.0)
    assert cosine_of_means(right, 5 * right) == pytest.approx(0.0, abs=1e-12)
    assert cosine_of_means(right, -right) == pytest.approx(2.0)


@pytest.mark.parametrize("wrong", [torch.ones(1, 3), torch.ones(4, 2), torch.full((4, 3), torch.nan)])
def test_samples_that_cannot_be_compared_are_refused(wrong: Tensor) -> None:
    for measure in (mmd_rbf, sliced_wasserstein):
        with pytest.raises(ValueError, match="sample"):
            measure(torch.ones(4, 3), wrong)
