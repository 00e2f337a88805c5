"""How far apart two samples of features are: kernel, transport and means, in memory that does not grow.

Three answers because they see different things: the squared MMD sees any difference of distributions,
in units of the kernel; the sliced Wasserstein distance is in the features' own units; the cosine of
means sees one direction only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Rows = Tensor | np.ndarray  # (n, D)

LOOKED_AT = 2048  # rows of both samples together that the median distance is taken over


@dataclass(frozen=True, slots=True)
class Mmd:
    """The squared maximum mean discrepancy of two samples, and what it would be of one distribution.

    Attributes:
        squared: unbiased; 0 in expectation where the distributions are one, so it may be negative.
        biased: the mean over all pairs, those of a row with itself included (V-statistic): never
            negative, and above 0 by about (1/n + 1/m) times 1 less the mean kernel value even where
            nothing differs.
        floor: the 95th percentile of `squared` over the permutations: below it is noise.
        p_value: share of the permutations, with the sample as it is among them, that reach `squared`.
        bandwidth: sigma of the kernel, in the features' units.
    """

    squared: float
    biased: float
    floor: float
    p_value: float
    bandwidth: float


def mmd_rbf(first: Rows, second: Rows, *, bandwidth: float | None = None, limit_mb: int = 128) -> float:
    """The unbiased squared MMD with the kernel exp(-|x - y|^2 / (2 sigma^2)).

    Source: Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012, lemma 6, equation 3.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.
        bandwidth: sigma; None takes `median_distance` of both samples. Values of different
            bandwidths are of different scale: where pairs are compared over one set of features,
            give one for all.
        limit_mb: most memory for the kernel's entries.

    Raises:
        ValueError: samples that are too small, not finite, or of different width.
    """
    a, b = _both(first, second)
    inside = torch.zeros(len(a) + len(b), 1)
    inside[: len(a)] = 1
    sigma = median_distance(a, b) if bandwidth is None else bandwidth
    squared, _ = _discrepancies(torch.cat([a, b]), inside, sigma, limit_mb)
    return float(squared[0])


def mmd_test(
    first: Rows,
    second: Rows,
    *,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    permutations: int = 200,
    bandwidth: float | None = None,
    seed: int = 0,
    limit_mb: int = 128,
) -> Mmd:
    """The squared MMD with a permutation test: what it would be if both samples were of one kind.

    All permutations share one pass over the kernel's matrix. Patches of an image resemble each
    other, and swapping them one by one would call every two sets of images different; with `groups`
    whole images change sides.

    Args:
        first: (n, D), n >= 2.
        second: (m, D), m >= 2.
        groups: the image of each row, (n,) and (m,) of any kind that can be told apart; the same
            name in both is two images. None: every row is its own.
        permutations: how many.
        bandwidth: as in `mmd_rbf`.
        seed: of the permutations.
        limit_mb: as in `mmd_rbf`.

    Raises:
        ValueError: as in `mmd_rbf`.
    """
    a, b = _both(first, second)
    sides = _sides((len(a), len(b)), groups, permutations=permutations, seed=seed)
    sigma = median_distance(a, b) if bandwidth is None else bandwidth
    squared, biased = _discrepancies(torch.cat([a, b]), sides, sigma, limit_mb)
    found, others = squared[0], squared[1:]
    reached = int((others >= found).sum())
    return Mmd(
        squared=float(found),
        biased=float(biased[0]),
        floor=float(torch.quantile(others, 0.95)) if permutations else float("nan"),
        p_value=(1 + reached) / (1 + permutations),
        bandwidth=sigma,
    )


def median_distance(first: Rows, second: Rows) -> float:
    """The median Euclidean distance between different rows of both samples: the kernel's usual width.

    Source: Gretton et al. 2012, section 8. Of larger samples `LOOKED_AT` evenly spread rows count,
    from each in proportion to its size.
    """
    a, b = _both(first, second)
    share = min(1.0, LOOKED_AT / (len(a) + len(b)))
    some = torch.cat([_spread(rows, max(1, round(share * len(rows)))) for rows in (a, b)])
    found = float(torch.pdist(some).median())
    return found or 1.0  # all rows alike: every width gives 0


def sliced_wasserstein(first: Rows, second: Rows, *, projections: int = 256, seed: int = 0) -> float:
    """The sliced 2-Wasserstein distance: the root of the mean, over directions, of W2 squared along each.

    Along a direction W2 squared is the integral of the squared difference of the quantile functions,
    exact for samples of any two sizes. A sample moved by a vector d is about |d| / sqrt(D) away from
    itself. It is not 0 for two samples of one distribution, but shrinks with their size: hold it
    against that of two halves of one.

    Source: Rabin et al., Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011;
    Bonneel et al., Sliced and Radon Wasserstein Barycenters of Measures, JMIV 51, 2015.

    Args:
        first: (n, D).
        second: (m, D).
        projections: directions, uniform on the sphere.
        seed: of the directions.

    Returns:
        in the features' units.

    Raises:
        ValueError: as in `mmd_rbf`.
    """
    a, b = _both(first, second)
    generator = torch.Generator().manual_seed(seed)
    ways = torch.randn(a.shape[1], projections, generator=generator, dtype=torch.float64)
    ways = (ways / ways.norm(dim=0)).float()
    squares = [
        _transport(a @ part, b @ part) for part in torch.split(ways, 64, dim=1)
    ]  # a few directions at once: their quantiles take (n + m) numbers each
    return float(torch.cat(squares).mean().sqrt())


def cosine_of_means(first: Rows, second: Rows) -> float:
    """The cosine distance of two samples' means, 1 - cos, in [0, 2]: 0 where they point the same way.

    Features that are never negative (after a ReLU) share a direction, so that even unlike samples
    are nearer than 1.

    Args:
        first: (n, D).
        second: (m, D).

    Raises:
        ValueError: as in `mmd_rbf`; a mean that is zero has no direction.
    """
    one, two = (_checked(rows).double().mean(0) for rows in (first, second))
    if one.shape != two.shape or not (one.norm() > 0 and two.norm() > 0):
        raise ValueError("the cosine needs two means of one width, neither of them zero")
    return float(1 - (one @ two / (one.norm() * two.norm())).clamp(-1, 1))


def _both(first: Rows, second: Rows) -> tuple[Tensor, Tensor]:
    """Both as float32 around their common mean: distances stay, and lose nothing to a large offset."""
    a, b = _checked(first), _checked(second)
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"two samples of 2 or more rows of one width, not {list(a.shape)}, {list(b.shape)}")
    mean = (a.double().mean(0) + b.double().mean(0)) / 2
    return a - mean.float(), b - mean.float()


def _checked(rows: Rows) -> Tensor:
    found = torch.as_tensor(rows).detach().float().cpu()
    if found.ndim != 2 or not len(found) or not bool(found.isfinite().all()):
        raise ValueError(f"a sample is (n, D), n >= 1, finite, not {list(found.shape)} with gaps in it")
    return found


def _spread(rows: Tensor, count: int) -> Tensor:
    return rows[torch.arange(count) * len(rows) // count]


def _sides(
    sizes: tuple[int, int], groups: tuple[np.ndarray, np.ndarray] | None, *, permutations: int, seed: int
) -> Tensor:
    """(n + m, 1 + P) float32: 1 where a row is in the first sample; the first column is as it was."""
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


def _discrepancies(rows: Tensor, sides: Tensor, sigma: float, limit_mb: int) -> tuple[Tensor, Tensor]:
    """Unbiased and biased squared MMD (P,) float64 for each way (N, P) of parting the rows (N, D) in two."""
    within, total = torch.zeros(sides.shape[1], dtype=torch.float64), 0.0
    across = torch.zeros_like(within)
    step = max(1, (limit_mb << 20) // (8 * len(rows)))  # entries, and what making them takes
    norms = rows.square().sum(1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        kernel = torch.addmm(norms, part, rows.T, alpha=-2).add_(norms[start : start + step, None])
        kernel = kernel.clamp_(min=0).mul_(-0.5 / sigma**2).exp_()  # (step, N)
        kernel[torch.arange(len(part)), start + torch.arange(len(part))] = 0  # no row with itself
        sums = (kernel @ sides).double()  # (step, P): of each row over the first sample
        own = sides[start : start + step].double()
        within += (own * sums).sum(0)
        across += ((1 - own) * sums).sum(0)
        total += float(kernel.sum(dtype=torch.float64))
    n = sides.double().sum(0)
    m = len(rows) - n
    rest = total - within - 2 * across  # of the second sample with itself
    between = 2 * across / (n * m)
    unbiased = within / (n * (n - 1)) + rest / (m * (m - 1)) - between
    return unbiased, (within + n) / n**2 + (rest + m) / m**2 - between


def _transport(a: Tensor, b: Tensor) -> Tensor:
    """(P,) W2 squared of columns of (n, P) and (m, P): the integral over their common quantile steps."""
    n, m = len(a), len(b)
    ends = torch.from_numpy(np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n))  # in 1 / (n m)
    widths = torch.diff(ends, prepend=ends.new_zeros(1)).double() / (n * m)
    left, right = a.sort(dim=0).values[(ends - 1) // m], b.sort(dim=0).values[(ends - 1) // n]
    return ((left - right).double().square() * widths[:, None]).sum(0)
