"""A small SiT with seeded random weights."""

from __future__ import annotations

from typing import Any

import torch

from adframe.models.scoring import Scoring
from adframe.models.sit import SiT
from adframe.models.vit import Vit


def tiny_vit(*, seed: int = 0) -> Vit:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Vit("test_vit", source="random")


def tiny_sit(*, scoring: Scoring | None = None, **settings: Any) -> SiT:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return SiT(tiny_vit(), scoring=scoring or Scoring(), **settings)


def images(count: int, *, size: tuple[int, int] = (64, 64), seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def settled(model: SiT, *, count: int = 4, size: tuple[int, int] = (64, 64)) -> SiT:
    model.eval().collect_held_out(images(count, size=size, seed=9))
    model.finalise_held_out()
    return model
