"""One datamodule for every dataset: scan, split, check, load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import lightning as L
from torch.utils.data import DataLoader

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.counts import mismatches
from adframe.data.dataset import ImageDataset, View, collate, several_sizes
from adframe.data.sampling import Cached, Shuffled
from adframe.data.split_file import SplitFile
from adframe.data.splits import Protocol, borrowed, has_validation
from adframe.data.synthetic import EpochSampler, SyntheticDataset, collate_synthetic
from adframe.data.validate_files import check_splits, examine
from adframe.io.shared_memory import too_small
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis

Loader = DataLoader[dict[str, Any]]
Images = ImageDataset | Cached


class AnomalyData(L.LightningDataModule):
    """The images of one model: one category, or the pool of several.

    Args:
        source: the dataset on disk.
        categories: whose images to pool. Training and validation see all of them; testing goes
            category by category through `test_on`.
        view: how an image becomes the network's view of it.
        batch_size: images a step.
        num_workers: loading processes; 0 loads in the main process.
        protocol: splits where the dataset brings no validation of its own.
        seed: draws the split.
        split_file: where drawn splits are written; None draws them again each time, with the same result.
        shift: a domain shift on the images; None for none.
        synthesis: makes synthetic anomalies; None for none.
        synthetic_train: training images have them; else only `synthetic_dataloader` shows them.
        shuffle: training images come in another order every epoch.
        cache_mb: memory in which decoded training images, and as much for validation images, stay
            for the next epoch; 0 keeps none.
    """

    def __init__(
        self,
        source: Source,
        *,
        categories: Sequence[str],
        view: View,
        batch_size: int,
        num_workers: int,
        protocol: Protocol,
        seed: int,
        split_file: SplitFile | None = None,
        shift: Shift | None = None,
        synthesis: Synthesis | None = None,
        synthetic_train: bool = False,
        shuffle: bool = False,
        cache_mb: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.categories, self.view = source, list(categories), view
        self.batch_size, self.num_workers = batch_size, num_workers
        self.protocol, self.seed, self.split_file, self.shift = protocol, seed, split_file, shift
        self.synthesis, self.synthetic_train = synthesis, synthetic_train
        self.shuffle, self.cache_mb = shuffle, cache_mb
        self.records: list[Record] = []
        self.sizes: set[tuple[int, int]] = set()  # (H, W) that images have on disk
        self.held_out = False  # whether validation normals may join the model after calibration
        self.warnings: list[str] = []  # what a report should say of the data

    def prepare_data(self) -> None:
        """Makes or fetches the dataset where it can be."""
        self.source.prepare(self.categories)

    def setup(self, stage: str | None = None) -> None:
        """Scans, splits and checks, once; everything that can be wrong with the files shows here."""
        del stage
        if not self.records:
            self.records = [record for name in self.categories for record in self._records(name)]
            if self.view.size is None and self.batch_size > 1 and len(self.sizes) > 1:
                raise several_sizes(len(self.sizes))
            self._check_shared_memory()

    def _check_shared_memory(self) -> None:
        largest = self.view.size or max(self.sizes, key=lambda size: size[0] * size[1])
        line = too_small(size=largest, batch_size=self.batch_size, num_workers=self.num_workers)
        if line is not None:
            self.num_workers = 0
            self.warnings.append(line)

    def _records(self, category: str) -> list[Record]:
        scanned = [replace(r, place=i) for i, r in enumerate(self.source.scan(category))]
        records = scanned
        if not has_validation(scanned):
            records = self._drawn(category, scanned)
            self.held_out |= self.protocol.gives_back
        check_splits(records, category=category)
        training = {record.path for record in scanned if record.split == "train"}
        examined = examine(self.source, category, records, training=training)
        self.sizes |= examined.sizes
        self._note(category, scanned, records)
        self.warnings += examined.warnings
        return examined.records

    def write_split(self) -> None:
        """Puts a split that was drawn just now into the file."""
        if self.split_file is not None:
            self.split_file.write()

    def _drawn(self, category: str, scanned: Sequence[Record]) -> list[Record]:
        if self.split_file is None:
            return self.protocol.draw(scanned, seed=self.seed)
        return self.split_file.apply(self.protocol, scanned, category=category)

    def _note(self, category: str, scanned: Sequence[Record], records: Sequence[Record]) -> None:
        if self.source.check_counts:
            self.warnings += mismatches(self.source.name, scanned)
        if taken := borrowed(scanned, records):
            self.warnings.append(
                f"{category}: validation holds {taken} anomalous images of the dataset's test split "
                f"({self.protocol.description}); they are not tested"
            )

    def train_dataloader(self) -> Loader:
        """Normal images: in a fixed order, or shuffled for methods that pass over them many times.

        With `synthetic_train` some have an anomaly, another one in every epoch.
        """
        if self.synthetic_train:
            return self.synthetic_dataloader("train")
        images = self._images("train", truth=False)
        return self._loader(images, sampler=Shuffled(len(images), seed=self.seed) if self.shuffle else None)

    def val_dataloader(self) -> Loader:
        """What thresholds are fitted on; never test. While a method learns from synthetic anomalies: such."""
        if self.synthetic_train and self.trainer is not None and self.trainer.state.fn == "fit":
            return self.synthetic_dataloader("val")
        return self._loader(self._images("val", truth=True))

    def plain_dataloader(self) -> Loader:
        """The training images as they are, in a fixed order."""
        return self._loader(self._images("train", truth=False))

    def synthetic_dataloader(self, purpose: Literal["train", "val"]) -> Loader:
        """Normal images with synthetic anomalies: made by workers that live on, or by the main process."""
        assert self.synthesis is not None
        normal = {
            split: [r for r in self.records if (r.split, r.label) == (split, 0)] for split in ("train", "val")
        }
        images = SyntheticDataset(
            normal[purpose],
            view=self.view,
            synthesis=self.synthesis,
            donors=normal["train"],
            purpose=purpose,
            shift=self.shift,
            cache_mb=self.cache_mb // max(1, self.num_workers),
        )
        return DataLoader(
            images,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            sampler=EpochSampler(len(images), seed=self.seed) if purpose == "train" else None,
            collate_fn=collate_synthetic,
        )

    def test_dataloader(self) -> Loader:
        """The test images of all categories."""
        chosen = [record for record in self.records if record.split == "test"]
        return self._loader(ImageDataset(chosen, view=self.view, truth=True, shift=self.shift))

    def predict_dataloader(self) -> Loader:
        """The test images of all categories, without their annotations."""
        chosen = [record for record in self.records if record.split == "test"]
        return self._loader(ImageDataset(chosen, view=self.view, truth=False, shift=self.shift))

    def test_on(self, category: str) -> Loader:
        """The test images of one category."""
        chosen = [r for r in self.records if (r.split, r.category) == ("test", category)]
        return self._loader(ImageDataset(chosen, view=self.view, truth=True, shift=self.shift))

    def _images(self, split: str, *, truth: bool) -> Images:
        """Images of a split that is passed over many times where something learns."""
        records = [record for record in self.records if record.split == split]
        images = ImageDataset(records, view=self.view, truth=truth, shift=self.shift)
        return Cached(images, limit_mb=self.cache_mb) if self.cache_mb else images

    def _loader(self, images: Images, *, sampler: Shuffled | None = None) -> Loader:
        return DataLoader(
            images,
            batch_size=self.batch_size,
            num_workers=0 if isinstance(images, Cached) else self.num_workers,
            sampler=sampler,
            collate_fn=collate,
        )
