"""What a memory-bank method keeps of the normal patches, and how far a patch is from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.models.buffers import make_room
from adframe.ops.coreset import ProgressCallback, greedy_k_centre
from adframe.ops.kmeans import k_means
from adframe.ops.neighbours import RoundedBank, nearest, round_bank
from adframe.ops.projections import moments, principal_axes


@dataclass(frozen=True, slots=True)
class Choice:
    """How a memory is made of N rows."""

    count: int  # rows to keep, 1 to N
    seed: int
    guide: Spool | None = None  # the same rows in fewer dimensions, to choose in
    progress: ProgressCallback | None = None
    store: Store | None = None  # keeps a greedy selection between runs


class Memory(nn.Module):
    """Normal patch features, and the distance of others to them. A subclass says what is kept."""

    covers = False  # whether it wants rows that cover all others, or such as are met most often
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", torch.empty(0, 0))  # (M, D)
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Makes the memory of (N, D) rows again."""
        raise NotImplementedError

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """(Q, D) rows to their (Q,) distances."""
        raise NotImplementedError

    def rarity(self, rows: Tensor, *, neighbours: int, limit_mb: int) -> Tensor:
        """What the (Q,) distances of (Q, D) rows count for, in (0, 1]; 1 where density has no meaning."""
        del neighbours, limit_mb
        return torch.ones(len(rows), device=rows.device)


class Bank(Memory):
    """Single rows; the distance is to the nearest one."""

    norms: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("norms", torch.empty(0))  # (M,) squared
        self._prepared: tuple[Tensor, RoundedBank | None] | None = None  # of which bank, and what of it

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Keeps `choice.count` rows."""
        self.bank = self.kept(rows, choice).to(self.bank.device)
        self.norms = self.bank.square().sum(1)

    def kept(self, rows: Spool, choice: Choice) -> Tensor:
        """(M, D), M <= `choice.count`."""
        raise NotImplementedError

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Euclidean, to the nearest row."""
        return self._nearest(rows, limit_mb=limit_mb)[0][:, 0]

    def rarity(self, rows: Tensor, *, neighbours: int, limit_mb: int) -> Tensor:
        """Equation 7 of Roth et al.: an isolated row is a rarer normal, so a distance to it counts for more.

        Args:
            rows: (Q, D).
            neighbours: b, so many rows of the bank around the nearest one.
            limit_mb: most memory that a distance matrix may take.
        """
        count = min(neighbours, len(self.bank))
        if count < 2:
            return super().rarity(rows, neighbours=neighbours, limit_mb=limit_mb)
        near = self._nearest(rows, limit_mb=limit_mb)[1][:, 0]
        _, support = self._nearest(self.bank[near], count=count, limit_mb=limit_mb)
        to_support = (rows.unsqueeze(1) - self.bank[support]).norm(dim=2)  # (Q, b)
        weight: Tensor = 1 - torch.softmax(to_support, dim=1)[:, 0]
        return weight

    def _nearest(self, rows: Tensor, *, count: int = 1, limit_mb: int) -> tuple[Tensor, Tensor]:
        # Made when first needed, not stored: whoever fits, loads or moves a bank makes a new tensor.
        if self._prepared is None or self._prepared[0] is not self.bank:
            self._prepared = self.bank, round_bank(self.bank)
        prepared = self._prepared[1]
        return nearest(rows, self.bank, count=count, norms=self.norms, prepared=prepared, limit_mb=limit_mb)


class Everything(Bank):
    """All rows."""

    def kept(self, rows: Spool, choice: Choice) -> Tensor:
        """Whatever `choice` says."""
        del choice
        return rows.gather(torch.arange(len(rows)))


class Greedy(Bank):
    """The greedy coreset: rows that cover all others best (Roth et al., section 3.2)."""

    covers = True

    def kept(self, rows: Spool, choice: Choice) -> Tensor:
        """Chosen in `choice.guide` where there is one."""
        if choice.count == len(rows):
            return rows.gather(torch.arange(len(rows)))
        guide = rows if choice.guide is None else choice.guide
        index = greedy_k_centre(
            guide, count=choice.count, seed=choice.seed, progress=choice.progress, store=choice.store
        )
        return rows.gather(index)


class Random(Bank):
    """Rows drawn without replacement."""

    def kept(self, rows: Spool, choice: Choice) -> Tensor:
        """In the order they came in."""
        drawn = np.random.default_rng(choice.seed).choice(len(rows), size=choice.count, replace=False)
        return rows.gather(torch.from_numpy(np.sort(drawn)))


class Centres(Bank):
    """Centres of k-means clusters: means of rows, not rows."""

    def kept(self, rows: Spool, choice: Choice) -> Tensor:
        """`choice.count` centres."""
        return k_means(rows, count=choice.count, seed=choice.seed)


class Subspace(Memory):
    """The subspace in which normal rows lie; the distance is what of a row sticks out of it.

    The reconstruction error of a PCA (as in DFM: Ahuja et al., 2019); `coreset` is not asked.

    Args:
        variance: share of the normal rows' variance that the subspace explains, in (0, 1).
    """

    mean: Tensor

    def __init__(self, *, variance: float = 0.97) -> None:
        super().__init__()
        if not 0 < variance < 1:
            raise AdframeError(f"memory.variance={variance} must lie between 0 and 1")
        self.variance = variance
        self.register_buffer("mean", torch.empty(0))  # (D,)

    def fit(self, rows: Spool, choice: Choice) -> None:
        """As few principal axes as explain the share."""
        del choice
        axes, variances = principal_axes(rows)
        explained = torch.cumsum(variances, 0) / variances.sum().clamp(min=1e-30)
        count = 1 + int((explained < self.variance).sum())
        self.bank = axes[:, :count].T.contiguous().to(self.bank.device)  # (d, D)
        self.mean = moments(rows)[0].float().to(self.bank.device)

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Euclidean, to the subspace."""
        del limit_mb
        centred = rows - self.mean
        outside: Tensor = centred - (centred @ self.bank.T) @ self.bank
        return outside.norm(dim=1)  # type: ignore[no-any-return]
