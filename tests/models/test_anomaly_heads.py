"""Losses on maps and images, and one Gaussian of tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.covariance import OAS

from adframe.errors import AdframeError
from adframe.models.anomaly_heads import anomaly_losses, image_logit
from adframe.models.token_gaussian import TokenGaussian


def losses(logits: torch.Tensor, mask: torch.Tensor, *, kind: Any = "focal_dice") -> dict[str, torch.Tensor]:
    return anomaly_losses(logits, mask=mask, label=mask.amax((1, 2, 3)), kind=kind, temperature=2.0)


@pytest.mark.parametrize("kind", ["focal_dice", "confidence"])
def test_the_right_map_costs_least(kind: str) -> None:
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:16, 8:16] = 1
    right = torch.nn.functional.adaptive_avg_pool2d(mask, (8, 8)) * 12 - 6
    wrong = [-right, torch.zeros_like(right), torch.full_like(right, 6.0), torch.full_like(right, -6.0)]
    best = sum(losses(right, mask, kind=kind).values())
    for other in wrong:
        assert sum(losses(other, mask, kind=kind).values()) > 1.5 * best


def test_the_dice_of_a_normal_image_says_nothing() -> None:
    normal = torch.zeros(1, 1, 16, 16)
    assert losses(torch.randn(1, 1, 8, 8), normal)["dice"] == 0


def test_a_sure_mistake_costs_more_than_cross_entropy_says() -> None:
    mask, logits = torch.ones(1, 1, 8, 8), torch.full((1, 1, 8, 8), -8.0)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits / 2, mask)
    assert losses(logits, mask, kind="confidence")["pixel"] > 1.9 * plain


def test_an_image_is_judged_by_its_largest_logits() -> None:
    logits = torch.zeros(1, 1, 20, 20)
    logits[0, 0, 3, 3:7] = 5.0
    assert image_logit(logits)[0] == 5.0


def test_an_unknown_loss_is_one_line() -> None:
    with pytest.raises(AdframeError, match=r"model\.loss=best"):
        losses(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 8, 8), kind="best")


@pytest.mark.parametrize("count", [4, 300])
def test_the_gaussian_is_scikit_learns_shrunk_one(count: int) -> None:
    """With fewer tokens than channels too, where the covariance itself is singular."""
    tokens = torch.randn(1, count, 12, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 13)
    gaussian = TokenGaussian()
    gaussian.collect_held_out(tokens)
    gaussian.finalise_held_out()
    reference = OAS().fit(tokens[0].numpy())
    found = gaussian(tokens)[0].square().double().numpy()
    assert found == pytest.approx(reference.mahalanobis(tokens[0].numpy()), rel=1e-3)


def test_leaving_an_image_out_is_not_having_seen_it() -> None:
    tokens = torch.randn(5, 40, 6, generator=torch.Generator().manual_seed(1))
    whole, rest = TokenGaussian(), TokenGaussian()
    whole.collect_held_out(tokens[:2])
    whole.collect_held_out(tokens[2:])
    rest.collect_held_out(tokens[1:])
    rest.finalise_held_out()
    torch.testing.assert_close(whole.leaving_out(tokens[:1]), rest(tokens[:1]), rtol=1e-4, atol=1e-4)


def test_it_comes_back_from_a_file() -> None:
    tokens = torch.randn(2, 40, 6)
    gaussian, again = TokenGaussian(), TokenGaussian()
    gaussian.collect_held_out(tokens)
    gaussian.finalise_held_out()
    again.load_state_dict(gaussian.state_dict())
    assert torch.equal(again(tokens), gaussian(tokens))
