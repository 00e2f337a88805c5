"""Dinomaly's own parts: linear attention, the noisy bottleneck, reversed reading, hard mining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adframe.errors import AdframeError
from adframe.models.dinomaly import LinearAttention
from tests.fakes.masked import images
from tests.fakes.reconstructed import grey, tiny_dinomaly


def test_linear_attention_is_a_weighted_mean_with_weights_of_elu_plus_one() -> None:
    torch.manual_seed(0)
    layer, tokens = LinearAttention(8, heads=2), torch.randn(1, 5, 8)
    layer.proj = torch.nn.Identity()
    with torch.no_grad():
        found = layer(tokens)[0].numpy()
        q, k, v = layer.qkv(tokens)[0].view(5, 3, 2, 4).permute(1, 2, 0, 3).double().numpy()  # (heads, N, d)
    q, k = (np.where(x > 0, x + 1, np.exp(x)) for x in (q, k))
    for head, i in np.ndindex(2, 5):
        weights = np.array([q[head, i] @ k[head, j] for j in range(5)])
        expected = sum(w * v[head, j] for j, w in enumerate(weights)) / weights.sum()
        np.testing.assert_allclose(found[i, 4 * head : 4 * head + 4], expected, rtol=1e-4)


def test_the_last_decoder_block_reconstructs_the_first_encoder_block() -> None:
    model = tiny_dinomaly().eval()
    targets = model.encode(images(1))
    with torch.no_grad():
        tokens = model.bottleneck(torch.stack(targets).mean(0))
        for block in model.decoder:
            tokens = block(tokens)
        rebuilt, others = model.reconstruct(targets)
    torch.testing.assert_close(rebuilt[0], tokens)
    assert (len(rebuilt), others) == (len(model.blocks), {})


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (500, 0.45), (1000, 0.9), (5000, 0.9)])
def test_the_share_of_reduced_points_rises(step: int, share: float) -> None:
    model = tiny_dinomaly()
    model.step.fill_(step)
    distance = torch.rand(4, 500, generator=torch.Generator().manual_seed(0))
    factors = model.gradient_factors(distance)
    assert set(factors.unique().tolist()) <= {np.float32(0.1), 1.0}
    assert float((factors < 1).float().mean()) == pytest.approx(share, abs=1e-3)
    if share:
        assert distance[factors < 1].max() < distance[factors == 1].min()


def test_mining_can_be_switched_off() -> None:
    model = tiny_dinomaly(mining=0.0, mining_steps=0)
    assert (model.gradient_factors(torch.rand(2, 9)) == 1).all()


def test_dropout_is_the_noise_of_training_only() -> None:
    model = tiny_dinomaly(dropout=0.5)
    noisy, plain = model.train().loss(grey()), model.eval().loss(grey())
    assert noisy["total"] != plain["total"]
    quiet = tiny_dinomaly(dropout=0.0)
    torch.testing.assert_close(quiet.train().loss(grey())["total"], plain["total"])


def test_softmax_attention_is_another_decoder() -> None:
    one, two = tiny_dinomaly(), tiny_dinomaly(attention="softmax")
    assert one.learned().keys() == two.learned().keys()
    assert (one.eval()(images(1)).heatmap != two.eval()(images(1)).heatmap).any()


@pytest.mark.parametrize(
    "wrong", [{"dropout": 1.0}, {"mining": 1.0}, {"mining_factor": 2}, {"mining_steps": -1}]
)
def test_impossible_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        tiny_dinomaly(**wrong)
