"""Rates, groups, and settings that cannot work."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from adframe.errors import AdframeError
from adframe.systems.learning import Learning
from tests.fakes.masked import tiny_sit


def learning(**settings: Any) -> Learning:
    return Learning(**({"optimizer": partial(torch.optim.AdamW, lr=1e-2), "epochs": 1} | settings))


def test_the_rate_rises_then_falls_to_the_floor() -> None:
    plan = learning(warmup=0.1, floor=0.05)
    rates = [plan.rate(step, steps=100) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == rates[10] == 1
    assert rates[-1] == pytest.approx(0.05)


def test_a_warmup_in_steps_does_not_depend_on_the_length() -> None:
    for steps in (20, 1000):
        rates = [learning(warmup_steps=10).rate(step, steps=steps) for step in range(11)]
        assert rates[:10] == [(step + 1) / 10 for step in range(10)]
        assert rates[10] == 1
    assert learning(warmup_steps=10).rate(3, steps=4) == 1  # shorter than its warm-up


def test_steps_multiply_the_rate_at_milestones() -> None:
    plan = learning(warmup=0.0, schedule="steps", milestones=[0.8, 0.9], factor=0.4)
    rates = [plan.rate(step, steps=100) for step in range(101)]
    assert rates[:80] == [1.0] * 80
    assert rates[80:90] == pytest.approx([0.4] * 10)
    assert rates[90:] == pytest.approx([0.16] * 11)
    constant = learning(warmup=0.1, schedule="steps")
    assert [constant.rate(step, steps=20) for step in range(21)] == [0.5, *[1.0] * 20]


def test_a_length_in_steps_is_rounded_to_whole_passes() -> None:
    plan = learning(epochs=None, steps=100)
    assert [plan.passes(steps_per_pass=n)[0] for n in (1, 16, 40, 67, 300)] == [100, 6, 2, 1, 1]
    assert learning(epochs=3).passes(steps_per_pass=16) == (3, 1)
    assert learning(epochs=None, steps=0).passes(steps_per_pass=16) == (0, 1)
    assert [learning(epochs=None, steps=n).trains for n in (0, 1)] == [False, True]


def test_checks_are_spread_over_the_passes_and_the_last_pass_has_one() -> None:
    for epochs in range(1, 200):
        count, between = learning(epochs=epochs, checks=10).passes(steps_per_pass=3)
        assert count % between == 0
        assert epochs * 0.9 <= count <= epochs
        assert count // between >= min(epochs, 10)
    assert learning(epochs=7).passes(steps_per_pass=3) == (7, 1)


@pytest.mark.parametrize("both", [{"epochs": None}, {"epochs": 2, "steps": 9}])
def test_a_length_is_given_in_one_way(both: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match="one of them must be a number, the other null"):
        learning(**both)


def test_every_group_learns_at_its_share_of_the_rate() -> None:
    optimizer, schedule = learning(layer_decay=0.5, warmup=0.0).optimizers(tiny_sit(), steps=10)
    at_first = [group["lr"] for group in optimizer.param_groups]
    assert max(at_first) == pytest.approx(1e-2)
    assert min(at_first) < 0.1 * max(at_first)
    optimizer.step()
    for _ in range(10):
        schedule.step()
    for before, group in zip(at_first, optimizer.param_groups, strict=True):
        assert group["lr"] == pytest.approx(0.01 * before)


def test_biases_do_not_decay() -> None:
    model = tiny_sit()
    optimizer, _ = learning(weight_decay=0.3).optimizers(model, steps=1)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    block = model.vit.trunk.blocks[0]
    assert decays[id(block.attn.qkv.weight)] == 0.3
    assert decays[id(block.attn.qkv.bias)] == decays[id(model.vit.trunk.pos_embed)] == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": -1},
        {"layer_decay": 0.0},
        {"warmup": 2.0},
        {"clip": 0.0},
        {"cache_mb": -1},
        {"warmup_steps": -1},
        {"checks": 0},
        {"schedule": "linear"},
        {"milestones": [0.9, 0.8]},
        {"milestones": [1.0]},
        {"factor": 0.0},
        {"steps": -1, "epochs": None},
    ],
)
def test_impossible_settings_are_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"learning.*{next(iter(settings))}"):
        learning(**settings)
