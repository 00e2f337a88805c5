"""Fits one Gaussian per position to a stream of images, and measures the distance of a new image from
each.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.errors import AdframeError

_GROUP = 8  # images per matrix product, the usual batch

# Images summed at once: one pass over all matrices in memory serves them all.
BLOCK_IMAGES = 32
# Bytes of float64 matrices factorised at once: they fit in the cache.
FACTOR_BYTES = 4 << 20
# Matrices up to this width are factorised by LAPACK.
LAPACK_WIDTH = 32


class Moments:
    """Sums over images, from which the mean and covariance at every position follow.

    Products are computed from differences to a fixed image, the mean of the first block, so that squares do
    not cancel where features are large and vary little. Images are buffered until `BLOCK_IMAGES` are there:
    their batching does not change a bit of the result. Memory is positions x channels^2 float32, and the
    block.

    Example:
        >>> moments = Moments()
        >>> moments.add(torch.rand(10, 4, 2))
        >>> mean, whitening = moments.gaussians(regularisation=0.01)
        >>> mahalanobis(torch.rand(3, 4, 2), mean=mean, whitening=whitening).shape
        torch.Size([3, 4])
    """

    def __init__(self) -> None:
        self.images = 0
        self._waiting = 0
        self._block = torch.empty(0)  # (BLOCK, P, D)
        self._shift = torch.empty(0)  # (P, D)
        self._sum = torch.empty(0)  # (P, D) float64
        self._products = torch.empty(0)  # (P, D, D)

    @classmethod
    def of_gaussians(cls, mean: Tensor, whitening: Tensor, *, images: int, regularisation: float) -> Moments:
        """Restores the sums from what `gaussians` returned, up to rounding.

        Args:
            mean: (P, D).
            whitening: (P, D, D).
            images: number of images, 2 or more.
            regularisation: what was added to the diagonal.

        Returns:
            Moments to which more images can be added.
        """
        found = cls()
        found.images, found._shift = images, mean.clone()
        found._sum = torch.zeros_like(mean, dtype=torch.float64)
        found._products = torch.empty_like(whitening)
        positions, width = mean.shape
        unit = torch.eye(width, dtype=torch.float64, device=mean.device)
        for part in torch.split(torch.arange(positions), max(1, FACTOR_BYTES // (8 * width**2))):
            low, high = int(part[0]), int(part[-1]) + 1
            inverse = whitening[low:high].double()
            factor = torch.linalg.solve_triangular(inverse, unit.expand_as(inverse), upper=False)
            covariance = factor @ factor.mT - regularisation * unit
            found._products[low:high] = (images - 1) * covariance
        return found

    def add(self, rows: Tensor) -> None:
        """Adds features of images.

        Args:
            rows: (B, P, D) features at P positions.
        """
        if not self._block.numel():
            self._block = rows.new_empty(BLOCK_IMAGES, *rows.shape[1:])
        while len(rows):
            part = rows[: BLOCK_IMAGES - self._waiting]
            rows = rows[len(part) :]
            self._block[self._waiting : self._waiting + len(part)] = part
            self._waiting += len(part)
            if self._waiting == BLOCK_IMAGES:
                self._flush()

    def gaussians(self, *, regularisation: float) -> tuple[Tensor, Tensor]:
        """Computes means and whitening matrices of all images so far.

        Args:
            regularisation: added to the diagonal of the covariance (0.01 in PaDiM).

        Returns:
            mean (P, D), and whitening (P, D, D): the inverse of the covariance's Cholesky factor, lower
            triangular. The covariance is unbiased, divided by images - 1.

        Raises:
            AdframeError: if there are fewer than two images, or a covariance cannot be factorised.
        """
        self._flush()
        if self.images < 2:
            raise AdframeError(
                f"a covariance requires at least 2 training images, but there is {self.images}"
            )
        offset = self._sum / self.images  # (P, D) float64
        whitening = torch.empty_like(self._products)
        positions, width = offset.shape
        for part in torch.split(
            torch.arange(positions, device=offset.device), max(1, FACTOR_BYTES // (8 * width**2))
        ):
            low, high = int(part[0]), int(part[-1]) + 1
            products, mean = self._products[low:high].double(), offset[low:high]
            share = 1 / (self.images - 1)
            covariance = products.baddbmm_(
                mean.unsqueeze(2), mean.unsqueeze(1), beta=share, alpha=-self.images * share
            )
            covariance.diagonal(dim1=1, dim2=2).add_(regularisation)
            inverse, failed = inverse_factors(covariance)
            if failed.any():
                raise AdframeError(
                    f"the covariance of {width} channels has no Cholesky factor at {int(failed.sum())} "
                    f"positions; raise model.regularisation={regularisation}"
                )
            whitening[low:high] = inverse  # float32
        return (self._shift + offset).to(self._shift.dtype), whitening

    def _flush(self) -> None:
        if not self._waiting:
            return
        block = self._block[: self._waiting]  # (n, P, D)
        if not self.images:
            self._shift = block.mean(0)
            positions, width = self._shift.shape
            self._sum = torch.zeros_like(self._shift, dtype=torch.float64)
            self._products = block.new_zeros(positions, width, width)
        block -= self._shift
        # float32 over one block, float64 over blocks.
        self._sum += block.sum(0)
        by_position = block.transpose(0, 1)  # (P, n, D)
        self._products.baddbmm_(by_position.mT, by_position)
        self.images, self._waiting = self.images + len(block), 0


def inverse_factors(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Inverts the lower Cholesky factors of matrices.

    The recursion halves the matrices, so that nearly all work is batched matrix products: LAPACK's calls, one
    per matrix, leave threads waiting for each other. Only lower triangles are read.

    Args:
        matrices: (P, D, D) symmetric positive definite.

    Returns:
        (P, D, D) inverse factors, and (P,) bool, True where no factor exists.
    """
    width = matrices.shape[-1]
    if width <= LAPACK_WIDTH:
        factor, failed = torch.linalg.cholesky_ex(matrices)
        unit = torch.eye(width, dtype=matrices.dtype, device=matrices.device)
        return torch.linalg.solve_triangular(factor, unit.expand_as(factor), upper=False), failed > 0
    half = width // 2
    inverse = torch.empty_like(matrices)
    first, failed = inverse_factors(matrices[:, :half, :half])
    below = matrices[:, half:, :half] @ first.mT  # the factor's lower left block
    second, failed_below = inverse_factors(matrices[:, half:, half:] - below @ below.mT)
    inverse[:, :half, :half], inverse[:, half:, half:] = first, second
    inverse[:, :half, half:] = 0
    inverse[:, half:, :half] = -(second @ below) @ first
    return inverse, failed | failed_below


def mahalanobis(rows: Tensor, *, mean: Tensor, whitening: Tensor) -> Tensor:
    """Computes distances of features from the Gaussian of their own position.

    A distance is the length of the whitened difference: never negative, and one matrix product per position.
    Images are taken in groups of eight, and missing ones are zeros: a product with another number of rows
    rounds in another way, and the distances of an image must not depend on the images next to it.

    Args:
        rows: (B, P, D).
        mean: (P, D).
        whitening: (P, D, D) as returned by `Moments.gaussians`.

    Returns:
        (B, P) distances.
    """
    found = []
    for group in torch.split(rows, _GROUP):
        filled = F.pad(group - mean, (0, 0, 0, 0, 0, _GROUP - len(group)))  # (8, P, D)
        white = torch.bmm(filled.transpose(0, 1), whitening.mT)  # (P, 8, D)
        found.append(torch.linalg.vector_norm(white, dim=2).T[: len(group)])
    return torch.cat(found)
