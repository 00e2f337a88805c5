"""What every method has in common under Lightning: validation calibrates, testing measures raw scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.threshold import Calibrator
from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Batch, Prediction
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.geometry import restore


class DetectionSystem(L.LightningModule):
    """Conducts a detector, a calibrator and the metrics; computes nothing itself.

    Args:
        detector: any `contracts.Detector`.
        calibrator: fitted at the end of validation.
        pixel: measures heatmaps in the original frame; reset for every test.
    """

    def __init__(self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics) -> None:
        super().__init__()
        self.detector, self.calibrator, self.pixel = detector, calibrator, pixel
        self.seen: dict[str, list[Any]] = {}  # scores, labels, subsets of the running epoch
        self.results: dict[str, float] = {}  # of the last test
        self._maps: list[np.ndarray] = []

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Moves tensors; records, geometries and regions stay where they are."""
        del dataloader_idx
        return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Raw scores of validation images, for the calibrator."""
        del batch_idx
        prediction = self.detector(batch[IMAGE])
        self._see(batch, prediction)
        # One pixel in 16 is enough for a colour scale, and for a mean and a deviation.
        self._maps += [m[::4, ::4].copy() for m in heatmaps(prediction)]

    def on_validation_epoch_start(self) -> None:
        """Forgets earlier scores."""
        self.seen, self._maps = {"scores": [], "labels": [], "subsets": []}, []

    def on_validation_epoch_end(self) -> None:
        """Fits the threshold."""
        labels = np.array([-1 if label is None else label for label in self.seen["labels"]])
        normal = [m for m, label in zip(self._maps, labels, strict=True) if label == 0]
        maps = np.concatenate([m.ravel() for m in normal]) if normal else np.zeros(0)
        self.calibrator.fit(np.array(self.seen["scores"]), labels, split="val", maps=maps)

    def on_test_epoch_start(self) -> None:
        """Starts from nothing: results of another category must not leak in."""
        self.seen = {"scores": [], "labels": [], "subsets": []}
        self.pixel.threshold = self.calibrator.fitted.pixel_threshold
        self.pixel.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Predicts, and measures each heatmap where it lies in the original frame."""
        del batch_idx
        prediction, seconds = timed(lambda: self.detector(batch[IMAGE]))
        self._see(batch, prediction)
        maps = heatmaps(prediction)
        truths = batch[REGIONS] or [None] * len(maps)
        for m, geometry, record, regions in zip(maps, batch[GEOMETRY], batch[RECORD], truths, strict=True):
            if regions is not None:
                self.pixel.update(
                    heatmap=restore(m, geometry),
                    regions=regions,
                    defect=record.defect,
                    subset=record.subset,
                    path=str(record.path),
                )
        decisions = [self.calibrator.decide(score) for score in prediction.score.tolist()]
        return {"decisions": decisions, "maps": maps, "milliseconds": 1000 * seconds / len(maps)}

    def on_test_epoch_end(self) -> None:
        """Image metrics, pixel metrics, and decisions at the calibrated threshold."""
        self.results = (
            image_metrics(
                scores=self.seen["scores"],
                labels=self.seen["labels"],
                subsets=self.seen["subsets"],
                threshold=self.calibrator.fitted.threshold,
            )
            | self.pixel.compute()
        )

    def _see(self, batch: Batch, prediction: Prediction) -> None:
        self.seen["scores"] += prediction.score.tolist()
        self.seen["labels"] += [record.label for record in batch[RECORD]]
        self.seen["subsets"] += [record.subset for record in batch[RECORD]]


def heatmaps(prediction: Prediction) -> list[np.ndarray]:
    """(B, 1, h, w) on any device to B arrays (h, w) float32."""
    return list(prediction.heatmap[:, 0].float().cpu().numpy())


def timed(call: Callable[[], Prediction]) -> tuple[Prediction, float]:
    """A prediction and the seconds it took; moving the scores to the CPU waits for a GPU to finish."""
    start = time.perf_counter()
    prediction = call()
    prediction.score.cpu()
    return prediction, time.perf_counter() - start
