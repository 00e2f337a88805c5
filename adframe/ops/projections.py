"""Linear maps of feature rows, learned in one pass over a spool: moments, PCA, random projection."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool


def moments(rows: Spool) -> tuple[Tensor, Tensor]:
    """Mean (D,) and population variance (D,) of (N, D) rows, float64."""
    total, squares = (
        torch.zeros(rows.width, dtype=torch.float64),
        torch.zeros(rows.width, dtype=torch.float64),
    )
    for _, block in rows.blocks():
        total += block.double().sum(0)
    mean = total / len(rows)
    for _, block in rows.blocks():
        squares += (block.double() - mean).square().sum(0)
    return mean, squares / len(rows)


def principal_axes(rows: Spool) -> tuple[Tensor, Tensor]:
    """The directions in which (N, D) rows vary, the most first, and how much they do.

    From the covariance, in float64, so memory is D x D whatever N.

    Returns:
        (D, D) orthonormal columns float32, each with its largest entry positive; (D,) variances float64.
    """
    mean, _ = moments(rows)
    covariance = torch.zeros(rows.width, rows.width, dtype=torch.float64)
    for _, block in rows.blocks():
        centred = block.double() - mean
        covariance += centred.T @ centred
    found = torch.linalg.eigh(covariance / len(rows))  # sorts ascending
    axes = found.eigenvectors.flip(1)
    signs = torch.gather(axes, 0, axes.abs().argmax(0, keepdim=True)).sign()
    return (axes * signs).float(), found.eigenvalues.flip(0).clamp(min=0)


def random_axes(width: int, *, count: int, seed: int) -> Tensor:
    """(width, count) Gaussian entries over sqrt(count): squared distances keep their expectation
    (Johnson and Lindenstrauss, 1984).
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, count, generator=generator) / math.sqrt(count)


def mapped(rows: Spool, change: Callable[[Tensor], Tensor], *, folder: Path | None) -> Spool:
    """(N, D) rows changed block by block, as a new spool (N, d)."""
    made = Spool(folder=folder)
    for _, block in rows.blocks():
        made.append(change(block))
    return made
