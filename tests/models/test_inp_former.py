"""INP-Former's own parts: prototypes, guided decoder blocks, coherence, soft mining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adframe.errors import AdframeError
from adframe.models.inp_former import GuidedBlock, PrototypeExtractor, coherence_loss
from tests.fakes.masked import images
from tests.fakes.reconstructed import tiny_inp_former


def test_prototypes_are_weighted_means_of_tokens_with_two_residuals() -> None:
    torch.manual_seed(0)
    layer, fused = PrototypeExtractor(8, prototypes=3), torch.randn(1, 5, 8)
    layer.proj = torch.nn.Identity()
    with torch.no_grad():
        q = layer.queries(layer.query_norm(layer.tokens)).double().numpy()
        k, v = (x.double().numpy() for x in layer.keys_values(layer.key_norm(fused[0])).chunk(2, dim=1))
        weights = np.exp(q @ k.T / np.sqrt(8))
        attended = layer.tokens + torch.from_numpy(weights / weights.sum(1, keepdims=True) @ v).float()
        expected = attended + layer.mlp(layer.mlp_norm(attended))
        torch.testing.assert_close(layer(fused)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_guided_block_replaces_tokens_by_sums_of_prototypes() -> None:
    torch.manual_seed(0)
    block, tokens, prototypes = GuidedBlock(8), torch.randn(1, 5, 8), torch.randn(1, 3, 8)
    block.proj, block.mlp = torch.nn.Identity(), torch.nn.Identity()
    block.mlp_norm = torch.nn.Identity()
    block.scale.data.fill_(1.7)
    with torch.no_grad():
        q = block.queries(block.norm(tokens))[0].numpy()
        k, v = (x[0].numpy() for x in block.keys_values(block.prototype_norm(prototypes)).chunk(2, dim=2))
        found = block(tokens, prototypes)[0].numpy() / 2  # the MLP's residual of the identity
    for i in range(5):
        cosines = [q[i] @ k[m] / np.linalg.norm(q[i]) / np.linalg.norm(k[m]) for m in range(3)]
        expected = sum(max(0.0, 1.7 * c) * v[m] for m, c in enumerate(cosines))
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-6)


def test_coherence_is_the_distance_from_the_nearest_prototype() -> None:
    torch.manual_seed(0)
    tokens, prototypes = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    nearest = [
        min(1 - float(torch.cosine_similarity(x, p, dim=0)) for p in prototypes[b])
        for b in range(2)
        for x in tokens[b]
    ]
    assert float(coherence_loss(tokens, prototypes)) == pytest.approx(np.mean(nearest), rel=1e-5)
    assert float(coherence_loss(tokens, tokens)) == pytest.approx(0, abs=1e-6)


def test_coherence_has_its_weight_in_the_loss() -> None:
    one, two = (tiny_inp_former(coherence=weight).eval() for weight in (0.2, 0.6))
    first, second = (model.reconstruct(model.encode(images(2)))[1]["coherence"] for model in (one, two))
    torch.testing.assert_close(second, 3 * first)


def test_soft_mining_is_a_power_of_the_relative_distance() -> None:
    distance = torch.rand(2, 9, generator=torch.Generator().manual_seed(0))
    model = tiny_inp_former(mining=3.0)
    torch.testing.assert_close(model.gradient_factors(distance), (distance / distance.mean()) ** 3)
    assert (tiny_inp_former(mining=0.0).gradient_factors(distance) == 1).all()
    assert model.gradient_factors(torch.tensor([[-1e-7, 0.0]])).isfinite().all()


@pytest.mark.parametrize("wrong", [{"prototypes": 0}, {"coherence": -1.0}, {"mining": -1.0}])
def test_impossible_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        tiny_inp_former(**wrong)
