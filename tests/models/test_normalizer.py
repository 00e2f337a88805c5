"""Errors in units of what is usual."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adframe.errors import AdframeError
from adframe.models.normalizer import SPREAD_FLOOR, Normaliser


def errors(count: int = 6, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_mean_and_spread_are_those_of_every_pixel() -> None:
    normaliser, seen = Normaliser("per_pixel", sigma=0.0), errors()
    for part in seen.split(2):
        normaliser.collect_held_out(part)
    normaliser.finalise_held_out()
    spread = seen.std(0, correction=0)
    floored = (spread**2 + (SPREAD_FLOOR * spread.mean((1, 2), keepdim=True)) ** 2).sqrt()
    torch.testing.assert_close(normaliser.mean, seen.mean(0))
    torch.testing.assert_close(normaliser(seen), (seen - seen.mean(0)) / floored)


def test_globally_all_pixels_share_one_scale() -> None:
    normaliser, seen = Normaliser("global", sigma=0.0), errors()
    normaliser.collect_held_out(seen)
    normaliser.finalise_held_out()
    pooled = seen.transpose(0, 1).flatten(1)
    torch.testing.assert_close(normaliser.mean.flatten(), pooled.mean(1))
    expected = pooled.std(1, correction=0) * (1 + SPREAD_FLOOR**2) ** 0.5
    torch.testing.assert_close(normaliser.spread.flatten(), expected)


@pytest.mark.parametrize("kind", ["per_pixel", "global"])
def test_leaving_out_is_not_having_seen(kind: Any) -> None:
    seen = errors()
    whole, rest = Normaliser(kind, sigma=1.0), Normaliser(kind, sigma=1.0)
    whole.collect_held_out(seen)
    rest.collect_held_out(seen[1:])
    rest.finalise_held_out()
    torch.testing.assert_close(whole.leaving_out(seen[:1]), rest(seen[:1]), rtol=1e-4, atol=1e-4)


def test_where_all_agree_a_small_difference_is_no_wonder() -> None:
    normaliser, seen = Normaliser("per_pixel", sigma=0.0), errors()
    seen[:, :, 0, 0] = 0.5
    normaliser.collect_held_out(seen)
    normaliser.finalise_held_out()
    other = seen[:1].clone()
    other[:, :, 0, 0] += 0.01
    assert normaliser(other)[:, :, 0, 0].max() < 1


def test_another_size_cannot_be_held_against_pixels() -> None:
    normaliser = Normaliser("per_pixel", sigma=0.0)
    normaliser.collect_held_out(errors())
    normaliser.finalise_held_out()
    with pytest.raises(AdframeError, match="errors of 4x4 pixels cannot be compared with those of 8x8"):
        normaliser(torch.rand(1, 2, 4, 4))
