"""Attention rolled out equals a slow reference on what unfused kernels really used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from adframe.models.attention import has_class_token, rolled_out, rollout, transformer_in
from adframe.models.backbones import TimmBackbone
from adframe.models.hf_vit import open_vit
from adframe.models.patchcore import PatchCore
from tests.fakes.adapted import tiny_lora
from tests.fakes.backbones import tiny_backbone
from tests.fakes.masked import images, tiny_sit, tiny_vit


def slow(attentions: list[np.ndarray]) -> np.ndarray:
    """(heads, N, N) of each block to (N, N), token by token."""
    count = attentions[0].shape[-1]
    flow = np.eye(count)
    for heads in attentions:
        mixed = np.array([[heads[:, i, j].mean() + (i == j) for j in range(count)] for i in range(count)])
        flow = (mixed / mixed.sum(axis=1, keepdims=True)) @ flow
    return flow


def unfused(trunk: Any, run: Any) -> list[np.ndarray]:
    """What goes through the dropout behind each block's softmax, once nothing is fused."""
    seen: list[Tensor] = []
    for block in trunk.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    with torch.no_grad():
        run()
    return [each[0].double().numpy() for each in seen]


def sharp(vit: Any) -> Any:
    """With attention far from even, or hardly anything could go wrong."""
    with torch.no_grad():
        for block in vit.trunk.blocks:
            block.attn.qkv.weight *= 20
    return vit


def test_a_timm_transformer_against_the_slow_reference() -> None:
    vit, image = sharp(tiny_vit()), images(2)
    found = rollout(vit, image)
    expected = slow(unfused(vit.trunk, lambda: vit(vit.normalise(image[:1]))))
    prefix = vit.trunk.num_prefix_tokens
    np.testing.assert_allclose(found[0].flatten(), expected[0, prefix:], atol=1e-5)
    assert found.shape == (2, 64 // vit.patch, 64 // vit.patch)
    assert float(found[0].max()) > 1.5 * float(found[0].mean())
    torch.testing.assert_close(rollout(vit, image[:1])[0], found[0])


def test_transformers_dinov2_against_its_own_eager_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adframe.models.hf_vit.VIT_SHAPES", {"small": (32, 3, 2)})
    for repository, prefix in (("facebook/dinov2-small", 1), ("facebook/dinov2-with-registers-small", 5)):
        vit: Any = open_vit(repository, source="random")
        with torch.no_grad():
            for name, weight in vit.named_parameters():
                weight *= 30 if "q_proj" in name or "k_proj" in name else 1
        image = images(1, size=(56, 42))
        found = rollout(vit, image)
        vit.trunk.set_attn_implementation("eager")
        with torch.no_grad():
            given = vit.trunk(vit.normalise(image), output_attentions=True).attentions
        expected = slow([each[0].double().numpy() for each in given])[0, prefix:]
        np.testing.assert_allclose(found[0].flatten(), expected, atol=1e-5)
        assert found.shape == (1, 4, 3)


def test_rows_sum_to_one_and_even_attention_stays_even() -> None:
    random = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
    torch.testing.assert_close(rolled_out([random, random]).sum(-1), torch.ones(2, 7))
    even = torch.full((1, 4, 4), 0.25)
    torch.testing.assert_close(rolled_out([even])[0, 0], torch.tensor([0.625, 0.125, 0.125, 0.125]))


def test_without_a_class_token_it_is_the_mean_over_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    own = timm.create_model
    plain = {"class_token": False, "global_pool": "avg", "reg_tokens": 0}
    monkeypatch.setattr(timm, "create_model", lambda name, **given: own(name, **plain, **given))
    vit = sharp(tiny_vit())
    found = rollout(vit, images(1))
    assert not has_class_token(vit)
    expected = slow(unfused(vit.trunk, lambda: vit(vit.normalise(images(1)))))
    np.testing.assert_allclose(found[0].flatten(), expected.mean(axis=0), atol=1e-5)


def test_which_methods_have_attention_to_look_at() -> None:
    frozen = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
    assert transformer_in(PatchCore(frozen, coreset=1.0)) is frozen
    sit, lora = tiny_sit(), tiny_lora()
    assert transformer_in(sit) is sit.vit
    assert transformer_in(lora) is lora.vit
    assert transformer_in(PatchCore(tiny_backbone(), coreset=1.0)) is None
    assert rollout(frozen, images(1)).isfinite().all()
    assert rollout(lora.vit, images(1)).isfinite().all()  # adapters around the projections
