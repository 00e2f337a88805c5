"""What compares or draws for the images of a whole step, of which each process has a share.

One process alone computes as if nothing of this existed. With several processes, a loss that depends on the
whole step (its hardest points, its mean, the statistics of batch normalisation) is computed from the images
of all of them, and random draws are made for the whole step, of which each process takes those of its images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.io.processes import current_processes


@dataclass(frozen=True, slots=True)
class StepShare:
    """The images of a training step that are those of this process.

    Attributes:
        weight: what the mean over the images of this process counts in the mean over the processes (see
            `data.sampling.SharedBatches`); 0 for a stand-in, whose values count nowhere.
        places: places of the images among those of the whole step.
        count: number of images of the whole step.
    """

    weight: float
    places: tuple[int, ...]
    count: int


_share: ContextVar[StepShare | None] = ContextVar("share", default=None)


@contextmanager
def shared_step(weight: float, *, images: int) -> Iterator[None]:
    """Makes what is computed inside part of a training step of all processes; all must enter it.

    Args:
        weight: of this process (see `StepShare`).
        images: number of images of this process. The whole step is dealt out in turn.
    """
    processes = current_processes()
    if processes.count == 1:
        yield
        return
    count = round(images * processes.count / weight) if weight else 1
    places = tuple(range(processes.rank, count, processes.count)) if weight else (0,) * images
    if len(places) != images:  # held-out images were left out, so that the others are not dealt in turn
        places = tuple(range(images))
    token = _share.set(StepShare(weight, places, count))
    try:
        yield
    finally:
        _share.reset(token)


def images_of_step(images: int) -> int:
    """Returns the number of images of the whole step.

    Args:
        images: number of images of this process.
    """
    share = _share.get()
    return images if share is None else share.count


def drawn_for_all(draw: Callable[[int], Tensor], *, images: int) -> Tensor:
    """Draws random numbers for the images of the whole step, and returns those of this process.

    Args:
        draw: draws for a number of images, which are the first dimension of what it returns.
        images: number of images of this process, or of their parts, equally many of each image.

    Example:
        >>> drawn_for_all(torch.zeros, images=2)
        tensor([0., 0.])
    """
    share = _share.get()
    if share is None:
        return draw(images)
    parts = images // len(share.places)
    drawn = draw(share.count * parts)
    own: Tensor = drawn.view(share.count, parts, *drawn.shape[1:])[list(share.places)].flatten(0, 1)
    return own


def values_of_all(values: Tensor) -> Tensor:
    """Returns the values of the images of all processes, without a gradient; all processes must call it.

    Args:
        values: (B, ...) of the images of this process; the other dimensions are those of every process.

    Returns:
        (N, ...), in the order of the processes.
    """
    share = _share.get()
    if share is None:
        return values.detach()
    return current_processes().rows(values if share.weight else values[:0])


def total_of_all(value: Tensor) -> Tensor:
    """Sums over the images of all processes, without a gradient; all processes must call it.

    Args:
        value: sum over the images of this process, of any shape.
    """
    share = _share.get()
    if share is None:
        return value.detach()
    return current_processes().total(value if share.weight else torch.zeros_like(value))


def ratio_of_all(top: Tensor, bottom: Tensor) -> Tensor:
    """Divides a sum over the images of all processes by another one; all processes must call it.

    Args:
        top: sum over the images of this process, a scalar.
        bottom: likewise; its gradient is not followed. Their total counts 1 at least.

    Returns:
        The part of this process in the ratio, such that the weighted mean over the processes is the ratio.

    Example:
        >>> ratio_of_all(torch.tensor(6.0), torch.tensor(3.0))
        tensor(2.)
    """
    share, total = _share.get(), total_of_all(bottom).clamp(min=1)
    if share is None:
        return top / total
    return top * (current_processes().count / (total * share.weight) if share.weight else 0.0)


class _SumOfAll(torch.autograd.Function):
    """Sums a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        return current_processes().total(value)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return current_processes().total(gradient.contiguous())


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the images of all processes while a step is shared."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises.

        Args:
            x: (B, C, h, w).

        Returns:
            (B, C, h, w).
        """
        share = _share.get()
        if share is None or not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float()
            number = total_of_all(wide.new_tensor(float(wide.numel() // wide.shape[1])))
            mean = self._sums(wide, share) / number
            centred = wide - mean[:, None, None]
            variance = self._sums(centred.square(), share) / number
            self._note(mean.detach(), variance.detach() * number / (number - 1).clamp(min=1))
            scale = (variance + self.eps).rsqrt() * self.weight
            return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _sums(self, values: Tensor, share: StepShare) -> Tensor:
        counted = values if share.weight else values[:0]
        found: Tensor = _SumOfAll.apply(counted.sum(dim=(0, 2, 3)))
        return found

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        part = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)


class SharedDropout(nn.Dropout):
    """Dropout whose draws for an image do not depend on the process that has it."""

    def forward(self, x: Tensor) -> Tensor:
        """Sets random values to 0 while training.

        Args:
            x: (B, ...).

        Returns:
            (B, ...).
        """
        share = _share.get()
        if share is None or not self.training or self.p == 0:
            return super().forward(x)
        tail = x.shape[1:]
        return x * drawn_for_all(lambda count: F.dropout(x.new_ones(count, *tail), self.p), images=len(x))


def share_layers(method: nn.Module) -> None:
    """Lets the batch normalisation and the dropout of a method see the whole step of several processes.

    Args:
        method: changed in place; one process alone computes the same as before.
    """
    for layer in method.modules():
        if type(layer) is nn.BatchNorm2d and layer.affine:
            layer.__class__ = SharedBatchNorm
        elif type(layer) is nn.Dropout:
            layer.__class__ = SharedDropout
