"""One datamodule for every dataset: scan, split, check, load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from torch.utils.data import DataLoader

from adframe.contracts import Record
from adframe.data.dataset import ImageDataset, collate
from adframe.data.preflight import check_files, check_splits
from adframe.data.source import Source
from adframe.data.splits import has_validation, hold_out

Loader = DataLoader[dict[str, Any]]


class AnomalyData(L.LightningDataModule):
    """The images of one model: one category, or the pool of several.

    Args:
        source: the dataset on disk.
        categories: whose images to pool. Training and validation see all of them; testing goes
            category by category through `test_on`.
        image_size: (H, W) of the network's view in pixels.
        batch_size: images a step.
        num_workers: loading processes; 0 loads in the main process.
        holdout: share of train held out where the dataset has no validation split.
        seed: draws the held-out images.
    """

    def __init__(
        self,
        source: Source,
        *,
        categories: Sequence[str],
        image_size: tuple[int, int],
        batch_size: int,
        num_workers: int,
        holdout: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.source, self.categories, self.image_size = source, list(categories), image_size
        self.batch_size, self.num_workers = batch_size, num_workers
        self.holdout, self.seed = holdout, seed
        self.records: list[Record] = []
        self.held_out = False  # whether validation images were taken from train

    def prepare_data(self) -> None:
        """Makes the dataset where it can be made."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Scans, splits and checks, once; everything that can be wrong with the files shows here."""
        del stage
        if not self.records:
            self.records = [record for name in self.categories for record in self._records(name)]

    def _records(self, category: str) -> list[Record]:
        scanned = self.source.scan(category)
        records = hold_out(scanned, share=self.holdout, seed=self.seed)
        self.held_out |= not has_validation(scanned)
        check_splits(records, category=category)
        check_files(records)
        return records

    def train_dataloader(self) -> Loader:
        """Normal images, in a fixed order: the methods that need shuffling say so themselves."""
        return self._loader([r for r in self.records if r.split == "train"], truth=False)

    def val_dataloader(self) -> Loader:
        """What thresholds are fitted on; never test."""
        return self._loader([r for r in self.records if r.split == "val"], truth=True)

    def test_on(self, category: str) -> Loader:
        """The test images of one category."""
        return self._loader(
            [r for r in self.records if (r.split, r.category) == ("test", category)], truth=True
        )

    def _loader(self, records: list[Record], *, truth: bool) -> Loader:
        return DataLoader(
            ImageDataset(records, size=self.image_size, truth=truth),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=collate,
        )
