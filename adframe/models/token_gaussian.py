"""Fits one Gaussian to tokens from sums only, so that an image can be left out again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adframe.models.buffers import make_room

# Number of tokens, their sum (D,), the sum of their outer products (D, D).
Sums = tuple[int, Tensor, Tensor]


class TokenGaussian(nn.Module):
    """Mean and covariance of tokens, shrunk towards a multiple of the identity so that it is never singular.

    The shrinkage is that of OAS (Chen et al., Shrinkage Algorithms for MMSE Covariance Estimation, IEEE TSP
    2010, eq. 23, without its two terms of order 2/D, as in scikit-learn), which needs only the covariance.

    Example:
        >>> gaussian = TokenGaussian()
        >>> gaussian.collect_held_out(torch.rand(4, 9, 3))
        >>> gaussian.finalise_held_out()
        >>> gaussian(torch.rand(2, 9, 3)).shape
        torch.Size([2, 9])
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (D,)
        self.register_buffer("whitening", torch.empty(0))  # (D, D) inverse Cholesky factor
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._sums: Sums | None = None
        self._finalised = False

    def collect_held_out(self, tokens: Tensor) -> None:
        """Adds tokens.

        Args:
            tokens: (B, N, D).
        """
        if self._finalised:  # a new calibration starts
            self._sums, self._finalised = None, False
        new = _token_sums(tokens)
        self._sums = new if self._sums is None else _add_sums(self._sums, new, sign=1)

    def finalise_held_out(self) -> None:
        """Fits the Gaussian; the sums remain."""
        if self._sums is None:
            raise RuntimeError("finalise_held_out before collect_held_out: there are no tokens to describe")
        self._finalised = True
        self.mean, self.whitening = _gaussian(self._sums)

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes Mahalanobis distances.

        Args:
            tokens: (B, N, D).

        Returns:
            (B, N).
        """
        return mahalanobis(tokens, mean=self.mean, whitening=self.whitening)

    def leaving_out(self, tokens: Tensor) -> Tensor:
        """Computes the distances of collected images, each compared with all other images.

        Args:
            tokens: (B, N, D).

        Returns:
            (B, N).
        """
        assert self._sums is not None
        distances = []
        for image in tokens:
            mean, whitening = _gaussian(_add_sums(self._sums, _token_sums(image[None]), sign=-1))
            distances.append(mahalanobis(image, mean=mean, whitening=whitening))
        return torch.stack(distances)


def _token_sums(tokens: Tensor) -> Sums:
    rows = tokens.flatten(0, 1).double()
    return len(rows), rows.sum(0), rows.T @ rows


def _add_sums(sums: Sums, other: Sums, *, sign: int) -> Sums:
    return sums[0] + sign * other[0], sums[1] + sign * other[1], sums[2] + sign * other[2]


def _gaussian(sums: Sums) -> tuple[Tensor, Tensor]:
    count, first, second = sums
    mean = first / count
    covariance = second / count - torch.outer(mean, mean)
    width = len(mean)
    scale = covariance.trace() / width
    squares = covariance.square().mean()
    share = (squares + scale**2) / ((count + 1) * (squares - scale**2 / width)).clamp(min=1e-300)
    share = share.clamp(max=1.0)
    eye = torch.eye(width, dtype=covariance.dtype, device=covariance.device)
    shrunk = (1 - share) * covariance + (share * scale + 1e-9 * scale + 1e-12) * eye
    factor = torch.linalg.cholesky(shrunk)
    return mean.float(), torch.linalg.solve_triangular(factor, eye, upper=False).float()


def mahalanobis(tokens: Tensor, *, mean: Tensor, whitening: Tensor) -> Tensor:
    """Computes the distances of tokens from one Gaussian.

    Args:
        tokens: (..., D).
        mean: (D,).
        whitening: (D, D) inverse Cholesky factor of the covariance.

    Returns:
        (...) float32.
    """
    # differences of large numbers need full precision
    with torch.autocast(tokens.device.type, enabled=False):
        apart: Tensor = (tokens.float() - mean) @ whitening.T
        return apart.square().sum(-1).sqrt()
