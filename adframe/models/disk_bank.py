"""A memory bank in a file next to the checkpoint, for banks that are larger than memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adframe.errors import AdframeError, unknown
from adframe.io.disk_matrix import READ_ROWS, Spool
from adframe.io.processes import Processes
from adframe.io.row_file import DTYPES, RowFile, write_rows
from adframe.models.memory import Choice, Density, Everything, Memory, Random, rarity_factors
from adframe.models.shared_searches import Query, current_searches
from adframe.ops.block_search import BlockSearch, Nearest
from adframe.ops.density import density_subset
from adframe.ops.neighbours import round_bank

KEPT: Mapping[str, type[Memory]] = {"all": Everything, "random": Random, "density": Density}


class DiskBank(Memory):
    """Keeps rows in a file; the distance is to the nearest one, as in `Bank`.

    Neither the fit nor the search holds the bank in memory. A search reads the file once per call of
    `distances`, which has a whole batch of images: with small batches and a fast processor the disk decides
    on the time, so that larger batches are faster. Several processes that validate or test divide the file
    (`models.shared_searches`): each reads its share, and searches it for the images of all.

    A greedy coreset is not offered: its selection holds the picked rows in memory, and its time grows with
    the square of the number of rows.

    Args:
        keep: `all` rows, or those that `Random` or `Density` draw.
        dtype: number format of the file: `float32`, or `float16`, which halves it and rounds each feature by
            up to 0.05 %. Distances are computed in float32.

    Raises:
        AdframeError: an argument has another value.

    Example:
        >>> rows = Spool()
        >>> rows.append(torch.eye(4))
        >>> bank = DiskBank(dtype="float16")
        >>> bank.fit(rows, Choice(4, seed=0))
        >>> bank.size, bank.distance(torch.zeros(1, 4), limit_mb=1).tolist()
        ((4, 4, 32), [1.0])
    """

    def __init__(self, *, keep: str = "all", dtype: str = "float32") -> None:
        super().__init__()
        if keep not in KEPT:
            raise AdframeError(unknown("memory.keep", keep, list(KEPT)))
        if dtype not in DTYPES:
            raise AdframeError(unknown("memory.dtype", dtype, list(DTYPES)))
        self.keep, self.dtype, self.joins = keep, dtype, KEPT[keep].joins
        self.file: RowFile | None = None
        self._reference: dict[str, Any] = {}  # of the checkpoint that was loaded

    @property
    def size(self) -> tuple[int, int, int]:
        """Returns the number of rows, their width, and the bytes of the file."""
        if self.file is None:
            known = self._reference
            return known.get("rows", 0), known.get("width", 0), known.get("bytes", 0)
        return self.file.rows, self.file.width, self.file.bytes

    def get_extra_state(self) -> dict[str, Any]:
        """Returns the name, size and checksums of the file, which a checkpoint holds in place of the bank."""
        return self._reference if self.file is None else self.file.reference

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Takes over what a checkpoint says about the file; `open` finds the file itself.

        Args:
            state: result of `get_extra_state`.
        """
        self.file, self._reference = None, state

    def open(self, folder: Path) -> None:
        """Finds the file of a loaded checkpoint.

        Args:
            folder: that of the checkpoint.

        Raises:
            AdframeError: the file is missing or incomplete.
        """
        if self._reference:
            self.file = RowFile(folder / self._reference["name"], self._reference)
            self.file.check()

    def place(self, path: Path) -> None:
        """Gives the file its name next to the checkpoint, before this is written.

        Args:
            path: the file; rows that belong to another checkpoint already are copied.
        """
        if self.file is not None:
            self.file.place(path)

    def fit(self, rows: Spool, choice: Choice) -> None:
        """Writes rows to a new file, in the folder in which they wait.

        Args:
            rows: (N, D).
            choice: how to choose.
        """
        self.file = None  # two banks would need twice the disk
        self.file = write_rows(self._chosen(rows, choice), dtype=self.dtype, folder=Path(rows.folder))

    def join(self, rows: Spool, choice: Choice, *, limit_mb: int) -> None:
        """Writes the bank and further rows to a new file; the old one stays with its checkpoint.

        Args:
            rows: (N, D).
            choice: how to choose among them.
            limit_mb: not used.
        """
        del limit_mb

        def both() -> Iterator[Tensor]:
            yield from (block for _, block in self._opened().blocks())
            yield from self._chosen(rows, choice)

        self.file = write_rows(both(), dtype=self.dtype, folder=Path(rows.folder))

    def distance(self, rows: Tensor, *, limit_mb: int) -> Tensor:
        """Measures the Euclidean distance to the nearest row.

        Args:
            rows: (Q, D).
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) distances.
        """
        return self.distances(rows.unsqueeze(0), limit_mb=limit_mb)[0]

    def distances(self, groups: Tensor, *, limit_mb: int) -> Tensor:
        """Measures the distances of several groups of rows, in one pass of the file.

        Args:
            groups: (B, Q, D).
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (B, Q) distances.
        """
        found = self._search(groups, 1, limit_mb)
        return torch.stack([near.distance[:, 0] for near in found]).to(groups.device)

    def rarity(self, rows: Tensor, *, neighbours: int, limit_mb: int) -> Tensor:
        """Computes the factors of `Bank.rarity`, in two more passes of the file.

        Args:
            rows: (Q, D).
            neighbours: number of bank rows around the nearest one.
            limit_mb: largest memory in MiB for a distance matrix.

        Returns:
            (Q,) factors in (0, 1].
        """
        count = min(neighbours, self.size[0])
        if count < 2:
            return super().rarity(rows, neighbours=neighbours, limit_mb=limit_mb)
        file = self._opened()
        near = file.gather(self._search(rows[None], 1, limit_mb)[0].index[:, 0]).to(rows.device)
        support = file.gather(self._search(near[None], count, limit_mb)[0].index).to(rows.device)
        return rarity_factors(rows, support)

    def search_share(self, queries: Sequence[Query], processes: Processes) -> list[list[Nearest]]:
        """Finds the nearest rows of each group of each query, in one pass of a share of the file.

        Args:
            queries: what to search.
            processes: this process searches its share of the file; one process searches the whole file.

        Returns:
            Per query one result per group, on the CPU.
        """
        device = self.bank.device
        # Each group by itself: a matrix product rounds in another way with other numbers of rows.
        found = [
            [
                BlockSearch(rows, count=query.count, limit_mb=query.limit_mb)
                for rows in query.groups.to(device)
            ]
            for query in queries
        ]
        for start, block in self._opened().blocks(processes):
            block = block.to(device)
            prepared = round_bank(block)
            for search in itertools.chain.from_iterable(found):
                search.add(block, prepared, start=start)
        return [[Nearest(search.distance.cpu(), search.index.cpu()) for search in own] for own in found]

    def _search(self, groups: Tensor, count: int, limit_mb: int) -> list[Nearest]:
        """Finds the nearest rows of each group, with the other processes where they search together."""
        query, shared = Query(groups.cpu(), count, limit_mb), current_searches()
        if shared is not None:
            return shared.search(self, query)
        return self.search_share([query], Processes())[0]

    def _chosen(self, rows: Spool, choice: Choice) -> Iterator[Tensor]:
        if self.keep == "all" or choice.count >= len(rows):
            yield from (block for _, block in rows.blocks())
            return
        if self.keep == "random":
            drawn = np.random.default_rng(choice.seed).choice(len(rows), size=choice.count, replace=False)
            index = torch.from_numpy(np.sort(drawn))
        else:
            index = density_subset(rows, count=choice.count, sample=1024, seed=choice.seed)
        for part in torch.split(index, READ_ROWS):
            yield rows.gather(part)

    def _opened(self) -> RowFile:
        if self.file is None:
            raise RuntimeError("the memory bank is empty: collect and finalise, or load a checkpoint, first")
        return self.file
