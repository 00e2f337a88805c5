"""Collects vectors of whole test images, before and after the network was adapted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from adframe.callbacks.observer import TestObserver
from adframe.contracts import IMAGE, INDEX, RECORD, Batch, Embedded, Record
from adframe.errors import AdframeError
from adframe.io.processes import Processes
from adframe.reporting.feature_figures import write_feature_figure
from adframe.results.features import describe_features, write_features


class Embeddings(TestObserver):
    """Collects vectors of test images and draws them afterwards; memory does not grow with the test set.

    Args:
        images: largest number of images, evenly spread over the test images; 0 collects none.

    Raises:
        AdframeError: if the number is below 0.

    Example:
        >>> Embeddings(images=100).images
        100
    """

    def __init__(self, *, images: int = 1000) -> None:
        if images < 0:
            raise AdframeError(f"callbacks.embeddings.images={images} must be 0 or more")
        self.images = images
        self.start()

    def start(self) -> None:
        """Discards the results of earlier tests."""
        self._places: list[int] = []  # in the dataset
        self._records: list[Record] = []
        self._vectors: dict[str, list[np.ndarray]] = {}  # one (D,) float32 per image

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Computes the vectors of the chosen images of a batch.

        Args:
            trainer: Lightning's trainer.
            pl_module: the system with the detector.
            outputs: None for a stand-in, which has no vectors.
            batch: the batch.
            batch_idx: not used.
            dataloader_idx: not used.
        """
        del batch_idx, dataloader_idx
        if outputs is None:
            return
        detector: Any = pl_module.detector
        loader: Any = trainer.test_dataloaders
        chosen = evenly_spread(batch[INDEX], total=len(loader.dataset), most=self.images)
        if not isinstance(detector, Embedded) or not chosen.any():
            return
        # The scored tensor itself where possible, because a method may cache its features by tensor.
        image = batch[IMAGE] if chosen.all() else batch[IMAGE][chosen]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            found = detector.embeddings(image)
        self._places += batch[INDEX][chosen].tolist()
        self._records += [record for record, keep in zip(batch[RECORD], chosen.tolist(), strict=True) if keep]
        for name, vectors in found.items():
            self._vectors.setdefault(name, []).extend(vectors.float().cpu().numpy())

    def merge(self, processes: Processes) -> None:
        """Adds the vectors of the other processes, in the order of the dataset.

        Args:
            processes: the processes that share the images.
        """
        names = sorted({name for own in processes.gather(list(self._vectors)) for name in own})
        self._records = processes.in_order(zip(self._places, self._records, strict=True))
        self._vectors = {
            name: processes.in_order(zip(self._places, self._vectors.get(name, []), strict=True))
            for name in names
        }

    def write(self, run: Path, *, category: str, seed: int) -> None:
        """Writes `features/<category>.npz`, `.svg` and `.png` to the run's folder; nothing without images.

        Args:
            run: the run's folder.
            category: name of the category.
            seed: seed of t-SNE.
        """
        if self._records:
            vectors = {name: np.stack(each) for name, each in self._vectors.items()}
            features = describe_features(vectors, self._records, seed=seed)
            write_features(run, features, category=category)
            write_feature_figure(run, features, category=category)


def evenly_spread(index: Tensor, *, total: int, most: int) -> Tensor:
    """Marks positions that belong to an evenly spread selection.

    Args:
        index: (B,) positions.
        total: number of all positions.
        most: largest number of selected positions.

    Returns:
        (B,) bool.
    """
    share = min(most, total)
    return (index + 1) * share // max(total, 1) > index * share // max(total, 1)
