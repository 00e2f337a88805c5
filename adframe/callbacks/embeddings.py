"""Keeps what test images are to a method as a whole, before and after it was adapted."""

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
from adframe.reporting.feature_figures import write_feature_figure
from adframe.results.features import describe_features, write_features


class Embeddings(TestObserver):
    """Collects vectors of test images, draws them afterwards; its memory does not grow with the test set.

    Args:
        images: how many at most, evenly spread over the test images; 0 collects none.
    """

    def __init__(self, *, images: int = 1000) -> None:
        if images < 0:
            raise AdframeError(f"callbacks.embeddings.images={images} must be 0 or more")
        self.images = images
        self.start()

    def start(self) -> None:
        """Forgets earlier tests."""
        self._records: list[Record] = []
        self._vectors: dict[str, list[np.ndarray]] = {}  # (D,) float32 an image

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Reads the images of a batch that are among the chosen."""
        del outputs, batch_idx, dataloader_idx
        detector: Any = pl_module.detector
        loader: Any = trainer.test_dataloaders
        chosen = spread(batch[INDEX], total=len(loader.dataset), most=self.images)
        if not isinstance(detector, Embedded) or not chosen.any():
            return
        # The very tensor that was scored where possible: a method may remember what it has read of it.
        image = batch[IMAGE] if chosen.all() else batch[IMAGE][chosen]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            found = detector.embeddings(image)
        self._records += [record for record, keep in zip(batch[RECORD], chosen.tolist(), strict=True) if keep]
        for name, vectors in found.items():
            self._vectors.setdefault(name, []).extend(vectors.float().cpu().numpy())

    def write(self, run: Path, *, category: str, seed: int) -> None:
        """Leaves `features/<category>.npz`, `.svg` and `.png` in the run's folder; nothing without images.

        Args:
            run: the run's folder.
            category: whose images these are.
            seed: of t-SNE.
        """
        if self._records:
            vectors = {name: np.stack(each) for name, each in self._vectors.items()}
            features = describe_features(vectors, self._records, seed=seed)
            write_features(run, features, category=category)
            write_feature_figure(run, features, category=category)


def spread(index: Tensor, *, total: int, most: int) -> Tensor:
    """Which of the places (B,) among `total` belong to `most` evenly spread ones; (B,) bool."""
    share = min(most, total)
    return (index + 1) * share // max(total, 1) > index * share // max(total, 1)
