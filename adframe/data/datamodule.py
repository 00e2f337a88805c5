"""The datamodule of all datasets: it scans, splits, checks and loads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import lightning as L
from torch.utils.data import DataLoader

from adframe.contracts import Record
from adframe.data.auto_roi import AutoRoi
from adframe.data.base import Source
from adframe.data.counts import mismatches
from adframe.data.dataset import ImageDataset, View, mixed_sizes_error
from adframe.data.labelled import LabelledDataset, collate_images
from adframe.data.sampling import Cached, SharedBatches, Shuffled
from adframe.data.split_file import SplitFile
from adframe.data.splits import Protocol, count_borrowed, has_validation
from adframe.data.synthetic import EpochSampler, SyntheticDataset, collate_synthetic
from adframe.data.training_set import TrainingSet
from adframe.data.validate_files import check_splits, examine
from adframe.io.processes import current_processes
from adframe.io.shared_memory import shared_memory_warning
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis

Loader = DataLoader[dict[str, Any]]
Images = ImageDataset | LabelledDataset | Cached


class AnomalyData(L.LightningDataModule):
    """The images of one model: one category, or several categories in one training set.

    Args:
        source: the dataset on disk.
        categories: the categories to use. Training and validation mix all of them; testing goes
            category by category through `test_on`.
        view: how an image is resized for the network.
        batch_size: images per step.
        num_workers: loading processes; 0 loads in the main process.
        protocol: draws a validation split where the dataset has none of its own.
        seed: seed of the split and of the training order.
        training: which images the model is fitted to; None for all training images.
        split_file: where drawn splits are written; None draws them again each time, with the same result.
        shift: a domain shift of the images; None for none.
        synthesis: makes synthetic anomalies; None for none.
        synthetic_train: whether training images have synthetic anomalies; otherwise only
            `synthetic_dataloader` has them.
        shuffle: whether training images come in another order in every epoch.
        cache_mb: memory in MiB for decoded training images, and the same again for validation images;
            0 keeps none.

    Example:
        >>> from adframe.data.splits import Holdout
        >>> from adframe.data.toy_source import Toy
        >>> source = Toy(root="toy", products=["bracket"], size=64, train=5, test_good=1, test_bad=1)
        >>> data = AnomalyData(source, categories=["bracket"], view=View(size=(32, 32)), batch_size=2,
        ...                    num_workers=0, protocol=Holdout(0.2), seed=0)
        >>> data.prepare_data()
        >>> data.setup()
        >>> next(iter(data.train_dataloader()))["image"].shape
        torch.Size([2, 3, 32, 32])
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
        training: TrainingSet | None = None,
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
        self.training = TrainingSet() if training is None else training
        self.synthesis, self.synthetic_train = synthesis, synthetic_train
        self.shuffle, self.cache_mb = shuffle, cache_mb
        self.records: list[Record] = []
        self.sizes: set[tuple[int, int]] = set()  # (H, W) of the images on disk
        self.held_out = False  # whether validation normals may join the model after calibration
        self.warnings: list[str] = []  # doubts about the data, for the report

    def prepare_data(self) -> None:
        """Downloads or creates the dataset, if it can do so."""
        self.source.prepare(self.categories)

    def setup(self, stage: str | None = None) -> None:
        """Scans, splits and checks the files, once.

        Args:
            stage: Lightning's name of the stage; all stages need the same records.

        Raises:
            AdframeError: if anything is wrong with the files; the message names the file.
        """
        del stage
        if not self.records:
            self.records = [record for name in self.categories for record in self._records(name)]
            if isinstance(self.view.roi, AutoRoi):
                normals = [each for each in self.records if (each.split, each.label) == ("train", 0)]
                self.warnings += self.view.roi.find(normals)
            if self.view.size is None and self.batch_size > 1 and len(self.sizes) > 1:
                raise mixed_sizes_error(len(self.sizes))
            # Workers that exceed the shared memory die with a bus error, so the main process loads instead.
            largest = max(self.sizes, key=lambda size: size[0] * size[1])
            line = shared_memory_warning(
                size=self.view.of(largest), batch_size=self.batch_size, num_workers=self.num_workers
            )
            if line is not None:
                self.num_workers = 0
                self.warnings.append(line)

    def _records(self, category: str) -> list[Record]:
        # The place seeds all that is random about an image, so it is set before anything is left out.
        scanned = [replace(r, place=i) for i, r in enumerate(self.source.scan(category))]
        records = scanned
        if not has_validation(scanned):
            records = self._draw_split(category, scanned)
            self.held_out |= self.protocol.refits_on_validation and self.training.may_grow
        check_splits(records, category=category)
        self._add_warnings(category, scanned, records)
        records, notes = self.training.choose(records, seed=self.seed)
        training = {record.path for record in scanned if record.split == "train"}
        examined, sizes, doubts = examine(self.source, category, records, training=training)
        self.sizes |= sizes
        self.warnings += [*notes, *doubts]
        return examined

    def write_split(self) -> None:
        """Writes newly drawn splits to the split file."""
        if self.split_file is not None:
            self.split_file.write()

    def _draw_split(self, category: str, scanned: Sequence[Record]) -> list[Record]:
        if self.split_file is None:
            return self.protocol.draw(scanned, seed=self.seed)
        return self.split_file.apply(self.protocol, scanned, category=category)

    def _add_warnings(self, category: str, scanned: Sequence[Record], records: Sequence[Record]) -> None:
        if self.source.check_counts:
            self.warnings += mismatches(self.source.name, scanned)
        if taken := count_borrowed(scanned, records):
            self.warnings.append(
                f"{category}: validation holds {taken} anomalous images of the dataset's test split "
                f"({self.protocol.description}); they are not tested"
            )

    def train_dataloader(self) -> Loader:
        """Returns normal images, in a fixed order or shuffled.

        Methods that need many epochs shuffle. With `synthetic_train` some images have an anomaly, a different
        one in every epoch. With labelled defects among them, batches have the mask and the label of each
        image.
        """
        if self.synthetic_train:
            return self._shared(self.synthetic_dataloader("train"), divided=True)
        images = self._labelled() or self._images("train", truth=False)
        order = Shuffled(len(images), seed=self.seed) if self.shuffle else None
        return self._shared(self._loader(images, sampler=order), divided=self.shuffle)

    def val_dataloader(self) -> Loader:
        """Returns the images for thresholds, never test images.

        While a method is trained on synthetic anomalies, these are normal images with and without them.
        """
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        if self.synthetic_train and fitting:
            return self._shared(self.synthetic_dataloader("val"), divided=True)
        return self._shared(self._loader(self._images("val", truth=True)), divided=self.shuffle and fitting)

    def plain_dataloader(self, *, shared: bool = False) -> Loader:
        """Returns the normal training images without synthetic anomalies, in a fixed order.

        Args:
            shared: whether several processes share them; otherwise each has all.
        """
        loader = self._loader(self._images("train", truth=False))
        return self._shared(loader, divided=False) if shared else loader

    def synthetic_dataloader(self, purpose: Literal["train", "val"], *, draws: int | None = None) -> Loader:
        """Returns normal images with synthetic anomalies.

        Args:
            purpose: `train` draws new anomalies in every epoch; `val` gives each image with and without its
                fixed anomaly.
            draws: number of anomalies of each image for `val`; None takes that of the synthesis.

        Returns:
            Batches as `adframe.data.synthetic` describes them. With workers, each worker has its own share of
            `cache_mb` and survives from epoch to epoch.
        """
        assert self.synthesis is not None
        synthesis = copy.copy(self.synthesis)
        synthesis.draws = synthesis.draws if draws is None else draws
        normal = {
            split: [r for r in self.records if (r.split, r.label) == (split, 0)] for split in ("train", "val")
        }
        images = SyntheticDataset(
            normal[purpose],
            view=self.view,
            synthesis=synthesis,
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
        """Returns the test images of all categories."""
        chosen = [record for record in self.records if record.split == "test"]
        return self._loader(ImageDataset(chosen, view=self.view, truth=True, shift=self.shift))

    def predict_dataloader(self) -> Loader:
        """Returns the test images of all categories, without their annotations."""
        chosen = [record for record in self.records if record.split == "test"]
        return self._loader(ImageDataset(chosen, view=self.view, truth=False, shift=self.shift))

    def test_on(self, category: str, *, shared: bool = False) -> Loader:
        """Returns the test images of one category.

        Args:
            category: one of `categories`.
            shared: whether several processes share them; otherwise each has all.
        """
        chosen = [r for r in self.records if (r.split, r.category) == ("test", category)]
        loader = self._loader(ImageDataset(chosen, view=self.view, truth=True, shift=self.shift))
        return self._shared(loader, divided=False) if shared else loader

    def _images(self, split: str, *, truth: bool) -> Images:
        """Returns the images of a split, without labelled defects in training."""
        records = [r for r in self.records if r.split == split and not (split == "train" and r.label)]
        return self._cached(ImageDataset(records, view=self.view, truth=truth, shift=self.shift))

    def _labelled(self) -> Images | None:
        """Returns the training images with masks; None where none of them is a labelled defect."""
        records = [record for record in self.records if record.split == "train"]
        if not any(record.label for record in records):
            return None
        return self._cached(LabelledDataset(records, view=self.view, shift=self.shift))

    def _cached(self, images: Images) -> Images:
        return Cached(images, limit_mb=self.cache_mb) if self.cache_mb else images

    def _shared(self, loader: Loader, *, divided: bool) -> Loader:
        """Returns the share of this process; the loader itself where the process is alone."""
        processes = current_processes()
        if processes.count == 1:
            return loader
        shares = SharedBatches(
            loader.sampler, batch_size=self.batch_size, processes=processes, divided=divided
        )
        return DataLoader(
            loader.dataset,
            batch_sampler=shares,
            num_workers=loader.num_workers,
            persistent_workers=loader.persistent_workers,
            collate_fn=loader.collate_fn,
        )

    def _loader(self, images: Images, *, sampler: Shuffled | None = None) -> Loader:
        return DataLoader(
            images,
            batch_size=self.batch_size,
            # Worker processes share no memory, so each of them would fill a cache of its own.
            num_workers=0 if isinstance(images, Cached) else self.num_workers,
            sampler=sampler,
            collate_fn=collate_images,
        )
