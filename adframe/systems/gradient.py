"""Methods that learn by gradient under Lightning: fitting watches held-out losses, validating calibrates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import IMAGE, Batch, Collector, Gradient, LeaveOneOut, Prediction, Previewing
from adframe.metrics.pixel import PixelMetrics
from adframe.systems.calibration_pass import normals, run_calibration_pass
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning

MONITORED = "val/total"


class GradientSystem(DetectionSystem):
    """Runs a `contracts.Gradient` detector: SiT and similar methods.

    `trainer.fit` learns; each epoch ends with the losses of the held-out normal images, logged as
    `val/<term>`. `trainer.validate` then fits scales and thresholds, once, with what was learned.

    Args:
        detector, calibrator, pixel: as in `DetectionSystem`.
        learning: optimizer, schedule and length.
    """

    def __init__(
        self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics, learning: Learning
    ) -> None:
        super().__init__(detector=detector, calibrator=calibrator, pixel=pixel)
        self.learning = learning

    @property
    def method(self) -> Gradient:
        """The detector, as what it is."""
        return cast(Gradient, self.detector)

    @property
    def _fitting(self) -> bool:
        return self.trainer.state.fn == "fit"

    def on_fit_start(self) -> None:
        """Lets a detector that must see the training images before it learns, see them."""
        detector: Any = self.detector
        if isinstance(detector, Previewing) and detector.needs_preview:
            self.trainer.fit_loop.setup_data()
            for batch in cast(Iterable[Batch], self.trainer.train_dataloader):
                detector.preview(batch[IMAGE].to(self.device))
            detector.finalise_preview()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step's loss; its terms are logged as means over the epoch."""
        del batch_idx
        losses = self.method.loss(batch)
        self._note("train", losses, batch)
        return losses["total"]

    def on_validation_start(self) -> None:
        """Before thresholds are fitted, the detector learns how held-out normal images look to it."""
        if not self._fitting:
            self._collect()
            run_calibration_pass(self.detector, self.trainer.val_dataloaders, system=self)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """While fitting the losses of normal images at fixed draws; afterwards the scores for calibration."""
        if not self._fitting:
            super().validation_step(batch, batch_idx)
        elif (known := normals(batch)).any():
            chosen = {key: value[known] for key, value in batch.items() if isinstance(value, Tensor)}
            self._note("val", self.method.check(chosen), chosen)

    def on_validation_epoch_end(self) -> None:
        """Fits the thresholds, once it has learned."""
        if not self._fitting:
            super().on_validation_epoch_end()

    def configure_optimizers(self) -> Any:
        """AdamW or another, with warm-up and cosine by step."""
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        optimizer, schedule = self.learning.optimizers(self.detector, steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _collect(self) -> None:
        """Shows the training images, as they are, to a detector that wants them after learning."""
        detector, data = self.detector, self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(detector, Collector) and detector.collects:
            with self.trainer.precision_plugin.forward_context():
                for batch in data.plain_dataloader():
                    detector.collect(batch[IMAGE].to(self.device))
            detector.finalise()

    def _note(self, stage: str, losses: dict[str, Tensor], batch: Batch) -> None:
        named = {f"{stage}/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(batch[IMAGE]))

    def _score(self, batch: Batch) -> Prediction:
        """Normal validation images were observed: each is compared with the others only."""
        known = normals(batch).to(batch[IMAGE].device)
        if not (isinstance(self.detector, LeaveOneOut) and known.any()):
            return super()._score(batch)
        judged = self.detector.score_leave_one_out(batch[IMAGE])
        if known.all():
            return judged
        plain = super()._score(batch)
        return Prediction(
            torch.where(known, judged.score, plain.score),
            torch.where(known.view(-1, 1, 1, 1), judged.heatmap, plain.heatmap),
        )
