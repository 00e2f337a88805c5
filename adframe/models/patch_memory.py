"""From streams of patch features to one memory: weighting, reduction, a bound on what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.models.buffers import make_room, refuse_update
from adframe.models.fusion import Concat
from adframe.models.memory import Choice, Memory
from adframe.ops.coreset import Progress, greedy_k_centre
from adframe.ops.projections import mapped, moments, principal_axes, random_axes

REDUCTIONS = ("none", "random", "pca")
METRICS = ("euclidean", "cosine")


@dataclass(frozen=True, slots=True)
class Settings:
    """What all memories of a method share; `PatchCore` says what each means."""

    coreset: float
    metric: str
    reduce: str
    dimensions: int
    projection: int | None
    limit_mb: int
    bank_bytes: int | None  # of features that wait for one memory
    seed: int
    spool: Path | None
    store: Store | None = None


class PatchMemory(nn.Module):
    """Features wait on disk until `finalise` makes a memory of them; process memory does not grow.

    Args:
        memory: what is made.
        fusion: says what each layer's features are multiplied by.
        settings: see there.
    """

    centre: Tensor
    matrix: Tensor
    weights: Tensor

    def __init__(self, memory: Memory, *, fusion: Concat, settings: Settings) -> None:
        super().__init__()
        self.memory, self.fusion, self.settings = memory, fusion, settings
        self.register_buffer("centre", torch.empty(0))  # (D,) taken off features against cancellation
        self.register_buffer("weights", torch.empty(0))  # (D,) of the fusion; empty: all are 1
        self.register_buffer("matrix", torch.empty(0))  # (D, d) of the reduction; empty: none
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self.seen = self.thinnings = 0  # rows that came, and how often those that waited were thinned
        self._rate = 1.0  # share of the rows that come which is kept waiting
        self._waiting: Spool | None = None
        self._widths: list[int] = []  # channels of each layer

    def collect(self, rows: Tensor, *, widths: Sequence[int]) -> None:
        """Takes (n, D) rows in; D is the sum of the layers' widths."""
        rows = self._unit(rows)
        if self._waiting is None:
            refuse_update(fitted=bool(len(self.memory.bank)))
            self.centre, self._widths = rows.mean(0), list(widths)
            self._waiting = Spool(folder=self.settings.spool)
        self.seen += len(rows)
        if self._rate < 1:
            drawn = np.random.default_rng((self.settings.seed, self.seen)).random(len(rows)) < self._rate
            rows = rows[torch.from_numpy(drawn).to(rows.device)]
        self._waiting.append(rows - self.centre)
        limit = self.settings.bank_bytes
        while limit is not None and 4 * self._waiting.width * len(self._waiting) > limit:
            self._thin(self._waiting)

    def finalise(self, *, progress: Progress | None) -> None:
        """Makes the memory of all that was collected so far."""
        if self._waiting is None:
            raise RuntimeError("finalise before collect: there are no patches to choose from")
        settings, made = self.settings, [self._waiting]
        weights = self._learned_weights(self._waiting)
        self.weights = torch.empty(0) if weights is None else weights.to(self.centre.device)
        if weights is not None:
            made.append(mapped(made[-1], weights.mul, folder=settings.spool))
        matrix = self._learned_matrix(made[-1])
        self.matrix = torch.empty(0) if matrix is None else matrix.to(self.centre.device)
        if matrix is not None:
            made.append(mapped(made[-1], partial(torch.matmul, other=matrix), folder=settings.spool))
        rows, guide = made[-1], None
        if settings.projection is not None and settings.projection < rows.width:
            axes = random_axes(rows.width, count=settings.projection, seed=settings.seed)
            guide = mapped(rows, partial(torch.matmul, other=axes), folder=settings.spool)
            made.append(guide)
        count = min(max(1, round(settings.coreset * self.seen)), len(rows))
        self.memory.fit(rows, Choice(count, settings.seed, guide, progress, settings.store))
        self.memory.to(self.centre.device)
        for spool in made[1:]:
            spool.close()

    def release(self) -> None:
        """Gives back the disk space of the collected features."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = None

    def embed(self, rows: Tensor) -> Tensor:
        """(Q, D) features to (Q, d) in the space of the memory."""
        rows = self._unit(rows) - self.centre
        rows = rows * self.weights if len(self.weights) else rows
        return rows @ self.matrix if len(self.matrix) else rows

    def distance(self, embedded: Tensor) -> Tensor:
        """(Q, d) from `embed` to (Q,); cosine distance, 1 - cos, where that is the metric."""
        found = self.memory.distance(embedded, limit_mb=self.settings.limit_mb)
        return found.square() / 2 if self.settings.metric == "cosine" else found

    def rarity(self, embedded: Tensor, *, neighbours: int) -> Tensor:
        """What the distances of (Q, d) from `embed` count for: (Q,), see `Memory.rarity`."""
        return self.memory.rarity(embedded, neighbours=neighbours, limit_mb=self.settings.limit_mb)

    def _unit(self, rows: Tensor) -> Tensor:
        return F.normalize(rows, dim=1) if self.settings.metric == "cosine" else rows

    def _thin(self, waiting: Spool) -> None:
        """Halves what waits: to rows that cover the others, or to a fair draw of all that came."""
        settings, keep = self.settings, len(waiting) // 2
        if keep < 1:
            raise AdframeError(
                f"model.bank_bytes={settings.bank_bytes} a memory holds no two patch features of "
                f"{4 * waiting.width} bytes; raise it"
            )
        if self.memory.covers:
            index = greedy_k_centre(waiting, count=keep, seed=settings.seed, store=settings.store)
            index = index.sort().values
        else:
            drawn = np.random.default_rng((settings.seed, self.seen)).permutation(len(waiting))[:keep]
            index, self._rate = torch.from_numpy(np.sort(drawn)), self._rate / 2
        self._waiting = Spool(folder=settings.spool)
        self._waiting.append(waiting.gather(index))
        self.thinnings += 1
        waiting.close()

    def _learned_weights(self, rows: Spool) -> Tensor | None:
        variances = [0.0] * len(self._widths)
        if self.fusion.adaptive:
            variances = [float(part.sum()) for part in torch.split(moments(rows)[1], self._widths)]
        weights = self.fusion.weights(variances)
        if all(weight == 1 for weight in weights):
            return None
        return torch.repeat_interleave(torch.tensor(weights), torch.tensor(self._widths))

    def _learned_matrix(self, rows: Spool) -> Tensor | None:
        settings = self.settings
        if settings.reduce == "none" or settings.dimensions >= rows.width:
            return None
        if settings.reduce == "random":
            return random_axes(rows.width, count=settings.dimensions, seed=settings.seed)
        return principal_axes(rows)[0][:, : settings.dimensions].contiguous()


def check(settings: Settings) -> None:
    """Refuses what is impossible, by the names that users type."""
    for key, value, known in (
        ("metric", settings.metric, METRICS),
        ("reduce", settings.reduce, REDUCTIONS),
    ):
        if value not in known:
            raise AdframeError(f"model.{key}={value} is not possible; it is one of {', '.join(known)}")
    if not isinstance(settings.coreset, int | float) or not 0 < settings.coreset <= 1:
        raise AdframeError(
            f"coreset={settings.coreset} must lie in (0, 1]: it is the share of patches the bank keeps"
        )
    counts = {"dimensions": settings.dimensions, "projection": settings.projection}
    counts |= {"limit_mb": settings.limit_mb, "bank_bytes": settings.bank_bytes}
    for key, count in counts.items():
        if count is not None and count < 1:
            raise AdframeError(f"model.{key}={count} must be 1 or more")
