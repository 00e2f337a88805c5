"""A small adapted transformer with seeded random weights, and synthetic batches."""

from __future__ import annotations

from typing import Any

import torch

from adframe.contracts import IMAGE, LABEL, MASK
from adframe.models.dino_lora import DinoLora
from adframe.models.lora import Lora
from adframe.models.token_scores import TokenScoring
from tests.fakes.masked import images, tiny_vit


def tiny_lora(
    *, score: Any = "decoder", norm: bool = False, lora: Lora | None = None, **settings: Any
) -> DinoLora:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return DinoLora(
            tiny_vit(),
            lora=lora or Lora(rank=4, alpha=8),
            scoring=TokenScoring(score=score, norm=norm),
            **settings,
        )


def spoilt(count: int = 4, *, seed: int = 0) -> dict[str, Any]:
    """Grey images, every second with a white square."""
    image = images(count, seed=seed) * 0.1 + 0.4
    mask = torch.zeros(count, 1, 64, 64)
    mask[1::2, :, 16:32, 32:48] = 1
    return {IMAGE: torch.where(mask.bool(), 1.0, image), MASK: mask, LABEL: mask.amax((1, 2, 3))}


def calibrated(model: DinoLora, *, count: int = 6) -> DinoLora:
    """With its bank and its scales, as after learning."""
    model.eval()
    if model.collects:
        model.collect(spoilt(8, seed=5)[IMAGE][::2])
        model.finalise()
    again = model.needs_held_out
    while again:
        model.collect_held_out(images(count, seed=9) * 0.1 + 0.4)
        again = model.finalise_held_out()
    return model
