"""One memory of patch features: averaging, weighting, reduction, and a bound on what is collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError, unknown
from adframe.io.disk_matrix import READ_ROWS, Spool
from adframe.io.feature_cache import Store
from adframe.models.buffers import make_room, refuse_update
from adframe.models.fusion import Concat
from adframe.models.memory import Choice, Everything, Memory
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.coreset_search import CoresetProgress
from adframe.ops.density import density_subset
from adframe.ops.leave_one_out import leave_one_out
from adframe.ops.patches import BORDERS, Border, as_rows, patch_grid
from adframe.ops.projections import map_rows, moments, principal_axes, random_axes, whitening_matrix

REDUCTIONS = ("none", "random", "pca", "whiten")
DISTANCE_METRICS = ("euclidean", "cosine")

_GREEDY_ROWS = 32768  # more are thinned by density


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that all memories of a model share.

    Attributes:
        coreset, neighbourhood, border, projection, neighbours, limit_mb, seed, spool, store: See `PatchCore`.
        metric, reduce, dimensions, bank_bytes: See `ExtendedPatchCore`; `bank_bytes` is per memory.

    Raises:
        AdframeError: A value is outside its range; the message names the override.
    """

    coreset: float
    neighbourhood: int = 3
    border: Border = "zeros"
    projection: int | None = None
    neighbours: int = 1
    limit_mb: int = 256
    seed: int = 42
    spool: Path | None = None
    store: Store | None = None
    metric: str = "euclidean"
    reduce: str = "none"
    dimensions: int = 128
    bank_bytes: int | None = None

    def __post_init__(self) -> None:
        for key, value, known in (
            ("border", self.border, BORDERS),
            ("metric", self.metric, DISTANCE_METRICS),
            ("reduce", self.reduce, REDUCTIONS),
        ):
            if value not in known:
                raise AdframeError(unknown(f"model.{key}", value, known))
        if not isinstance(self.coreset, int | float) or not 0 < self.coreset <= 1:
            raise AdframeError(
                f"coreset={self.coreset} must lie in (0, 1]: it is the share of patches the bank keeps"
            )
        if self.neighbourhood < 1 or self.neighbourhood % 2 == 0:
            raise AdframeError(f"model.neighbourhood={self.neighbourhood} must be odd and positive")
        if self.neighbours < 1:
            raise AdframeError(f"model.neighbours={self.neighbours} must be 1 (no re-weighting) or more")
        for key in ("dimensions", "projection", "limit_mb", "bank_bytes"):
            if (count := getattr(self, key)) is not None and count < 1:
                raise AdframeError(f"model.{key}={count} must be 1 or more")


class PatchMemory(nn.Module):
    """Patch features of some layers, and the distance of other patches to them.

    Collected features wait on disk until `finalise` makes a memory of them.

    Args:
        memory: Empty memory that `finalise` fills.
        layers: Positions of the feature maps that are used, in the order of the backbone's layers.
        fusion: Gives the factor of each layer's features.
        settings: How features are averaged, reduced and kept.

    Raises:
        AdframeError: Layers have different weights, and are whitened afterwards.

    Example:
        >>> from adframe.models.memory import Greedy
        >>> memory = PatchMemory(Greedy(), layers=[0], fusion=Concat(), settings=Settings(coreset=0.25))
        >>> memory.collect([torch.rand(2, 8, 4, 4)])
        >>> memory.finalise(progress=None)
        >>> distances, weight = memory.score([torch.rand(1, 8, 4, 4)])
        >>> distances.shape, memory.facts()["rows"]
        (torch.Size([1, 1, 4, 4]), 8)
    """

    centre: Tensor
    matrix: Tensor
    weights: Tensor

    def __init__(self, memory: Memory, *, layers: Sequence[int], fusion: Concat, settings: Settings) -> None:
        super().__init__()
        unequal = fusion.adaptive or len({*fusion.weights([1.0] * len(layers))}) > 1
        if settings.reduce == "whiten" and unequal:
            raise AdframeError(
                "model.reduce=whiten gives all layers the same variance, so that weights of layers have no "
                "effect; choose fusion=concat, or another model.reduce="
            )
        self.memory, self.layers, self.fusion, self.settings = memory, list(layers), fusion, settings
        self.register_buffer("centre", torch.empty(0))  # (D,) subtracted from features against cancellation
        self.register_buffer("weights", torch.empty(0))  # (D,) of the fusion; empty: all are 1
        self.register_buffer("matrix", torch.empty(0))  # (D, d) of the reduction; empty: none
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        # Rows and images so far, and how often the collected rows were thinned.
        self.seen = self.images = self.thinnings = 0
        self._rate = 1.0  # share of new rows that is kept
        self._waiting: Spool | None = None
        # Of each image its number and its rows, in their order, while none was thinned. Small tensors instead
        # would lie between the large ones that each batch frees, so that the C library could not use their
        # memory again: a fit would grow by the features of every batch.
        self._owners: list[tuple[int, int]] = []
        self._joining = False  # whether new rows join a memory whose own rows are gone
        self._widths: list[int] = []  # channels of each layer

    def grid(self, maps: Sequence[Tensor]) -> Tensor:
        """Averages the maps of this memory's layers, and stacks them on the finest of their grids.

        Args:
            maps: Feature maps (B, C_i, h_i, w_i) of all layers of the backbone.

        Returns:
            (B, D, h, w); D is the sum of the channels of this memory's layers, or their common width where
            they are averaged.

        Raises:
            AdframeError: The layers are averaged and have different shapes.
        """
        chosen = [maps[layer] for layer in self.layers]
        if self.fusion.averages:
            chosen = [_mean_map(chosen)]
        return patch_grid(chosen, neighbourhood=self.settings.neighbourhood, border=self.settings.border)

    def collect(self, maps: Sequence[Tensor], *, first: int | None = None) -> None:
        """Adds the patches of normal images to those that wait.

        Args:
            maps: Feature maps (B, C_i, h_i, w_i) of all layers of the backbone.
            first: Number of the first image, for variants of images; None counts on.

        Raises:
            AdframeError: The memory is fitted and its features are gone, or `bank_bytes` holds no two rows.
        """
        grid = self.grid(maps)
        rows = self._unit(as_rows(grid))
        if self._waiting is None:
            if not self._joining:
                refuse_update(fitted=self.memory.size[0] > 0)
                widths = [maps[layer].shape[1] for layer in self.layers]
                self.centre, self._widths = rows.mean(0), widths[:1] if self.fusion.averages else widths
            self._waiting = Spool(folder=self.settings.spool)
        number = self.images if first is None else first
        self._owners += [(number + place, len(rows) // len(grid)) for place in range(len(grid))]
        self.images = max(self.images, number + len(grid))
        self.seen += len(rows)
        if self._rate < 1:
            drawn = np.random.default_rng((self.settings.seed, self.seen)).random(len(rows)) < self._rate
            rows = rows[torch.from_numpy(drawn).to(rows.device)]
        self._waiting.append(rows - self.centre)
        limit = self.settings.bank_bytes
        while limit is not None and 4 * self._waiting.width * len(self._waiting) > limit:
            self._thin(self._waiting)

    def leave_one_out_scores(self) -> Tensor:
        """Returns (N,) for each collected image the largest distance of its patches to those of the others.

        Distances are of averaged features, before fusion weights and reduction.
        """
        assert self._waiting is not None
        return leave_one_out(self._waiting, self._owner_of_rows(), seed=self.settings.seed)

    def keep(self, images: Tensor) -> None:
        """Forgets images, as if only the others had been collected.

        Args:
            images: (N,) bool, True for those that stay.
        """
        assert self._waiting is not None
        waiting = self._waiting
        rows = torch.nonzero(images[self._owner_of_rows()]).flatten()
        self._waiting = Spool(folder=self.settings.spool)
        for part in torch.split(rows, READ_ROWS):
            self._waiting.append(waiting.gather(part))
        waiting.close()
        numbers = (images.long().cumsum(0) - 1).tolist()
        self._owners = [(numbers[number], count) for number, count in self._owners if images[number]]
        self.images, self.seen = int(images.sum()), len(rows)

    def finalise(self, *, progress: CoresetProgress | None) -> None:
        """Fits the memory to everything that was collected so far.

        Args:
            progress: called with (picked, to pick) during a greedy selection; None reports nothing.
        """
        if self._waiting is None:
            raise RuntimeError("finalise before collect: there are no patches to choose from")
        settings, made = self.settings, [self._waiting]
        if self._joining:
            self._join(self._waiting)
            return
        weights = self._fusion_weights(self._waiting)
        self.weights = torch.empty(0) if weights is None else weights.to(self.centre.device)
        if weights is not None:
            made.append(map_rows(made[-1], weights.mul, folder=settings.spool))
        matrix = self._reduction_matrix(made[-1])
        self.matrix = torch.empty(0) if matrix is None else matrix.to(self.centre.device)
        if matrix is not None:
            made.append(map_rows(made[-1], partial(torch.matmul, other=matrix), folder=settings.spool))
        rows, guide = made[-1], None
        if settings.projection is not None and settings.projection < rows.width:
            axes = random_axes(rows.width, count=settings.projection, seed=settings.seed)
            guide = map_rows(rows, partial(torch.matmul, other=axes), folder=settings.spool)
            made.append(guide)
        count = min(max(1, round(settings.coreset * self.seen)), len(rows))
        self.memory.fit(rows, Choice(count, settings.seed, guide, progress, settings.store))
        self.memory.to(self.centre.device)
        for spool in made[1:]:
            spool.close()

    def reopen(self) -> str:
        """Makes a fitted memory ready to collect more patches; `finalise` adds them.

        Returns:
            How exact the result is, as `contracts.Reopenable.reopen`.

        Raises:
            AdframeError: this kind of memory cannot be extended.
        """
        settings = self.settings
        if not self.memory.joins:
            raise AdframeError(
                f"memory {type(self.memory).__name__} cannot take more images without the old ones"
            )
        self._joining = True
        if self.fusion.adaptive or settings.reduce in ("pca", "whiten") or settings.bank_bytes is not None:
            return (
                f"approximation: {self.memory.joins.partition(': ')[2]}; other settings kept the old images'"
            )
        kept = settings.coreset == 1 and self.memory.covers
        return Everything.joins if kept else self.memory.joins

    def _join(self, waiting: Spool) -> None:
        settings = self.settings
        # The embedding subtracts the centre, which waiting rows have lost already.
        rows = map_rows(
            waiting, lambda part: self.embed(part.to(self.centre.device) + self.centre), folder=settings.spool
        )
        count = min(max(1, round(settings.coreset * self.seen)), len(rows))
        self.memory.join(rows, Choice(count, settings.seed), limit_mb=settings.limit_mb)
        rows.close()

    def release(self) -> None:
        """Releases the disk space of the collected features."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting, self._owners, self.images, self._joining = None, [], 0, False

    def embed(self, rows: Tensor) -> Tensor:
        """Maps features to the space of the memory.

        Args:
            rows: (Q, D).

        Returns:
            (Q, d).
        """
        rows = self._unit(rows) - self.centre
        rows = rows * self.weights if len(self.weights) else rows
        return rows @ self.matrix if len(self.matrix) else rows

    def score(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Measures how far the patches of images lie from the memory.

        Args:
            maps: Feature maps (B, C_i, h_i, w_i) of all layers of the backbone.

        Returns:
            Distances (B, 1, h, w), and (B,) the factor in (0, 1] by which the re-weighting multiplies the
            largest of an image.

        Raises:
            RuntimeError: The memory is empty.
        """
        if not self.memory.size[0]:
            raise RuntimeError("the memory bank is empty: collect and finalise, or load a checkpoint, first")
        grid = self.grid(maps)
        batch, _, height, width = grid.shape
        # A matrix product rounds in another way with other numbers of rows or another layout of them, and the
        # score of an image must not depend on the images next to it. So each image is searched by itself.
        rows = self.embed(as_rows(grid)).contiguous()  # (B * h * w, D)
        groups = rows.view(batch, height * width, -1)
        distances = self._by_metric(self.memory.distances(groups, limit_mb=self.settings.limit_mb))
        farthest = groups[torch.arange(batch), distances.argmax(1)]  # (B, D)
        neighbours, limit_mb = self.settings.neighbours, self.settings.limit_mb
        weight = self.memory.rarity(farthest, neighbours=neighbours, limit_mb=limit_mb)
        return distances.view(batch, 1, height, width), weight

    def facts(self) -> dict[str, float]:
        """Returns rows, width and bytes of the bank, patches collected, and how often they were thinned."""
        rows, width, size = self.memory.size
        return {
            "rows": rows,
            "width": width,
            "bytes": size,
            "seen": self.seen,
            "thinnings": self.thinnings,
        }

    def distance(self, embedded: Tensor) -> Tensor:
        """Measures distances from the memory; half of their squares where the metric is `cosine`.

        Args:
            embedded: (Q, d), result of `embed`.

        Returns:
            (Q,).
        """
        return self._by_metric(self.memory.distance(embedded, limit_mb=self.settings.limit_mb))

    def _by_metric(self, found: Tensor) -> Tensor:
        return found.square() / 2 if self.settings.metric == "cosine" else found

    def _owner_of_rows(self) -> Tensor:
        """Returns (N,), the image of each waiting row."""
        numbers, counts = torch.tensor(self._owners).T
        owners: Tensor = numbers.repeat_interleave(counts)
        return owners

    def _unit(self, rows: Tensor) -> Tensor:
        return F.normalize(rows, dim=1) if self.settings.metric == "cosine" else rows

    def _thin(self, waiting: Spool) -> None:
        """Halves the collected rows: to rows that cover the others, to rows of which the rare ones stay where
        there are many, or to a uniform sample of all rows so far.
        """
        settings, keep = self.settings, len(waiting) // 2
        if keep < 1:
            raise AdframeError(
                f"model.bank_bytes={settings.bank_bytes} a memory holds no two patch features of "
                f"{4 * waiting.width} bytes; raise it"
            )
        if self.memory.covers and len(waiting) <= _GREEDY_ROWS:
            index = greedy_k_centre(waiting, count=keep, seed=settings.seed, store=settings.store)
            index = index.sort().values
        elif self.memory.covers:  # the time of the greedy selection grows with the square of the rows
            index = density_subset(waiting, count=keep, sample=1024, seed=settings.seed)
        else:
            drawn = np.random.default_rng((settings.seed, self.seen)).permutation(len(waiting))[:keep]
            index, self._rate = torch.from_numpy(np.sort(drawn)), self._rate / 2
        self._waiting = Spool(folder=settings.spool)
        self._waiting.append(waiting.gather(index))
        self.thinnings += 1
        waiting.close()

    def _fusion_weights(self, rows: Spool) -> Tensor | None:
        variances = [0.0] * len(self._widths)
        if self.fusion.adaptive:
            variances = [float(part.sum()) for part in torch.split(moments(rows)[1], self._widths)]
        weights = self.fusion.weights(variances)
        if all(weight == 1 for weight in weights):
            return None
        return torch.repeat_interleave(torch.tensor(weights), torch.tensor(self._widths))

    def _reduction_matrix(self, rows: Spool) -> Tensor | None:
        settings = self.settings
        if settings.reduce == "whiten":
            return whitening_matrix(rows, widths=self._widths, count=settings.dimensions)
        if settings.reduce == "none" or settings.dimensions >= rows.width:
            return None
        if settings.reduce == "random":
            return random_axes(rows.width, count=settings.dimensions, seed=settings.seed)
        return principal_axes(rows)[0][:, : settings.dimensions].contiguous()


def _mean_map(maps: Sequence[Tensor]) -> Tensor:
    if len({grid.shape for grid in maps}) > 1:
        shapes = ", ".join("x".join(map(str, grid.shape[1:])) for grid in maps)
        raise AdframeError(
            f"fusion=mean needs layers of one shape, and these have {shapes}: choose blocks of a vision "
            "transformer, or fusion=concat"
        )
    return torch.stack(list(maps)).mean(0)
