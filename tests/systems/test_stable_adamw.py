"""The optimizer against a plain reference, and values that cannot work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adframe.errors import AdframeError
from adframe.systems.stable_adamw import StableAdamW

GRADIENTS = torch.randn(12, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GRADIENTS[7] *= 50  # which AdamW would follow too far
SETTINGS: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.05}


def stepped(*, amsgrad: bool, gradients: torch.Tensor = GRADIENTS) -> torch.Tensor:
    weight = torch.nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
    optimizer = StableAdamW([weight], **SETTINGS, amsgrad=amsgrad)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def reference(*, amsgrad: bool) -> np.ndarray:
    """Plain moving averages that are divided by their bias, as in Adam's own paper."""
    (one, two), eps = SETTINGS["betas"], SETTINGS["eps"]
    weight, first, second, largest = np.ones((3, 4)), np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
    for t, gradient in enumerate(GRADIENTS.numpy(), start=1):
        first = one * first + (1 - one) * gradient
        second = two * second + (1 - two) * gradient**2
        largest = np.maximum(largest, second) if amsgrad else second
        v, u = first / (1 - one**t), largest / (1 - two**t)
        rate = SETTINGS["lr"] / max(1.0, np.sqrt((gradient**2 / np.maximum(u, eps**2)).mean()))
        weight = weight - rate * SETTINGS["weight_decay"] * weight - rate * v / (np.sqrt(u) + eps)
    return weight


@pytest.mark.parametrize("amsgrad", [False, True])
def test_steps_are_those_of_the_paper(amsgrad: bool) -> None:
    np.testing.assert_allclose(stepped(amsgrad=amsgrad), reference(amsgrad=amsgrad), rtol=1e-10)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_without_a_jump_of_the_gradient_it_is_adamw(amsgrad: bool) -> None:
    even = torch.linspace(1.0, 0.5, 12, dtype=torch.float64).view(12, 1, 1).expand(12, 3, 4)
    weight = torch.nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], **SETTINGS, amsgrad=amsgrad)
    for gradient in even:
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(stepped(amsgrad=amsgrad, gradients=even), weight.detach())


def test_its_state_is_saved_and_restored() -> None:
    weights = [torch.nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    whole, begun = (StableAdamW([weight], **SETTINGS, amsgrad=True) for weight in weights)
    for step, gradient in enumerate(GRADIENTS.float()):
        if step == 5:
            stored = begun.state_dict()
            begun = StableAdamW([weights[1]], lr=1.0, amsgrad=True)
            begun.load_state_dict(stored)
        for weight, optimizer in zip(weights, (whole, begun), strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(*weights, rtol=0, atol=0)


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"betas": (1.0, 0.9)}, {"eps": 0.0}, {"weight_decay": -1}])
def test_impossible_values_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=f"learning.optimizer.{next(iter(wrong))} must be"):
        StableAdamW([torch.nn.Parameter(torch.ones(1))], **wrong)
