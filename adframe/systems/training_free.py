"""Runs methods without gradients under Lightning: one pass collects, validation starts by fitting the
model.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import IMAGE, RECORD, Batch, Prompted, Record, Screened, TrainingFree, Transductive
from adframe.data.sampling import weight_of, whole
from adframe.errors import AdframeError
from adframe.metrics.pixel import PixelMetrics
from adframe.systems.calibration_pass import normal_mask, run_calibration_pass
from adframe.systems.detection import DetectionSystem
from adframe.systems.screening import MIN_IMAGES, Screening, screen
from adframe.systems.shared_collection import collect_shared, fit_in_first


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
        self.screening: Screening | None = None  # of the training images, with `model.robust=`
        self._collected: list[Record] = []

    @property
    def method(self) -> TrainingFree:
        """Returns the detector with its type."""
        return cast(TrainingFree, self.detector)

    def on_fit_start(self) -> None:
        """Names the categories to a method that compares images with texts about them."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(self.detector, Prompted) and data is not None:
            self.detector.name_categories(data.categories)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects features; there is no loss.

        Args:
            batch: the batch.
            batch_idx: the step, by which a stand-in is recognised.
        """
        own = weight_of(self.trainer.train_dataloader, batch_idx) > 0
        self._collected += collect_shared(self.method, batch if own else None, device=self.device)

    def on_validation_start(self) -> None:
        """Fits the model, without the training images that the others do not explain (`model.robust=`).

        Lightning validates before `on_train_epoch_end`: a model fitted there would be empty here.
        """
        if self.trainer.sanity_checking:  # before anything was collected
            return
        self.screening = fit_in_first(self.detector, self._fit)
        if isinstance(self.detector, Transductive):
            fit_in_first(self.detector, partial(self._show_test_images, self.detector))
        run_calibration_pass(self.detector, self.trainer.val_dataloaders, system=self)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects scores for calibration, and normal images for the refit.

        Args:
            batch: the batch.
            batch_idx: the step, by which a stand-in is recognised.
        """
        if self.trainer.sanity_checking:
            return
        own = weight_of(self.trainer.val_dataloaders, batch_idx) > 0
        batch = self._explained(batch)
        self._add_validation(batch if own and batch[RECORD] else None)
        if self.refit:
            normal = normal_mask(batch)
            joining = None
            if own and normal.any():
                joining = {IMAGE: batch[IMAGE][normal], RECORD: [r for r in batch[RECORD] if r.label == 0]}
            collect_shared(self.method, joining, device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Fits the threshold, and only then the final model."""
        if self.trainer.sanity_checking:
            return
        super().on_validation_epoch_end()
        if self.refit:
            fit_in_first(self.detector, self.method.finalise)

    def on_fit_end(self) -> None:
        """Releases memory, because nothing more will be collected."""
        self.method.release()

    def _fit(self) -> Screening | None:
        """Fits the model, and returns what was left out of it."""
        found = None
        if isinstance(self.detector, Screened) and self.detector.robust is not None:
            found = self._screen(self.detector, self.detector.robust)
        self.method.finalise()
        return found

    def _show_test_images(self, method: Transductive) -> None:
        """Lets a transductive method collect the test images, without labels, before any image is scored.

        Validation images are then scored by the same test images, so that the threshold holds for them.
        """
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise AdframeError(
                f"{type(method).__name__} scores test images by each other and needs them during the fit: "
                "pass datamodule= to trainer.fit, not single dataloaders"
            )
        with self.trainer.precision_plugin.forward_context():
            for batch in data.predict_dataloader():
                method.collect_test(batch[IMAGE].to(self.device))
        method.finalise_test()

    def _screen(self, method: Screened, deviations: float) -> Screening:
        """Compares each training image with all others, and lets the method forget those left out.

        Held-out images that join the model later are training images as well: they are compared now, so that
        none that is left out takes part in the threshold.
        """
        records = list(self._collected)
        if self.refit:
            with self.trainer.precision_plugin.forward_context():
                for batch in whole(self.trainer.val_dataloaders):
                    normal = normal_mask(batch)
                    if normal.any():
                        method.collect(batch[IMAGE][normal].to(self.device))
                        records += [record for record in batch[RECORD] if record.label == 0]
        if len(records) < MIN_IMAGES:
            found = screen(records, np.zeros(len(records)), deviations=deviations)
        else:
            scores = method.leave_one_out_scores().double().numpy()
            found = screen(records, scores, deviations=deviations)
        training = np.arange(len(records)) < len(self._collected)
        method.keep(torch.from_numpy(training & ~found.left_out))
        return found

    def _explained(self, batch: Batch) -> Batch:
        """Returns a batch without the images that were left out."""
        if self.screening is None or not self.screening.left_out.any():
            return batch
        pairs = zip(self.screening.records, self.screening.left_out, strict=True)
        unexplained = {record.path for record, left_out in pairs if left_out}
        stays = [i for i, record in enumerate(batch[RECORD]) if record.path not in unexplained]
        return {
            key: value[stays]
            if isinstance(value, Tensor)
            else value and [value[i] for i in stays]  # lists, or None without ground truth
            for key, value in batch.items()
        }

    def configure_optimizers(self) -> None:
        """Returns None, because nothing is trained."""
