"""Defines what a memory keeps of normal patches, and the distance of a patch from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.models.buffers import make_room
from adframe.models.token_gaussian import TokenGaussian, mahalanobis
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.coreset_extension import extend_k_centre
from adframe.ops.coreset_search import CoresetProgress
from adframe.ops.density import density_subset
from adframe.ops.kmeans import k_means
from adframe.ops.neighbours import RoundedBank, nearest, nearest_in_blocks, round_bank
from adframe.ops.projections import moments, principal_axes


@dataclass(frozen=True, slots=True)
class Choice:
    """How a memory is built from N rows.

    Attributes:
        count: number of rows to keep, 1 to N.
        seed: seed of all draws.
        guide: the same rows in fewer dimensions, in which to choose; None chooses in the rows themselves.
        progress: called with (picked, to pick) during a greedy selection.
        store: stores a greedy selection between runs; None stores nothing.
    """

    count: int
    seed: int
    guide: Spool | None = None
    progress: CoresetProgress | None = None
    store: Store | None = None


class Memory(nn.Module):
    """Keeps normal patch features, and measures the distance of others. Subclasses decide what is kept.

    Attributes:
        covers: whether it needs rows that cover all others, instead of rows by their frequency.
        joins: how later rows join without the rows to which it was fitted; "" where they cannot.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.eye(4))
        >>> memory: Memory = Everything()
        >>> memory.fit(rows, Choice(4, seed=0))
        >>> memory.distance(torch.eye(4)[:1], limit_mb=1).tolist()
        [0.0]
    """

    covers = False
    joins = ""  # how later rows join, where they can
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", torch.empty(0, 0))  # (M, D)
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]

    @property
    def size(self) -> tuple[int, int, int]:
        """Returns the number of rows, their width, and the bytes of all; no rows before the fit."""
        return len(self.bank), self.bank.shape[1], self.bank.element_size() * self.bank.numel()

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Fits the memory to rows and replaces earlier ones.

        Args:
            rows: (N, D).
            choice: how to choose.
        """
        raise NotImplementedError

    def join(self, rows: Spool, choice: Choice, *, limit_mb: int) -> None:
        """Adds rows to a fitted memory, without the rows to which it was fitted.

        Args:
            rows: (N, D).
            choice: how to choose among them.
            limit_mb: largest memory in MiB for a distance matrix.

        Raises:
            AdframeError: this kind of memory cannot be extended.
        """
        del rows, choice, limit_mb
        raise AdframeError(f"memory {type(self).__name__} cannot take more images without the old ones")

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Measures distances from the memory.

        Args:
            rows: (Q, D).
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) distances.
        """
        raise NotImplementedError

    def distances(self, groups: Tensor, *, limit_mb: int) -> Tensor:
        """Measures the distances of several groups of rows, each as `distance` measures it by itself.

        Args:
            groups: (B, Q, D).
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (B, Q) distances.
        """
        return torch.stack([self.distance(rows, limit_mb=limit_mb) for rows in groups])

    def rarity(self, rows: Tensor, *, neighbours: int, limit_mb: int) -> Tensor:
        """Returns the factors of distances, in (0, 1]; 1 where density has no meaning.

        Args:
            rows: (Q, D).
            neighbours: number of bank rows that determine the density.
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) factors.
        """
        del neighbours, limit_mb
        return torch.ones(len(rows), device=rows.device)


class Bank(Memory):
    """Keeps single rows; the distance is to the nearest one.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.rand(10, 3))
        >>> bank: Bank = Random()
        >>> bank.fit(rows, Choice(4, seed=0))
        >>> bank.bank.shape
        torch.Size([4, 3])
    """

    norms: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("norms", torch.empty(0))  # (M,) squared
        self._prepared: tuple[Tensor, RoundedBank | None] | None = None  # the bank, and its rounded copy
        self.block_rows: int | None = None  # searches this many rows at a time, by operations that ONNX has

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Keeps up to `choice.count` rows.

        Args:
            rows: (N, D).
            choice: how to choose.
        """
        self.bank = self.choose_rows(rows, choice).to(self.bank.device)
        self.norms = self.bank.square().sum(1)

    def join(self, rows: Spool, choice: Choice, *, limit_mb: int) -> None:
        """Keeps up to `choice.count` of the rows next to those of the bank.

        Args:
            rows: (N, D).
            choice: how to choose.
            limit_mb: largest memory in MiB for a distance matrix.
        """
        new = self.choose_more(rows, choice, limit_mb=limit_mb).to(self.bank.device)
        self.bank = torch.cat([self.bank, new])
        self.norms = self.bank.square().sum(1)

    def choose_more(self, rows: Spool, choice: Choice, *, limit_mb: int) -> Tensor:
        """Chooses the rows that join the bank, as `choose_rows`; subclasses may look at the bank.

        Args:
            rows: (N, D).
            choice: how to choose.
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (M, D), M <= `choice.count`.
        """
        del limit_mb
        return self.choose_rows(rows, choice)

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Chooses the rows to keep.

        Args:
            rows: (N, D).
            choice: how to choose.

        Returns:
            (M, D), M <= `choice.count`.
        """
        raise NotImplementedError

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Measures the Euclidean distance to the nearest row.

        Args:
            rows: (Q, D).
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) distances.
        """
        return self._nearest(rows, limit_mb=limit_mb)[0][:, 0]

    def rarity(self, rows: Tensor, *, neighbours: int, limit_mb: int) -> Tensor:
        """Computes equation 7 of Roth et al.: an isolated row is a rarer normal patch, so a distance to it
        counts more.

        Args:
            rows: (Q, D).
            neighbours: b, the number of bank rows around the nearest one.
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) factors in (0, 1].
        """
        count = min(neighbours, len(self.bank))
        if count < 2:
            return super().rarity(rows, neighbours=neighbours, limit_mb=limit_mb)
        near = self._nearest(rows, limit_mb=limit_mb)[1][:, 0]
        _, support = self._nearest(self.bank[near], count=count, limit_mb=limit_mb)
        return rarity_factors(rows, self.bank[support])

    def _nearest(self, rows: Tensor, *, count: int = 1, limit_mb: int) -> tuple[Tensor, Tensor]:
        if self.block_rows is not None:
            return nearest_in_blocks(rows, self.bank, count=count, norms=self.norms, block=self.block_rows)
        # Computed on first use and not stored: fitting, loading and moving a bank all create a new tensor.
        if self._prepared is None or self._prepared[0] is not self.bank:
            self._prepared = self.bank, round_bank(self.bank)
        prepared = self._prepared[1]
        return nearest(rows, self.bank, count=count, norms=self.norms, prepared=prepared, limit_mb=limit_mb)


def rarity_factors(rows: Tensor, support: Tensor) -> Tensor:
    """Computes the factors of equation 7 of Roth et al.

    Args:
        rows: (Q, D).
        support: (Q, b, D), the bank rows around the nearest one of each row, this one first.

    Returns:
        (Q,) factors in (0, 1].
    """
    to_support = (rows.unsqueeze(1) - support).norm(dim=2)  # (Q, b)
    weight: Tensor = 1 - torch.softmax(to_support, dim=1)[:, 0]
    return weight


class Everything(Bank):
    """Keeps all rows.

    Example:
        >>> Everything().covers
        False
    """

    joins = "exact: every patch of old and new images"

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Returns all rows.

        Args:
            rows: (N, D).
            choice: not used.

        Returns:
            (N, D).
        """
        del choice
        return rows.gather(torch.arange(len(rows)))


class Greedy(Bank):
    """Keeps the greedy coreset: rows that cover all others best (Roth et al., section 3.2).

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.tensor([[0.0], [0.1], [5.0]]))
        >>> sorted(Greedy().choose_rows(rows, Choice(2, seed=0))[:, 0].round().tolist())
        [0.0, 5.0]
    """

    covers = True
    joins = "approximation: new patches that lie farthest from the old bank and from each other joined it"

    def choose_more(self, rows: Spool, choice: Choice, *, limit_mb: int) -> Tensor:
        """Continues the selection with the bank as the centres that were picked before.

        Args:
            rows: (N, D).
            choice: how many rows; the projection in which the bank was selected is not used.
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (M, D), M <= `choice.count`.
        """
        new = rows.read(0, len(rows)).to(self.bank.device)
        if choice.count == len(rows):
            return new
        return new[extend_k_centre(new, self.bank, count=choice.count, limit_mb=limit_mb)]

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Selects the coreset, in `choice.guide` where there is one.

        Args:
            rows: (N, D).
            choice: how to choose.

        Returns:
            (M, D), M <= `choice.count`.
        """
        if choice.count == len(rows):
            return rows.gather(torch.arange(len(rows)))
        guide = rows if choice.guide is None else choice.guide
        index = greedy_k_centre(
            guide, count=choice.count, seed=choice.seed, progress=choice.progress, store=choice.store
        )
        return rows.gather(index)


class Random(Bank):
    """Keeps rows drawn without replacement.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.rand(10, 3))
        >>> Random().choose_rows(rows, Choice(4, seed=0)).shape
        torch.Size([4, 3])
    """

    joins = "approximation: a random sample of the new patches joined the old one"

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Draws rows, and keeps their order.

        Args:
            rows: (N, D).
            choice: how to choose.

        Returns:
            (`choice.count`, D).
        """
        drawn = np.random.default_rng(choice.seed).choice(len(rows), size=choice.count, replace=False)
        return rows.gather(torch.from_numpy(np.sort(drawn)))


class Density(Bank):
    """Keeps rows drawn with chances that fall with the density around them, so that rare patches stay.

    See `ops.density.density_subset`. Where `bank_bytes` bounds the rows, they are thinned at random before.

    Args:
        sample: number of rows in which neighbours are counted.

    Raises:
        AdframeError: `sample` is below 2.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.cat([torch.randn(500, 2) * 0.01, torch.tensor([[9.0, 9.0]])]))
        >>> bank = Density().choose_rows(rows, Choice(20, seed=0))
        >>> len(bank), bool((bank == 9).all(1).any())
        (20, True)
    """

    def __init__(self, *, sample: int = 1024) -> None:
        super().__init__()
        if sample < 2:
            raise AdframeError(f"memory.sample={sample} must be 2 or more")
        self.sample = sample

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Draws rows.

        Args:
            rows: (N, D).
            choice: how many.

        Returns:
            (`choice.count`, D), in their order.
        """
        index = density_subset(rows, count=choice.count, sample=self.sample, seed=choice.seed)
        return rows.gather(index)


class Centres(Bank):
    """Keeps centres of k-means clusters: means of rows, not rows.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.rand(10, 3))
        >>> Centres().choose_rows(rows, Choice(2, seed=0)).shape
        torch.Size([2, 3])
    """

    joins = "approximation: cluster centres of the new patches joined the old ones"

    def choose_rows(self, rows: Spool, choice: Choice) -> Tensor:
        """Computes the centres.

        Args:
            rows: (N, D).
            choice: how to choose.

        Returns:
            (`choice.count`, D).
        """
        return k_means(rows, count=choice.count, seed=choice.seed)


class Subspace(Memory):
    """Keeps the subspace of normal rows; the distance is the length of the component outside of it.

    This is the reconstruction error of a PCA (as in DFM: Ahuja et al., 2019); `coreset` is not used.

    Args:
        variance: share of the normal rows' variance that the subspace explains, in (0, 1).
        squared: returns squared lengths, as SubspaceAD does (Lendering et al., 2026). The order of patches is
            the same, but means over patches, and smoothed maps, are not.

    Raises:
        AdframeError: if the share is out of range.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.rand(50, 3) * torch.tensor([1.0, 1.0, 0.0]))
        >>> plane = Subspace(variance=0.99)
        >>> plane.fit(rows, Choice(1, seed=0))
        >>> distance = plane.distance(torch.tensor([[0.5, 0.5, 2.0]]), limit_mb=1)
        >>> round(float(distance), 3)
        2.0
    """

    mean: Tensor

    def __init__(self, *, variance: float = 0.97, squared: bool = False) -> None:
        super().__init__()
        if not 0 < variance < 1:
            raise AdframeError(f"memory.variance={variance} must be between 0 and 1")
        self.variance, self.squared = variance, squared
        self.register_buffer("mean", torch.empty(0))  # (D,)

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Keeps the fewest principal axes that explain the share.

        Args:
            rows: (N, D).
            choice: not used.
        """
        del choice
        axes, variances = principal_axes(rows)
        explained = torch.cumsum(variances, 0) / variances.sum().clamp(min=1e-30)
        # Without any variance no axis explains anything, and all of them would leave nothing outside.
        count = 1 + int((explained < self.variance).sum()) if variances.sum() > 0 else 1
        self.bank = axes[:, :count].T.contiguous().to(self.bank.device)  # (d, D)
        self.mean = moments(rows)[0].float().to(self.bank.device)

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Measures the Euclidean distance to the subspace.

        Args:
            rows: (Q, D).
            limit_mb: not used.

        Returns:
            (Q,) distances.
        """
        del limit_mb
        centred = rows - self.mean
        outside: Tensor = centred - (centred @ self.bank.T) @ self.bank
        length: Tensor = outside.norm(dim=1)
        return length.square() if self.squared else length


class Gaussian(Memory):
    """Keeps one Gaussian of all normal rows; the distance is the Mahalanobis distance from it.

    Mean and covariance come from sums (see `TokenGaussian`, which also says how the covariance is shrunk);
    `coreset` is not used. A single Gaussian at all positions suits objects in any pose, where `PaDiM`'s
    Gaussian at each position does not.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.randn(10000, 2, generator=torch.Generator().manual_seed(0)))
        >>> cloud = Gaussian()
        >>> cloud.fit(rows, Choice(1, seed=0))
        >>> distance = cloud.distance(torch.tensor([[3.0, 4.0]]), limit_mb=1)
        >>> round(float(distance))
        5
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (D,)

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Computes mean and covariance.

        Args:
            rows: (N, D).
            choice: not used.
        """
        del choice
        gaussian = TokenGaussian()
        for _, block in rows.blocks():
            gaussian.collect_held_out(block[None])
        gaussian.finalise_held_out()
        device = self.bank.device
        self.mean, self.bank = gaussian.mean.to(device), gaussian.whitening.to(device)  # (D,), (D, D)

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Measures Mahalanobis distances.

        Args:
            rows: (Q, D).
            limit_mb: not used.

        Returns:
            (Q,) distances.
        """
        del limit_mb
        return mahalanobis(rows, mean=self.mean, whitening=self.bank)
