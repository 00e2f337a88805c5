"""How a method learns by gradient: for how long, with which optimizer, at what rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from adframe.errors import AdframeError, above, at_least


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Warm-up, then a cosine to `floor`, by optimizer step.

    Args:
        optimizer: takes parameter groups; a `_partial_` of any `torch.optim` class with its `lr`.
        epochs: passes over the training images; 0 learns nothing.
        weight_decay: of matrices; biases and norms do not decay.
        layer_decay: the rate falls by this factor from a block to the one below it; 1: one rate.
        warmup: share of all steps in which the rate rises from 0.
        floor: the rate at the end, as a share of the highest.
        clip: largest norm of the gradient; null clips nothing.
        synthetic: training images have the anomalies that `synthesis=` makes, and losses are checked on
            such; else they are as they are, and `synthesis=` only adds numbers about validation.
        cache_mb: decoded training images are kept in memory if they fit; 0 decodes them every epoch.
        pictures: a grid of pictures is drawn so many times, evenly over the epochs; 0 draws none.
    """

    optimizer: Callable[[Any], Optimizer]
    epochs: int
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    warmup: float = 0.05
    floor: float = 0.01
    clip: float | None = None
    synthetic: bool = False
    cache_mb: int = 4096
    pictures: int = 5

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, bad in (
                ("epochs must be 0 or more", self.epochs < 0),
                ("weight_decay must be finite, 0 or more", not at_least(self.weight_decay, 0)),
                ("layer_decay must be in (0, 1]", not 0 < self.layer_decay <= 1),
                ("warmup must be from 0 to 1", not 0 <= self.warmup <= 1),
                ("floor must be from 0 to 1", not 0 <= self.floor <= 1),
                ("clip must be null or above 0", self.clip is not None and not above(self.clip, 0)),
                ("cache_mb and pictures must be 0 or more", min(self.cache_mb, self.pictures) < 0),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"learning.{text}" for text in wrong))

    def optimizers(self, detector: Any, *, steps: int) -> tuple[Optimizer, LambdaLR]:
        """The optimizer over a detector's groups, and the schedule of `steps` optimizer steps.

        Each group learns at its own share of the rate, its `lr_scale`.
        """
        groups = detector.groups(weight_decay=self.weight_decay, layer_decay=self.layer_decay)
        scales = [float(group.pop("lr_scale")) for group in groups]
        for group in groups:
            group.pop("param_names", None)  # timm's, for people
        optimizer = self.optimizer(groups)
        return optimizer, LambdaLR(optimizer, [partial(self._scaled, steps=steps, scale=s) for s in scales])

    def _scaled(self, step: int, *, steps: int, scale: float) -> float:
        return scale * self.rate(step, steps=steps)

    def rate(self, step: int, *, steps: int) -> float:
        """Share of the highest rate at a step, counted from 0."""
        warm = round(self.warmup * steps)
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, steps - warm))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2
