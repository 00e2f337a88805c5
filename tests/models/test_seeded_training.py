"""What trained methods on convolutional networks have in common: repeatable draws, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from adframe.contracts import Gradient
from adframe.models.seeded_training import SeededTraining
from tests.fakes.convolutional import (
    learn,
    tiny_efficient_ad,
    tiny_reverse_distillation,
    tiny_supersimplenet,
)
from tests.fakes.masked import images
from tests.fakes.reconstructed import grey


class Method(NamedTuple):
    """How a method is built and trained here."""

    create: Callable[[Path], SeededTraining]
    frozen: str
    lr: float
    size: int = 64
    folder: Path = Path()

    def build(self) -> SeededTraining:
        return self.create(self.folder)

    def batch(self, count: int = 4, *, seed: int = 0) -> dict[str, Any]:
        return grey(count, size=(self.size, self.size), seed=seed)


METHODS = {
    "reverse_distillation": Method(lambda _: tiny_reverse_distillation(), "backbone.", 5e-3),
    "efficient_ad": Method(tiny_efficient_ad, "teacher.", 1e-2, size=256),
    "supersimplenet": Method(lambda _: tiny_supersimplenet(), "backbone.", 5e-3),
}


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def method(request: pytest.FixtureRequest, tmp_path: Path) -> Method:
    found: Method = request.param
    return found._replace(folder=tmp_path)


def test_it_keeps_the_protocol_and_its_frozen_network(method: Method) -> None:
    model = method.build()
    assert isinstance(model, Gradient)
    assert all(name.startswith(method.frozen) for name in model.frozen)
    before = {name: model.state_dict()[name].clone() for name in model.frozen}
    losses = learn(model, steps=6, lr=method.lr, size=method.size, count=2)
    assert min(losses[-3:]) < losses[0]
    assert model.facts()["steps"] == 6
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.items())
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_scores_do_not_depend_on_the_batch_or_its_order(method: Method) -> None:
    model, image = method.build().eval(), images(3, size=(method.size, method.size))
    whole = model(image)
    alone = [model(image[i : i + 1]) for i in (2, 1, 0)][::-1]
    torch.testing.assert_close(whole.score, torch.cat([each.score for each in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        whole.heatmap, torch.cat([each.heatmap for each in alone]), rtol=1e-4, atol=1e-5
    )


def test_draws_of_a_step_depend_on_the_step_only(method: Method) -> None:
    first, second = method.build().train(), method.build().train()
    state = torch.get_rng_state()
    losses = [first.loss(method.batch(2))["total"] for _ in range(2)]
    torch.testing.assert_close(torch.get_rng_state(), state)
    torch.rand(3)  # another use of the generator
    second.step.fill_(1)
    torch.testing.assert_close(second.loss(method.batch(2))["total"], losses[1], rtol=0, atol=0)


def test_held_out_losses_repeat_and_change_nothing(method: Method) -> None:
    model = method.build().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one, two = model.check(method.batch(2)), model.check(method.batch(2))
    assert one == two
    assert float(one["total"]) == pytest.approx(sum(float(v) for k, v in one.items() if k != "total"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_was_learned_is_stored_without_the_frozen_network(method: Method) -> None:
    model, other = method.build(), method.build()
    learn(model, steps=2, lr=method.lr, size=method.size, count=2)
    state = model.learned()
    assert not any(name.startswith(method.frozen) for name in state)
    other.load_learned(state)
    image = images(2, size=(method.size, method.size))
    torch.testing.assert_close(other.eval()(image).heatmap, model.eval()(image).heatmap, rtol=0, atol=0)
    state.pop("step")
    with pytest.raises(RuntimeError, match="step"):
        other.load_learned(state)
