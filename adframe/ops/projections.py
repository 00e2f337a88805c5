"""Computes linear maps of feature rows from a spool: moments, PCA, random projection."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool

# Smallest variance by which whitening divides, as a share of the largest.
VARIANCE_FLOOR = 1e-6


def moments(rows: Spool) -> tuple[Tensor, Tensor]:
    """Computes the mean and population variance of rows.

    Args:
        rows: (N, D).

    Returns:
        (D,) float64 mean and (D,) float64 variance.
    """
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


def covariance(rows: Spool) -> Tensor:
    """Computes the population covariance in float64; it takes D x D memory, independent of N.

    Args:
        rows: (N, D).

    Returns:
        (D, D) float64.
    """
    mean, _ = moments(rows)
    products = torch.zeros(rows.width, rows.width, dtype=torch.float64)
    for _, block in rows.blocks():
        centred = block.double() - mean
        products += centred.T @ centred
    return products / len(rows)


def principal_axes(rows: Spool) -> tuple[Tensor, Tensor]:
    """Computes the directions of largest variance, in descending order.

    Args:
        rows: (N, D).

    Returns:
        (D, D) float32 orthonormal columns, each with a positive largest entry; (D,) float64 variances.
    """
    return eigen_axes(covariance(rows))


def eigen_axes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Decomposes a covariance, as `principal_axes` does with that of rows.

    Args:
        matrix: (D, D) float64.

    Returns:
        Axes and variances, in descending order.
    """
    found = torch.linalg.eigh(matrix)  # ascending eigenvalues
    axes = found.eigenvectors.flip(1)
    # The sign of an eigenvector is arbitrary, so it is fixed to make results reproducible.
    signs = torch.gather(axes, 0, axes.abs().argmax(0, keepdim=True)).sign()
    return (axes * signs).float(), found.eigenvalues.flip(0).clamp(min=0)


def whitening_axes(matrix: Tensor, *, count: int) -> Tensor:
    """Computes axes in which rows have unit variance and no correlation, so that distances are Mahalanobis
    distances.

    Directions with almost no variance would be pure noise after the division, so that none is divided by less
    than `VARIANCE_FLOOR` of the largest variance.

    Args:
        matrix: (D, D) float64 covariance.
        count: number of directions of largest variance, at most D.

    Returns:
        (D, count) float32.
    """
    axes, variances = eigen_axes(matrix)
    floor = (variances[0] * VARIANCE_FLOOR).clamp(min=1e-30)
    return axes[:, :count] / variances[:count].clamp(min=floor).sqrt().float()


def whitening_matrix(rows: Spool, *, widths: Sequence[int], count: int) -> Tensor:
    """Computes the matrix that whitens the features of each layer by itself and concatenates the results.

    Args:
        rows: (N, D), the features of several layers next to each other.
        widths: number of features of each layer, D in all.
        count: number of directions of each layer; all where it has fewer features.

    Returns:
        (D, d) float32, zero between a layer's features and the directions of another.
    """
    whole = covariance(rows)
    parts = [
        whitening_axes(whole[own][:, own], count=min(count, len(own)))
        for own in torch.split(torch.arange(rows.width), list(widths))
    ]
    matrix: Tensor = torch.block_diag(*parts)  # type: ignore[no-untyped-call]
    return matrix


def random_axes(width: int, *, count: int, seed: int) -> Tensor:
    """Draws a random projection that keeps the expectation of squared distances (Johnson and Lindenstrauss,
    1984).

    Args:
        width: number of features.
        count: number of projected features.
        seed: seed of the draws.

    Returns:
        (width, count) Gaussian entries divided by sqrt(count).
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, count, generator=generator) / math.sqrt(count)


def map_rows(rows: Spool, change: Callable[[Tensor], Tensor], *, folder: Path | None) -> Spool:
    """Maps rows block by block to a new spool.

    Args:
        rows: (N, D).
        change: maps (n, D) to (n, d).
        folder: where the new spool is stored; None uses the default folder of `Spool`.

    Returns:
        (N, d) rows.
    """
    result = Spool(folder=folder)
    for _, block in rows.blocks():
        result.append(change(block))
    return result
