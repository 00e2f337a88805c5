"""Runs methods without gradients under Lightning: one pass collects, validation starts by fitting the
model.
"""

from __future__ import annotations

from typing import cast

from torch import nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import IMAGE, Batch, TrainingFree
from adframe.metrics.pixel import PixelMetrics
from adframe.systems.calibration_pass import normal_mask, run_calibration_pass
from adframe.systems.detection import DetectionSystem


class TrainingFreeSystem(DetectionSystem):
    """Runs a `contracts.TrainingFree` detector: PatchCore, PaDiM and similar methods.

    Args:
        detector, calibrator, pixel: as in `DetectionSystem`.
        refit: whether to fit the model again after calibration, with the normal validation images added. This
            is for images held out of train: the tested model then knows all training images, as in the
            published numbers. The threshold, fitted on images unknown to its model, errs on the safe side
            (more normal images can only lower normal scores).

    Example:
        >>> from adframe.calibration.rules import Quantile
        >>> from adframe.models.pixel_mean import PixelMean
        >>> calibrator = Calibrator(image=Quantile(), pixel=Quantile())
        >>> parts = {"detector": PixelMean(None), "calibrator": calibrator, "pixel": PixelMetrics()}
        >>> TrainingFreeSystem(**parts, refit=True).refit
        True
    """

    automatic_optimization = False

    def __init__(
        self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics, refit: bool
    ) -> None:
        super().__init__(detector=detector, calibrator=calibrator, pixel=pixel)
        self.refit = refit

    @property
    def method(self) -> TrainingFree:
        """Returns the detector with its type."""
        return cast(TrainingFree, self.detector)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects features; there is no loss.

        Args:
            batch: the batch.
            batch_idx: not used.
        """
        del batch_idx
        self.method.collect(batch[IMAGE])

    def on_validation_start(self) -> None:
        """Fits the model.

        Lightning validates before `on_train_epoch_end`: a model fitted there would be empty here.
        """
        if self.trainer.sanity_checking:  # before anything was collected
            return
        self.method.finalise()
        run_calibration_pass(self.detector, self.trainer.val_dataloaders, system=self)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects scores for calibration, and normal images for the refit.

        Args:
            batch: the batch.
            batch_idx: not used.
        """
        if self.trainer.sanity_checking:
            return
        super().validation_step(batch, batch_idx)
        normal = normal_mask(batch)
        if self.refit and normal.any():
            self.method.collect(batch[IMAGE][normal])

    def on_validation_epoch_end(self) -> None:
        """Fits the threshold, and only then the final model."""
        if self.trainer.sanity_checking:
            return
        super().on_validation_epoch_end()
        if self.refit:
            self.method.finalise()

    def on_fit_end(self) -> None:
        """Releases memory, because nothing more will be collected."""
        self.method.release()

    def configure_optimizers(self) -> None:
        """Returns None, because nothing is trained."""
