"""Scales error maps by held-out normal images."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.models.buffers import make_room
from adframe.ops.smoothing import heatmap

Normalisation = Literal["per_pixel", "global", "none"]
# Share of the mean spread; where all held-out images agree, a smaller spread is chance.
SPREAD_FLOOR = 0.1
# Images from which a spread can be estimated when one of them is left out.
MIN_HELD_OUT = 3


class Normaliser(nn.Module):
    """Mean and spread of each error, at every pixel or over all pixels.

    Errors of different kinds have different units; divided by their usual spread they can be added.

    Args:
        kind: `global`: one scale per error; `per_pixel`: one at every pixel, because edges are reconstructed
            badly in every image, but defects on them are then missed more easily; `none` leaves errors
            unchanged.
        sigma: standard deviation in pixels of the Gaussian that smooths spreads per pixel, as errors are
            smoothed.

    Example:
        >>> normaliser = Normaliser("global", sigma=0.0)
        >>> normaliser.collect_held_out(torch.rand(4, 1, 8, 8))
        >>> normaliser.finalise_held_out()
        >>> normaliser(torch.rand(1, 1, 8, 8)).shape
        torch.Size([1, 1, 8, 8])
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, kind: Normalisation, *, sigma: float) -> None:
        super().__init__()
        self.kind, self.sigma = kind, sigma
        self.register_buffer("mean", torch.empty(0))  # (T, H, W) or (T, 1, 1)
        self.register_buffer("spread", torch.empty(0))
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._count, self._finalised = 0, False
        # Sums of errors and of their squares, float64.
        self._sums: tuple[Tensor, Tensor] | None = None

    def collect_held_out(self, errors: Tensor) -> None:
        """Adds errors of held-out normal images.

        Args:
            errors: (B, T, H, W), one map per kind of error.
        """
        if self._finalised:  # a new calibration starts
            self._sums, self._count, self._finalised = None, 0, False
        first, second = (each.sum(0) for each in self._moments(errors))
        known = self._sums or (torch.zeros_like(first), torch.zeros_like(second))
        self._sums = (known[0] + first, known[1] + second)
        self._count += len(errors)

    def finalise_held_out(self) -> None:
        """Computes mean and spread; the sums remain, so that a collected image can be left out again.

        Raises:
            AdframeError: if there are too few images.
        """
        if self._sums is None or self._count < MIN_HELD_OUT:
            raise too_few_error(self._count, needed=MIN_HELD_OUT)
        self._finalised = True
        mean, spread = self._scale(*self._sums, count=self._count)
        self.mean, self.spread = mean.float(), spread.float()

    def forward(self, errors: Tensor) -> Tensor:
        """Scales errors.

        Args:
            errors: (B, T, H, W).

        Returns:
            (B, T, H, W), distances from the mean in units of the spread.

        Raises:
            AdframeError: if errors per pixel have another size than the held-out ones.
        """
        if self.kind == "none":
            return errors
        if not self.mean.numel():
            raise RuntimeError("no held-out images were collected: run validation or load a checkpoint first")
        if self.kind == "per_pixel" and self.mean.shape[1:] != errors.shape[2:]:
            own, found = tuple(self.mean.shape[1:]), tuple(errors.shape[2:])
            raise AdframeError(
                f"errors of {found[0]}x{found[1]} pixels cannot be compared with those of {own[0]}x{own[1]}; "
                "per-pixel normalisation needs one image_size for all images"
            )
        return (errors - self.mean) / self.spread

    def leaving_out(self, errors: Tensor) -> Tensor:
        """Scales errors of collected images, each compared with all other images.

        An image lies closer to a mean to which it contributed, so that thresholds would be too low.

        Args:
            errors: (B, T, H, W).

        Returns:
            (B, T, H, W).
        """
        if self.kind == "none":
            return errors
        assert self._sums is not None
        first, second = self._moments(errors)
        held = []
        for error, a, b in zip(errors, first, second, strict=True):
            mean, spread = self._scale(self._sums[0] - a, self._sums[1] - b, count=self._count - 1)
            held.append((error - mean.float()) / spread.float())
        return torch.stack(held)

    def _moments(self, errors: Tensor) -> tuple[Tensor, Tensor]:
        exact = errors.double()
        if self.kind == "global":
            return exact.mean((2, 3), keepdim=True), exact.square().mean((2, 3), keepdim=True)
        return exact, exact.square()

    def _scale(self, first: Tensor, second: Tensor, *, count: int) -> tuple[Tensor, Tensor]:
        mean = first / count
        variance = (second / count - mean.square()).clamp(min=0)
        if self.kind == "per_pixel" and self.sigma:
            size = (variance.shape[-2], variance.shape[-1])
            variance = heatmap(variance[:, None], size=size, sigma=self.sigma)[:, 0]
        spread = variance.sqrt()
        usual = spread.mean((1, 2), keepdim=True)
        return mean, (spread.square() + (SPREAD_FLOOR * usual).square()).sqrt().clamp(min=1e-12)


def too_few_error(count: int, *, needed: int) -> AdframeError:
    """Builds the error for too few images to estimate a spread.

    Args:
        count: number of held-out normal images.
        needed: required number.

    Returns:
        The error to raise.
    """
    return AdframeError(
        f"{count} held-out normal images are too few to estimate the spread of errors "
        f"(at least {needed}); raise holdout="
    )
