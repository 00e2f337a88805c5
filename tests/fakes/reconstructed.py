"""Small models that reconstruct the tokens of a frozen transformer, with seeded random weights."""

from __future__ import annotations

from typing import Any

import torch

from adframe.contracts import IMAGE
from adframe.models.dinomaly import Dinomaly
from adframe.models.inp_former import InpFormer
from adframe.models.token_reconstruction import MapScoring, TokenReconstruction
from tests.fakes.masked import images, tiny_vit


def tiny_dinomaly(*, scoring: MapScoring | None = None, **settings: Any) -> Dinomaly:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Dinomaly(tiny_vit(), scoring=scoring or MapScoring(), **settings)


def tiny_inp_former(*, scoring: MapScoring | None = None, **settings: Any) -> InpFormer:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return InpFormer(tiny_vit(), scoring=scoring or MapScoring(), **settings)


def grey(count: int = 4, *, size: tuple[int, int] = (64, 64), seed: int = 0) -> dict[str, Any]:
    """A batch of images of weak noise."""
    return {IMAGE: images(count, size=size, seed=seed) * 0.1 + 0.4}


def learn(
    model: TokenReconstruction, *, steps: int, lr: float = 3e-3, size: tuple[int, int] = (64, 64)
) -> list[float]:
    """Trains, and returns the total losses of the steps."""
    optimizer = torch.optim.AdamW(model.groups(weight_decay=0.0, layer_decay=1.0)[0]["params"], lr=lr)
    model.train()
    found = []
    for step in range(steps):
        optimizer.zero_grad()
        total = model.loss(grey(size=size, seed=step % 3))["total"]
        total.backward()
        optimizer.step()
        found.append(float(total.detach()))
    return found
