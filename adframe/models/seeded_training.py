"""Trains the new parts of a method next to a frozen network, by losses whose draws can be repeated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, Batch

# Stands for the number of the step where losses of held-out images are computed.
_HELD_OUT = 2**32 - 1


class SeededTraining(nn.Module, ABC):
    """Trains everything but a frozen network.

    Random draws of a training step depend on the seed and the step only, so that a resumed run continues with
    the same losses. Draws for held-out images are the same every time.

    Args:
        seed: seed of the random draws in training.
        stores_step: whether the number of the step is stored, which a method without draws does not need.

    Example:
        >>> from adframe.models.dinomaly import Dinomaly
        >>> from adframe.models.token_reconstruction import MapScoring
        >>> from adframe.models.vit import Vit
        >>> model = Dinomaly(Vit("test_vit", source="random"), scoring=MapScoring())
        >>> isinstance(model, SeededTraining), model.facts()["steps"]
        (True, 0)
    """

    synthetic = False
    step: Tensor

    def __init__(self, *, seed: int, stores_step: bool = True) -> None:
        super().__init__()
        self.seed = seed
        # Number of the training step.
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=stores_step)

    @property
    @abstractmethod
    def frozen(self) -> set[str]:
        """Returns the names of the tensors that come from the frozen network's own weights."""

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the terms of the loss.

        Args:
            batch: with `image` (B, 3, H, W).

        Returns:
            Losses by name; `loss` and `check` add `total`, their sum.
        """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of a training step.

        Args:
            batch: with `image` (B, 3, H, W).

        Returns:
            Losses by name, and `total`, their sum.
        """
        # No two pairs of a seed and a step have the same number.
        with seeded(self.seed * 2**32 + int(self.step), device=batch[IMAGE].device):
            terms = self.losses(batch)
        self.step += 1
        return _with_total(terms)

    @torch.no_grad()
    def check(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of held-out images.

        Args:
            batch: as for `loss`.

        Returns:
            Losses by name, and `total`.
        """
        with seeded(self.seed * 2**32 + _HELD_OUT, device=batch[IMAGE].device):
            return _with_total(self.losses(batch))

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns one parameter group, because everything that is trained is new.

        Args:
            weight_decay: weight decay of all parameters.
            layer_decay: not used.

        Returns:
            The parameter group.
        """
        del layer_decay
        return [{"params": self._trained(), "weight_decay": weight_decay, "lr_scale": 1.0}]

    def learned(self) -> dict[str, Tensor]:
        """Returns everything that training has changed."""
        aside = self.frozen
        return {name: tensor for name, tensor in self.state_dict().items() if name not in aside}

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Restores trained parameters.

        Args:
            state: result of `learned`.
        """
        known = self.state_dict()
        self.load_state_dict({name: known[name] for name in self.frozen} | dict(state), strict=True)

    def facts(self) -> dict[str, float]:
        """Returns the number of trained parameters and of training steps so far."""
        return {"parameters": sum(p.numel() for p in self._trained()), "steps": int(self.step)}

    def _trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def _with_total(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return terms | {"total": torch.stack(list(terms.values())).sum()}


@contextmanager
def seeded(seed: int, *, device: torch.device) -> Iterator[None]:
    """Draws random numbers from a seed of its own, and leaves the generators as they were.

    Args:
        seed: the seed.
        device: device of the tensors that are drawn.

    Yields:
        None.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
