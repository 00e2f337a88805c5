"""Contains what all methods share under Lightning: validation calibrates, testing measures raw scores."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, NoReturn

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import (
    GEOMETRY,
    IMAGE,
    INDEX,
    RECORD,
    REGIONS,
    Batch,
    Decision,
    ImagePrediction,
    Prediction,
    Record,
)
from adframe.data.sampling import weight_of
from adframe.errors import AdframeError
from adframe.io.processes import current_processes
from adframe.metrics.pixel import PixelMetrics
from adframe.models.shared_searches import shared_searches
from adframe.ops.geometry import restore
from adframe.ops.regions import within_region
from adframe.systems.image_results import TestedImages
from adframe.systems.validation import Validation


class DetectionSystem(L.LightningModule):
    """Connects a detector, a calibrator and the metrics.

    Args:
        detector: any `contracts.Detector`.
        calibrator: fitted at the end of validation.
        pixel: measures heatmaps in the original frame; reset for every test.

    Example:
        >>> from adframe.calibration.rules import Quantile
        >>> from adframe.models.pixel_mean import PixelMean
        >>> calibrator = Calibrator(image=Quantile(), pixel=Quantile())
        >>> system = DetectionSystem(detector=PixelMean(None), calibrator=calibrator, pixel=PixelMetrics())
        >>> system.results
        {}
    """

    def __init__(self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics) -> None:
        super().__init__()
        self.detector, self.calibrator, self.pixel = detector, calibrator, pixel
        self.results: dict[str, float] = {}  # of the last test
        self._validation = Validation(zones=calibrator.zones)
        self.tested = TestedImages()  # of the running or the last test
        self.pixel_inside: PixelMetrics | None = None  # of the region of interest, where there is one

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *_: Any, **__: Any) -> NoReturn:
        """Refuses: a checkpoint of adframe holds neither the frozen backbone nor its settings.

        Args:
            checkpoint_path: the file.

        Raises:
            AdframeError: always; it names `adframe.load`, which takes the file as well.
        """
        raise AdframeError(f"load a model by adframe.load({str(checkpoint_path)!r})")

    def forward(self, image: Tensor) -> Prediction:
        """Predicts raw scores and heatmaps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Scores (B,) and heatmaps (B, 1, h, w).
        """
        prediction: Prediction = self.detector(image)
        return prediction

    def predict_step(self, batch: Batch, batch_idx: int) -> list[ImagePrediction]:
        """Decides about each image of a batch.

        Args:
            batch: the batch.
            batch_idx: not used.

        Returns:
            One prediction per image, with the heatmap in the frame of the image.
        """
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
        """Moves the tensors of a batch; records, geometries and regions stay.

        Args:
            batch: the batch.
            device: where to move them.
            dataloader_idx: not used.

        Returns:
            The batch on the device.
        """
        del dataloader_idx
        return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def on_validation_epoch_start(self) -> None:
        """Discards earlier scores."""
        self._validation = Validation(zones=self.calibrator.zones)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects raw scores of validation images for the calibrator.

        Args:
            batch: the batch.
            batch_idx: the step, by which a stand-in is recognised.
        """
        own = weight_of(self.trainer.val_dataloaders, batch_idx) > 0
        self._add_validation(batch if own else None)

    def _add_validation(self, batch: Batch | None) -> None:
        """Scores validation images and collects the scores; None where this process has none in this step."""
        with shared_searches(self.detector):
            prediction = self._score(batch) if batch else None
        if batch is None or prediction is None:
            return
        self._validation.add(batch, scores=prediction.score.tolist(), maps=heatmaps(prediction))

    def on_validation_epoch_end(self) -> None:
        """Fits the thresholds, in every process to the scores of all of them."""
        self._validation.merge(current_processes())
        self._validation.fit(self.calibrator)

    def validation_facts(self) -> dict[str, float]:
        """Returns numbers of the last validation by which settings can be chosen."""
        return self._validation.facts()

    def validation_scores(self) -> dict[str, list[float]]:
        """Returns the raw scores on which the thresholds are fitted, under `normal` and `anomalous`."""
        return self._validation.scores()

    def validation_parts(self) -> dict[str, list[list[float]]]:
        """Returns the scores of normal validation images by category and part."""
        return self._validation.parts()

    def on_test_epoch_start(self) -> None:
        """Resets all results, so that none of another category remain."""
        self.tested, fitted = TestedImages(), self.calibrator.fitted
        zones = fitted.zone_pixel_thresholds
        self.pixel.threshold = fitted.pixel_threshold
        self.pixel.zone_thresholds = np.array(zones) if zones else None
        self.pixel.masks = self.calibrator.postprocess
        self.pixel.reset()
        self.pixel_inside = None

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Predicts, and measures each heatmap in the original frame.

        Args:
            batch: the batch.
            batch_idx: the step, by which a stand-in is recognised.

        Returns:
            `decisions`; `maps`, (h, w) heatmaps; `frames`, (H0, W0) heatmaps in the original frame;
            `milliseconds` per image. None for a stand-in, which is not tested.
        """
        own = weight_of(self.trainer.test_dataloaders, batch_idx) > 0
        with shared_searches(self.detector):
            # Only the network is timed: restoring heatmaps and metrics are no part of a prediction.
            predicted = timed(lambda: self.detector(batch[IMAGE])) if own else None
        if predicted is None:
            return None
        prediction, seconds = predicted
        maps = heatmaps(prediction)
        frames = [restore(m, geometry) for m, geometry in zip(maps, batch[GEOMETRY], strict=True)]
        decisions = [
            self._decide(record, place=place, score=score, frame=frame)
            for record, place, score, frame in zip(
                batch[RECORD], batch[INDEX].tolist(), prediction.score.tolist(), frames, strict=True
            )
        ]
        self._measure(batch, frames)
        spent = 1000 * seconds / len(maps)
        return {"decisions": decisions, "maps": maps, "frames": frames, "milliseconds": spent}

    def on_test_epoch_end(self) -> None:
        """Computes image metrics, pixel metrics, and metrics of decisions at the calibrated threshold.

        They are stored in `results`, and in `trainer.callback_metrics` for Lightning's callbacks. Every
        process computes those of all images.
        """
        processes = current_processes()
        self.tested.merge(processes)
        self.pixel.merge(processes)
        if any(processes.gather(self.pixel_inside is not None)):
            self._inside().merge(processes)
        self.results = self.tested.results(threshold=self.calibrator.fitted.threshold) | self.pixel.compute()
        if self.pixel_inside is not None:
            self.results |= {f"roi/{name}": value for name, value in self.pixel_inside.compute().items()}
        self.log_dict(self.results, logger=False)

    def _score(self, batch: Batch) -> Prediction:
        """Predicts raw scores of validation images."""
        prediction: Prediction = self.detector(batch[IMAGE])
        return prediction

    def _decide(self, record: Record, *, place: int, score: float, frame: np.ndarray) -> Decision:
        """Compares an image with the thresholds, and records the decision."""
        decision = self.calibrator.decide(score, heatmap=frame)
        self.tested.add(record, decision=decision, place=place)
        return decision

    def _inside(self) -> PixelMetrics:
        """Returns the pixel metrics of the region of interest, empty at first."""
        if self.pixel_inside is None:
            self.pixel_inside = copy.deepcopy(self.pixel)
            self.pixel_inside.reset()
            self.pixel_inside.zone_thresholds = None  # zones are places in the whole frame
        return self.pixel_inside

    def _measure(self, batch: Batch, frames: list[np.ndarray]) -> None:
        """Adds (H0, W0) heatmaps to the pixel metrics, where the ground truth is known."""
        truths = batch[REGIONS] or [None] * len(frames)
        for frame, record, regions, geometry in zip(
            frames, batch[RECORD], truths, batch[GEOMETRY], strict=True
        ):
            self.pixel.measure(record, heatmap=frame, regions=regions)
            if geometry.inside is not None and regions is not None:
                heatmap, own = within_region(frame, regions, geometry.inside)
                self._inside().measure(record, heatmap=heatmap, regions=own)


def heatmaps(prediction: Prediction) -> list[np.ndarray]:
    """Converts the heatmaps of a prediction to arrays on the CPU.

    Args:
        prediction: heatmaps (B, 1, h, w) on any device.

    Returns:
        B arrays (h, w) float32.
    """
    return list(prediction.heatmap[:, 0].float().cpu().numpy())


def timed(call: Callable[[], Prediction]) -> tuple[Prediction, float]:
    """Times a prediction; moving the scores to the CPU waits for a GPU to finish.

    Args:
        call: makes the prediction.

    Returns:
        The prediction and its seconds.
    """
    start = time.perf_counter()
    prediction = call()
    prediction.score.cpu()
    return prediction, time.perf_counter() - start
