"""Lowers the border of anomaly maps to the scale of their inside, by statistics of held-out images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adframe.models.buffers import make_room

# Rings of patches along the border with their own scale.
RINGS = 2


class Rings(nn.Module):
    """Mean and spread of normal values in each ring of cells along the border, and inside.

    Next to the border a patch has fewer neighbours, and a trained head is less certain: on normal images its
    map is largest there. Each ring has thousands of normal values and only two parameters, so that nothing is
    fitted to single positions, where defects may lie.

    A ring is only ever lowered. Where an object is in front of a plain background, the values of the
    background vary less than those of the object; stretching them to the spread of the inside would turn the
    noise of the background into false alarms.

    Example:
        >>> rings = Rings()
        >>> rings.collect_held_out(torch.rand(8, 1, 16, 16))
        >>> rings.finalise_held_out()
        >>> rings(torch.rand(1, 1, 16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (R + 1,): from the border inwards, the inside last
        self.register_buffer("spread", torch.empty(0))
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._sums: Tensor | None = None  # (3, R + 1) float64: counts, sums, sums of squares

    def collect_held_out(self, grid: Tensor, *, cells: int = 1) -> None:
        """Adds values of normal images.

        Args:
            grid: (B, 1, h, w) values.
            cells: number of cells per side of a patch.
        """
        ring = ring_of((grid.shape[-2], grid.shape[-1]), count=RINGS * cells).to(grid.device)
        weights = torch.nn.functional.one_hot(ring, RINGS * cells + 1).double().flatten(0, 1)  # (hw, R + 1)
        rows = grid.flatten(1).double()
        sums = torch.stack(
            [len(rows) * weights.sum(0), rows.sum(0) @ weights, rows.square().sum(0) @ weights]
        )
        self._sums = sums if self._sums is None else self._sums + sums

    def finalise_held_out(self) -> None:
        """Computes the scales; a ring that no image has, because all are small, gets the scale of the
        inside.
        """
        assert self._sums is not None
        count, first, second = self._sums
        mean = first / count.clamp(min=1)
        spread = (second / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
        known = (count > 0) & (spread > 0)
        inner = int(torch.nonzero(known)[-1]) if known.any() else -1
        self.mean = torch.where(known, mean, mean[inner]).float()
        self.spread = torch.where(known, spread, spread[inner].clamp(min=1e-12)).float()
        self._sums = None

    def forward(self, grid: Tensor) -> Tensor:
        """Lowers each ring to at most the mean and spread of the inside.

        Args:
            grid: (B, 1, h, w) values.

        Returns:
            (B, 1, h, w).
        """
        if not len(self.mean):
            raise RuntimeError("no held-out images were collected: run validation or load a checkpoint first")
        ring = ring_of((grid.shape[-2], grid.shape[-1]), count=len(self.mean) - 1).to(grid.device)
        factor = (self.spread[-1] / self.spread).clamp(max=1)
        centre = self.mean.clamp(max=self.mean[-1])
        return (grid - self.mean[ring]) * factor[ring] + centre[ring]


def ring_of(size: tuple[int, int], *, count: int) -> Tensor:
    """Returns the ring of each cell.

    Args:
        size: (h, w) in cells.
        count: number of rings.

    Returns:
        (h, w) int64: 0 at the border, `count` for all cells further inside.
    """
    down, across = (torch.minimum(torch.arange(n), torch.arange(n).flip(0)) for n in size)
    return torch.minimum(down[:, None], across[None, :]).clamp(max=count)
