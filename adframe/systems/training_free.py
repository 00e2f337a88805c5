"""Methods without gradients under Lightning: one pass collects, validation starts with making the model."""

from __future__ import annotations

from typing import cast

from torch import nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import IMAGE, Batch, TrainingFree
from adframe.metrics.pixel import PixelMetrics
from adframe.systems.calibration_pass import normals, run_calibration_pass
from adframe.systems.detection import DetectionSystem


class TrainingFreeSystem(DetectionSystem):
    """Runs a `contracts.TrainingFree` detector: PatchCore, PaDiM and similar methods.

    Args:
        detector, calibrator, pixel: as in `DetectionSystem`.
        refit: makes the model again after calibration, with the validation normals added. For
            images held out of train: the model that is tested then knows all training images, as
            the published numbers have it, and the threshold, fitted on images that its model had
            not seen, errs to the safe side (more normals can only bring normal scores down).
    """

    automatic_optimization = False

    def __init__(
        self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics, refit: bool
    ) -> None:
        super().__init__(detector=detector, calibrator=calibrator, pixel=pixel)
        self.refit = refit

    @property
    def method(self) -> TrainingFree:
        """The detector, as what it is."""
        return cast(TrainingFree, self.detector)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects features; there is no loss."""
        del batch_idx
        self.method.collect(batch[IMAGE])

    def on_validation_start(self) -> None:
        """Lightning validates before `on_train_epoch_end`: a bank closed there would be empty here."""
        if self.trainer.sanity_checking:  # before anything was collected
            return
        self.method.finalise()
        run_calibration_pass(self.detector, self.trainer.val_dataloaders, system=self)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Calibration scores; the images themselves are kept for the refit."""
        if self.trainer.sanity_checking:
            return
        super().validation_step(batch, batch_idx)
        normal = normals(batch)
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
        """Nothing more will be collected."""
        self.method.release()

    def configure_optimizers(self) -> None:
        """None: nothing is trained."""
