"""Configures gradient training: its length, optimizer and learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from adframe.errors import AdframeError, above, at_least


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Configures training with a warm-up and a schedule of the learning rate, by optimizer step.

    Args:
        optimizer: takes parameter groups; a `_partial_` of any `torch.optim` class with its `lr`.
        epochs: passes over the training images; 0 trains nothing; null where `steps` is given.
        steps: length in steps of one batch instead of `epochs`, rounded to whole passes over the training
            images, one at least; 0 trains nothing.
        weight_decay: weight decay of matrices, 0 or more; biases and norms do not decay.
        layer_decay: factor in (0, 1] of the learning rate from one block to the block below; 1 uses one rate.
        checks: number of times, above 0, that held-out losses are computed and the state of the training is
            stored, evenly over the passes; null does so after every pass.
        warmup: share of all steps, in [0, 1], in which the rate rises from 0.
        warmup_steps: number of those steps instead of a share, 0 or more; null takes the share.
        schedule: after the warm-up, `cosine` decays to `floor`, and `steps` multiplies the rate by `factor`
            at each of the `milestones`.
        floor: learning rate at the end of `cosine`, as a share of the highest, in [0, 1].
        milestones: shares of all steps, in (0, 1), ascending; none keep the rate constant.
        factor: factor of the rate at a milestone, in (0, 1].
        clip: largest norm of the gradient; null does not clip.
        synthetic: whether training images have the anomalies of `synthesis=`, and held-out losses are
            computed on such; otherwise images are unchanged, and `synthesis=` only adds numbers about
            validation.
        cache_mb: memory in MiB for decoded training images; 0 decodes them in every epoch.
        pictures: number of grids of pictures, evenly over the epochs; 0 draws none.

    Raises:
        AdframeError: if a number is out of range.

    Example:
        >>> learning = Learning(optimizer=lambda groups: None, epochs=1, warmup=0.5, floor=0.0)
        >>> [learning.rate(step, steps=4) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
        >>> learning = Learning(
        ...     optimizer=lambda groups: None, epochs=1, warmup=0, schedule="steps", milestones=[0.5]
        ... )
        >>> [learning.rate(step, steps=4) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """

    optimizer: Callable[[Any], Optimizer]
    epochs: int | None = None
    steps: int | None = None
    checks: int | None = None
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    warmup: float = 0.05
    warmup_steps: int | None = None
    schedule: Literal["cosine", "steps"] = "cosine"
    floor: float = 0.01
    milestones: Sequence[float] = ()
    factor: float = 0.1
    clip: float | None = None
    synthetic: bool = False
    cache_mb: int = 4096
    pictures: int = 5

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, bad in (
                (
                    f"epochs={_shown(self.epochs)} and learning.steps={_shown(self.steps)}: "
                    "one of them must be a number, the other null",
                    (self.epochs is None) == (self.steps is None),
                ),
                ("epochs must be 0 or more", (self.epochs or 0) < 0),
                ("steps must be 0 or more", (self.steps or 0) < 0),
                ("weight_decay must be finite, 0 or more", not at_least(self.weight_decay, 0)),
                ("layer_decay must be in (0, 1]", not 0 < self.layer_decay <= 1),
                ("warmup must be from 0 to 1", not 0 <= self.warmup <= 1),
                ("checks must be null or above 0", self.checks is not None and self.checks < 1),
                ("warmup_steps must be null, or 0 or more", (self.warmup_steps or 0) < 0),
                ("schedule must be cosine or steps", self.schedule not in ("cosine", "steps")),
                ("floor must be from 0 to 1", not 0 <= self.floor <= 1),
                (
                    "milestones must be ascending shares between 0 and 1",
                    not all(low < high for low, high in pairwise((0, *self.milestones, 1))),
                ),
                ("factor must be in (0, 1]", not 0 < self.factor <= 1),
                ("clip must be null or above 0", self.clip is not None and not above(self.clip, 0)),
                ("cache_mb and pictures must be 0 or more", min(self.cache_mb, self.pictures) < 0),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"learning.{text}" for text in wrong))

    @property
    def trains(self) -> bool:
        """Tells whether there is anything to train."""
        return bool(self.epochs or self.steps)

    def passes(self, *, steps_per_pass: int) -> tuple[int, int]:
        """Returns the length of a training in passes over the images, and of the time between two checks.

        Args:
            steps_per_pass: number of batches of one pass, above 0.

        Returns:
            The number of passes, `epochs` or the nearest to `steps`, and after how many of them each check
            comes. The last pass ends with a check; up to one part in `checks` of the passes is left out for
            that.

        Example:
            >>> Learning(optimizer=lambda groups: None, steps=1000, checks=10).passes(steps_per_pass=16)
            (60, 6)
        """
        if not self.trains:
            return 0, 1
        steps = self.steps if self.steps is not None else (self.epochs or 0) * steps_per_pass
        count = max(1, round(steps / steps_per_pass))
        between = 1 if self.checks is None else max(1, count // self.checks)
        return count // between * between, between

    def optimizers(self, detector: Any, *, steps: int) -> tuple[Optimizer, LambdaLR]:
        """Builds the optimizer over a detector's parameter groups, and its schedule.

        Each group has its own factor of the learning rate, its `lr_scale`.

        Args:
            detector: a `contracts.Gradient` detector.
            steps: number of optimizer steps.

        Returns:
            The optimizer and its schedule.
        """
        groups = detector.groups(weight_decay=self.weight_decay, layer_decay=self.layer_decay)
        scales = [float(group.pop("lr_scale")) for group in groups]
        for group in groups:
            group.pop("param_names", None)  # added by timm for display only
        optimizer = self.optimizer(groups)
        return optimizer, LambdaLR(optimizer, [partial(self._scaled, steps=steps, scale=s) for s in scales])

    def _scaled(self, step: int, *, steps: int, scale: float) -> float:
        return scale * self.rate(step, steps=steps)

    def rate(self, step: int, *, steps: int) -> float:
        """Returns the share of the highest learning rate at a step.

        Args:
            step: counted from 0.
            steps: number of steps.

        Returns:
            A share in [0, 1].
        """
        warm = round(self.warmup * steps) if self.warmup_steps is None else min(self.warmup_steps, steps)
        if step < warm:
            return (step + 1) / warm
        if self.schedule == "steps":
            return self.factor ** sum(step >= share * steps for share in self.milestones)
        done = min(1.0, (step - warm) / max(1, steps - warm))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


def _shown(value: int | None) -> str:
    return "null" if value is None else str(value)
