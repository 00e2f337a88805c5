"""Distances to new centres are those of brute force, rounded rows or not, on rows that are made to hurt."""

import pytest
import torch
from torch import Tensor

from adframe.ops import pruned_distances
from adframe.ops.pruned_distances import RoundedRows, lower_distances, squared_distances, upper_bounds


def even(n: int) -> Tensor:
    return torch.randn(n, 40)


def far_from_zero(n: int) -> Tensor:
    """Rounding moves a row by more than rows differ."""
    return 1000 + torch.randn(n, 40)


def in_a_heap(n: int) -> Tensor:
    return torch.randn(1, 40) + 1e-4 * torch.randn(n, 40)


def repeated(n: int) -> Tensor:
    return torch.randn(7, 40)[torch.randint(7, (n,))]


def tiny(n: int) -> Tensor:
    return 1e-15 * torch.randn(n, 40)


def huge(n: int) -> Tensor:
    return 1e17 * torch.randn(n, 40)


def beyond(n: int) -> Tensor:
    """Products of rounded rows would overflow, distances just do not."""
    return 2e18 * torch.rand(n, 40).round() + 1e17 * torch.randn(n, 40)


def unlike(n: int) -> Tensor:
    return torch.randn(n, 40) * 10 ** torch.linspace(-6, 3, 40)


def almost_ties(n: int) -> Tensor:
    """Many rows at nearly the same distance from each other."""
    return torch.eye(40)[torch.randint(40, (n,))] * (1 + 1e-5 * torch.randn(n, 1))


MAKERS = [even, far_from_zero, in_a_heap, repeated, tiny, huge, beyond, unlike, almost_ties]


def centres_of(rows: Tensor) -> RoundedRows:
    room = RoundedRows.empty(*rows.shape)
    room.put(0, rows[:10])
    room.put(10, rows[10:])
    return room


def exact(rows: Tensor, centres: Tensor) -> Tensor:
    return (rows.double()[:, None] - centres.double()).square().sum(2).amin(1)


def norms(rows: Tensor) -> Tensor:
    return rows.double().square().sum(1).amax()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("rounded", [False, True])
def test_lowered_is_the_nearest_distance(make, rounded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruned_distances, "multiplies_bfloat16", lambda: rounded)
    for before in (1, 30, 200):
        torch.manual_seed(before)
        rows, centres = make(300), make(300)
        index = torch.randperm(300)[:170]
        known = exact(rows[index], centres[:before]).float()
        found = lower_distances(known, RoundedRows.of(rows), index, centres_of(centres).slice(before, 300))
        expected = exact(rows[index], centres)
        if rounded and make in (even, tiny, huge, unlike):  # measured from the differences
            tolerance = {"rtol": 1e-5, "atol": 0.0}
        else:
            tolerance = {"rtol": 1e-3, "atol": float(2e-6 * norms(rows))}
        torch.testing.assert_close(found.double(), expected, **tolerance, msg=f"{before} met")
        assert bool((found <= known).all()), before


@pytest.mark.parametrize("make", MAKERS)
def test_at_most_is_a_bound_and_not_much_more(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruned_distances, "multiplies_bfloat16", lambda: True)
    for count in (1, 30, 299):
        torch.manual_seed(count)
        rows, centres = make(300), make(299)
        found = upper_bounds(RoundedRows.of(rows), centres_of(centres).slice(0, count)).double()
        expected = exact(rows, centres[:count])
        assert bool((found >= expected).all()), count
        if make is not beyond:
            wide = (rows.double().norm(dim=1) + centres.double().norm(dim=1).amax()) / 200
            assert bool((found.sqrt() <= expected.sqrt() * 1.01 + wide).all()), count


@pytest.mark.parametrize("make", [even, unlike])
def test_what_is_far_is_not_measured(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruned_distances, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(pruned_distances, "squared_distances", None)
    measure, pairs = pruned_distances._pair_squared_distances, []
    monkeypatch.setattr(
        pruned_distances, "_pair_squared_distances", lambda *a: (pairs.append(len(a[1])), measure(*a))[1]
    )
    torch.manual_seed(0)
    rows, centres = make(300), make(300)
    lower_distances(
        exact(rows, centres[:200]).float(), RoundedRows.of(rows), torch.arange(300), centres_of(centres)
    )
    assert 0 < sum(pairs) < 0.02 * 300 * 300


def test_squared_distances_are_never_negative_and_exact_for_near_rows() -> None:
    torch.manual_seed(8)
    left = 100 + torch.randn(50, 64) * 1e-3
    right = torch.cat([left[:20], 100 + torch.randn(30, 64) * 1e-3])
    found = squared_distances(left, right)
    expected = torch.cdist(left.double(), right.double()).square()
    assert found.min() >= 0
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-9)
    assert not found[:20, :20].diagonal().any()
