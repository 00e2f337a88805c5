"""Measures the distance of two feature samples by kernel, optimal transport and means, in bounded memory.

Three measures, because they are sensitive to different things: the squared MMD to any difference of
distributions, in units of the kernel; the sliced Wasserstein distance in units of the features; the cosine of
the means to one direction only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Vectors = Tensor | np.ndarray  # (n, D)

# Rows of both samples together from which the median distance is computed.
MEDIAN_ROWS = 2048


@dataclass(frozen=True, slots=True)
class Mmd:
    """The squared maximum mean discrepancy of two samples, with a permutation test.

    Attributes:
        squared: unbiased estimate; its expectation is 0 for equal distributions, so it may be negative.
        biased: mean over all pairs, including each row with itself (V-statistic). It is never negative, and
            is about (1/n + 1/m) times (1 - the mean kernel value) for equal distributions.
        floor: 95th percentile of `squared` over the permutations; values below it are noise.
        p_value: share of the permutations, the original samples included, that reach `squared`.
        bandwidth: sigma of the kernel, in the unit of the features.
    """

    squared: float
    biased: float
    floor: float
    p_value: float
    bandwidth: float


def mmd_rbf(first: Vectors, second: Vectors, *, bandwidth: float | None = None, limit_mb: int = 128) -> float:
    """Computes the unbiased squared MMD with the kernel exp(-|x - y|^2 / (2 sigma^2)).

    Source: Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012, lemma 6, equation 3.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.
        bandwidth: sigma; None takes `median_distance` of both samples. Values of different bandwidths are not
            comparable: to compare several pairs, pass one bandwidth for all.
        limit_mb: largest memory in MiB for the kernel's entries.

    Returns:
        The estimate, which may be negative.

    Raises:
        ValueError: if a sample is too small, not finite, or the widths differ.
    """
    a, b = _centred(first, second)
    inside = torch.zeros(len(a) + len(b), 1)
    inside[: len(a)] = 1
    sigma = median_distance(a, b) if bandwidth is None else bandwidth
    squared, _ = _squared_mmds(torch.cat([a, b]), inside, sigma, limit_mb)
    return float(squared[0])


def mmd_test(
    first: Vectors,
    second: Vectors,
    *,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    permutations: int = 200,
    bandwidth: float | None = None,
    seed: int = 0,
    limit_mb: int = 128,
) -> Mmd:
    """Computes the squared MMD and tests whether both samples have one distribution.

    All permutations share one pass over the kernel matrix. Patches of one image are similar, so that swapping
    single patches would find any two sets of images different; with `groups` whole images are swapped.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.
        groups: identifiers of the image of each row, (n,) and (m,); the same identifier in both samples means
            two images. None: every row is an image of its own.
        permutations: number of permutations.
        bandwidth: as in `mmd_rbf`.
        seed: seed of the permutations.
        limit_mb: as in `mmd_rbf`.

    Returns:
        The estimates and the test.

    Raises:
        ValueError: as in `mmd_rbf`.
    """
    a, b = _centred(first, second)
    sides = _memberships((len(a), len(b)), groups, permutations=permutations, seed=seed)
    sigma = median_distance(a, b) if bandwidth is None else bandwidth
    squared, biased = _squared_mmds(torch.cat([a, b]), sides, sigma, limit_mb)
    found, others = squared[0], squared[1:]
    reached = int((others >= found).sum())
    return Mmd(
        squared=float(found),
        biased=float(biased[0]),
        floor=float(torch.quantile(others, 0.95)) if permutations else float("nan"),
        p_value=(1 + reached) / (1 + permutations),
        bandwidth=sigma,
    )


def median_distance(first: Vectors, second: Vectors) -> float:
    """Returns the median Euclidean distance between distinct rows of both samples, the usual kernel
    bandwidth.

    Source: Gretton et al. 2012, section 8. Of larger samples, `MEDIAN_ROWS` evenly spaced rows are used, from
    each in proportion to its size.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.

    Returns:
        The median, in the unit of the features; 1 if all rows are equal.
    """
    a, b = _centred(first, second)
    share = min(1.0, MEDIAN_ROWS / (len(a) + len(b)))
    some = torch.cat([_evenly_spaced(rows, max(1, round(share * len(rows)))) for rows in (a, b)])
    found = float(torch.pdist(some).median())
    # All rows are equal: every bandwidth gives 0.
    return found or 1.0


def sliced_wasserstein(first: Vectors, second: Vectors, *, projections: int = 256, seed: int = 0) -> float:
    """Computes the sliced 2-Wasserstein distance: the root of the mean of W2 squared over random directions.

    Along a direction, W2 squared is the integral of the squared difference of the quantile functions, exact
    for samples of any two sizes. A sample shifted by a vector d has a distance of about |d| / sqrt(D) from
    itself. The distance of two samples of one distribution is not 0, but decreases with their size: compare
    it with the distance of two halves of one sample.

    Source: Rabin et al., Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011; Bonneel et
    al., Sliced and Radon Wasserstein Barycenters of Measures, JMIV 51, 2015.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.
        projections: number of directions, uniform on the sphere.
        seed: seed of the directions.

    Returns:
        The distance, in the unit of the features.

    Raises:
        ValueError: as in `mmd_rbf`.
    """
    a, b = _centred(first, second)
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(a.shape[1], projections, generator=generator, dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).float()
    # 64 directions at once, because each takes n + m numbers for its quantiles.
    squares = [_squared_wasserstein(a @ part, b @ part) for part in torch.split(directions, 64, dim=1)]
    return float(torch.cat(squares).mean().sqrt())


def cosine_of_means(first: Vectors, second: Vectors) -> float:
    """Computes the cosine distance of the means of two samples, 1 - cos.

    Features that are never negative (after a ReLU) share a direction, so that the distance of even unlike
    samples is below 1.

    Args:
        first: (n, D).
        second: (m, D).

    Returns:
        A value in [0, 2]; 0 if both means point in the same direction.

    Raises:
        ValueError: as in `mmd_rbf`, or if a mean is zero and so has no direction.
    """
    one, two = (_as_sample(rows).double().mean(0) for rows in (first, second))
    if one.shape != two.shape or not (one.norm() > 0 and two.norm() > 0):
        raise ValueError("the cosine needs two means of one width, neither of them zero")
    return float(1 - (one @ two / (one.norm() * two.norm())).clamp(-1, 1))


def _centred(first: Vectors, second: Vectors) -> tuple[Tensor, Tensor]:
    """Returns both samples as float32 minus their common mean, so that a large offset costs no precision."""
    a, b = _as_sample(first), _as_sample(second)
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"two samples of 2 or more rows of one width, not {list(a.shape)}, {list(b.shape)}")
    mean = (a.double().mean(0) + b.double().mean(0)) / 2
    return a - mean.float(), b - mean.float()


def _as_sample(rows: Vectors) -> Tensor:
    found = torch.as_tensor(rows).detach().float().cpu()
    if found.ndim != 2 or not len(found) or not bool(found.isfinite().all()):
        raise ValueError(f"a sample is (n, D), n >= 1, finite, not {list(found.shape)} with NaN or infinity")
    return found


def _evenly_spaced(rows: Tensor, count: int) -> Tensor:
    return rows[torch.arange(count) * len(rows) // count]


def _memberships(
    sizes: tuple[int, int], groups: tuple[np.ndarray, np.ndarray] | None, *, permutations: int, seed: int
) -> Tensor:
    """Returns (n + m, 1 + P) float32, 1 for rows in the first sample; column 0 holds the original samples."""
    names = (np.arange(sizes[0]), np.arange(sizes[1])) if groups is None else groups
    one, two = (np.unique(each, return_inverse=True)[1] for each in names)
    first = int(one.max()) + 1
    total = first + int(two.max()) + 1
    member = torch.from_numpy(np.concatenate([one, first + two]))  # (n + m,) the group of each row
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.arange(total)]
    orders += [torch.randperm(total, generator=generator) for _ in range(permutations)]
    inside = torch.zeros(total, 1 + permutations)
    for column, order in enumerate(orders):
        inside[order[:first], column] = 1
    return inside[member]


def _squared_mmds(rows: Tensor, sides: Tensor, sigma: float, limit_mb: int) -> tuple[Tensor, Tensor]:
    """Returns the unbiased and the biased squared MMD, (P,) float64, for each split (N, P) of the rows (N, D)
    into two samples.
    """
    within, total = torch.zeros(sides.shape[1], dtype=torch.float64), 0.0
    across = torch.zeros_like(within)
    # bytes of an entry and of the temporary that computes it
    step = max(1, (limit_mb << 20) // (8 * len(rows)))
    norms = rows.square().sum(1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        kernel = torch.addmm(norms, part, rows.T, alpha=-2).add_(norms[start : start + step, None])
        kernel = kernel.clamp_(min=0).mul_(-0.5 / sigma**2).exp_()  # (step, N)
        # the unbiased estimate excludes pairs of a row with itself
        kernel[torch.arange(len(part)), start + torch.arange(len(part))] = 0
        sums = (kernel @ sides).double()  # (step, P): sums of each row over the first sample
        own = sides[start : start + step].double()
        within += (own * sums).sum(0)
        across += ((1 - own) * sums).sum(0)
        total += float(kernel.sum(dtype=torch.float64))
    n = sides.double().sum(0)
    m = len(rows) - n
    rest = total - within - 2 * across  # pairs inside the second sample
    between = 2 * across / (n * m)
    unbiased = within / (n * (n - 1)) + rest / (m * (m - 1)) - between
    return unbiased, (within + n) / n**2 + (rest + m) / m**2 - between


def _squared_wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Returns W2 squared (P,) of the columns of (n, P) and (m, P): the integral over their common quantile
    steps.
    """
    n, m = len(a), len(b)
    ends = torch.from_numpy(np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n))  # in 1 / (n m)
    widths = torch.diff(ends, prepend=ends.new_zeros(1)).double() / (n * m)
    left, right = a.sort(dim=0).values[(ends - 1) // m], b.sort(dim=0).values[(ends - 1) // n]
    return ((left - right).double().square() * widths[:, None]).sum(0)
