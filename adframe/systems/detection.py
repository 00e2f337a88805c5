"""What every method has in common under Lightning: validation calibrates, testing measures raw scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import (
    GEOMETRY,
    IMAGE,
    RECORD,
    REGIONS,
    Batch,
    Decision,
    ImagePrediction,
    Prediction,
    Record,
)
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.geometry import restore
from adframe.systems.image_results import Tested
from adframe.systems.validation import Validation


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
        self.results: dict[str, float] = {}  # of the last test
        self._validation = Validation(zones=calibrator.zones)
        self.tested = Tested()  # of the running or the last test

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) images in [0, 1] to raw scores (B,) and heatmaps (B, 1, H, W)."""
        prediction: Prediction = self.detector(image)
        return prediction

    def predict_step(self, batch: Batch, batch_idx: int) -> list[ImagePrediction]:
        """What is decided about each image of a batch, with heatmaps in the frames of the images."""
        del batch_idx
        prediction = self(batch[IMAGE])
        pairs = zip(heatmaps(prediction), batch[GEOMETRY], prediction.score.tolist(), strict=True)
        found = []
        for heatmap, geometry, score in pairs:
            frame = restore(heatmap, geometry)
            found.append(ImagePrediction(self.calibrator.decide(score, heatmap=frame), frame))
        return found

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Moves tensors; records, geometries and regions stay where they are."""
        del dataloader_idx
        return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def on_validation_epoch_start(self) -> None:
        """Forgets earlier scores."""
        self._validation = Validation(zones=self.calibrator.zones)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Raw scores of validation images, for the calibrator."""
        del batch_idx
        prediction = self._score(batch)
        self._validation.add(batch, scores=prediction.score.tolist(), maps=heatmaps(prediction))

    def on_validation_epoch_end(self) -> None:
        """Fits the thresholds."""
        self._validation.fit(self.calibrator)

    def validation_facts(self) -> dict[str, float]:
        """What the last validation says of the method itself, to choose settings by."""
        return self._validation.facts()

    def validation_scores(self) -> dict[str, list[float]]:
        """What the thresholds rest on: raw scores under `normal` and `anomalous`."""
        return self._validation.scores()

    def on_test_epoch_start(self) -> None:
        """Starts from nothing: results of another category must not leak in."""
        self.tested, fitted = Tested(), self.calibrator.fitted
        zones = fitted.zone_pixel_thresholds
        self.pixel.threshold = fitted.pixel_threshold
        self.pixel.zone_thresholds = np.array(zones) if zones else None
        self.pixel.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Predicts, and measures each heatmap where it lies in the original frame."""
        del batch_idx
        prediction, seconds = timed(lambda: self.detector(batch[IMAGE]))
        maps = heatmaps(prediction)
        frames = [restore(m, geometry) for m, geometry in zip(maps, batch[GEOMETRY], strict=True)]
        decisions = [
            self._judge(record, score=score, frame=frame)
            for record, score, frame in zip(batch[RECORD], prediction.score.tolist(), frames, strict=True)
        ]
        self._measure(batch, frames)
        spent = 1000 * seconds / len(maps)
        return {"decisions": decisions, "maps": maps, "frames": frames, "milliseconds": spent}

    def on_test_epoch_end(self) -> None:
        """Image metrics, pixel metrics, and decisions at the calibrated threshold.

        They are in `results`, and in `trainer.callback_metrics` for Lightning's callbacks.
        """
        self.results = self.tested.results(threshold=self.calibrator.fitted.threshold) | self.pixel.compute()
        self.log_dict(self.results, logger=False)

    def _score(self, batch: Batch) -> Prediction:
        """Raw scores of validation images."""
        prediction: Prediction = self.detector(batch[IMAGE])
        return prediction

    def _judge(self, record: Record, *, score: float, frame: np.ndarray) -> Decision:
        """Holds an image against the thresholds, and notes it."""
        decision = self.calibrator.decide(score, heatmap=frame)
        self.tested.add(record, decision=decision)
        return decision

    def _measure(self, batch: Batch, frames: list[np.ndarray]) -> None:
        """Adds (H0, W0) heatmaps to the pixel metrics, where the truth is known."""
        truths = batch[REGIONS] or [None] * len(frames)
        for frame, record, regions in zip(frames, batch[RECORD], truths, strict=True):
            self.pixel.measure(record, heatmap=frame, regions=regions)


def heatmaps(prediction: Prediction) -> list[np.ndarray]:
    """(B, 1, h, w) on any device to B arrays (h, w) float32."""
    return list(prediction.heatmap[:, 0].float().cpu().numpy())


def timed(call: Callable[[], Prediction]) -> tuple[Prediction, float]:
    """A prediction and the seconds it took; moving the scores to the CPU waits for a GPU to finish."""
    start = time.perf_counter()
    prediction = call()
    prediction.score.cpu()
    return prediction, time.perf_counter() - start
