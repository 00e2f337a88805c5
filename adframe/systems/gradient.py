"""Runs gradient methods under Lightning: fitting monitors held-out losses, validation calibrates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.contracts import (
    IMAGE,
    RECORD,
    Batch,
    Collector,
    Gradient,
    LeaveOneOut,
    Prediction,
    Previewing,
)
from adframe.data.sampling import weight_of, whole
from adframe.io.processes import current_processes
from adframe.metrics.pixel import PixelMetrics
from adframe.models.shared_step import share_layers, shared_step
from adframe.systems.calibration_pass import normal_mask, run_calibration_pass
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning
from adframe.systems.shared_collection import collect_shared, fit_in_first

MONITORED = "val/total"


class GradientSystem(DetectionSystem):
    """Runs a `contracts.Gradient` detector: SiT and similar methods.

    `trainer.fit` trains; each epoch ends with the losses of the held-out normal images, logged as
    `val/<term>`. `trainer.validate` then fits scales and thresholds once, with the trained detector.

    Args:
        detector, calibrator, pixel: as in `DetectionSystem`.
        learning: optimizer, schedule and length.

    Example:
        >>> from functools import partial
        >>> from adframe.calibration.rules import Quantile
        >>> calibrator = Calibrator(image=Quantile(), pixel=Quantile())
        >>> learning = Learning(optimizer=partial(torch.optim.AdamW, lr=1e-3), epochs=1)
        >>> parts = {"calibrator": calibrator, "pixel": PixelMetrics(), "learning": learning}
        >>> GradientSystem(detector=nn.Identity(), **parts).learning.epochs
        1
    """

    def __init__(
        self, *, detector: nn.Module, calibrator: Calibrator, pixel: PixelMetrics, learning: Learning
    ) -> None:
        super().__init__(detector=detector, calibrator=calibrator, pixel=pixel)
        self.learning = learning

    @property
    def method(self) -> Gradient:
        """Returns the detector with its type."""
        return cast(Gradient, self.detector)

    @property
    def _fitting(self) -> bool:
        return self.trainer.state.fn == "fit"

    def on_fit_start(self) -> None:
        """Shows the training images to a detector that must see them before training."""
        detector: Any = self.detector
        if current_processes().count > 1:
            share_layers(detector)
        if isinstance(detector, Previewing) and detector.needs_preview:
            # Lightning builds the training loader only after this hook.
            self.trainer.fit_loop.setup_data()
            for batch in cast(Iterable[Batch], whole(self.trainer.train_dataloader)):
                detector.preview(batch[IMAGE].to(self.device))
            detector.finalise_preview()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Computes the loss of one step; its terms are logged as means over the epoch.

        Args:
            batch: the batch.
            batch_idx: the step, which tells the share of this process in the batch.

        Returns:
            The total loss. Of several processes it is weighted by the number of images, so that the mean of
            their gradients is the gradient of the whole batch.
        """
        weight = weight_of(self.trainer.train_dataloader, batch_idx)
        with shared_step(weight, images=len(batch[IMAGE])):
            losses = self.method.loss(batch)
        self._log_losses("train", losses, count=len(batch[IMAGE]) if weight else 0)
        return losses["total"] * weight if weight != 1 else losses["total"]

    def on_validation_start(self) -> None:
        """Collects training and held-out images for the detector before thresholds are fitted."""
        if not self._fitting:
            self._collect()
            run_calibration_pass(self.detector, self.trainer.val_dataloaders, system=self)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Computes held-out losses at fixed draws while fitting, and scores for calibration afterwards.

        Args:
            batch: the batch.
            batch_idx: the step, which tells the share of this process in the batch.
        """
        if not self._fitting:
            super().validation_step(batch, batch_idx)
            return
        known, weight = normal_mask(batch), weight_of(self.trainer.val_dataloaders, batch_idx)
        if not known.any():
            if current_processes().count == 1:
                return
            known, weight = torch.ones_like(known), 0.0  # every process must log the same losses
        chosen = {key: value[known] for key, value in batch.items() if isinstance(value, Tensor)}
        count = len(chosen[IMAGE]) if weight else 0
        with shared_step(_weight_among_all(count), images=len(chosen[IMAGE])):
            losses = self.method.check(chosen)
        self._log_losses("val", losses, count=count)

    def on_validation_epoch_end(self) -> None:
        """Fits the thresholds, unless training is in progress."""
        if not self._fitting:
            super().on_validation_epoch_end()

    def configure_optimizers(self) -> Any:
        """Returns the configured optimizer with a warm-up and its schedule by step."""
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        optimizer, schedule = self.learning.optimizers(self.detector, steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _collect(self) -> None:
        """Shows the unchanged training images to a detector that collects them after training."""
        detector, data = self.detector, self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(detector, Collector) and detector.collects:
            with self.trainer.precision_plugin.forward_context():
                loader = data.plain_dataloader(shared=True)
                for number, batch in enumerate(loader):
                    own = {IMAGE: batch[IMAGE].to(self.device), RECORD: batch[RECORD]}
                    collect_shared(detector, own if weight_of(loader, number) else None, device=self.device)
            fit_in_first(self.detector, detector.finalise)

    def _log_losses(self, stage: str, losses: dict[str, Tensor], *, count: int) -> None:
        """Logs the losses of `count` images; of several processes as means over all their images."""
        named = {f"{stage}/{name}": value.detach() for name, value in losses.items()}
        # Lightning divides the sums by the mean number of images of a process, rounded to an integer.
        size = count * current_processes().count
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)

    def _score(self, batch: Batch) -> Prediction:
        """Scores validation images; normal ones were collected, so each is compared with the others only."""
        known = normal_mask(batch).to(batch[IMAGE].device)
        if not (isinstance(self.detector, LeaveOneOut) and known.any()):
            return super()._score(batch)
        left_out = self.detector.score_leave_one_out(batch[IMAGE])
        if known.all():
            return left_out
        plain = super()._score(batch)
        return Prediction(
            torch.where(known, left_out.score, plain.score),
            torch.where(known.view(-1, 1, 1, 1), left_out.heatmap, plain.heatmap),
        )


def _weight_among_all(count: int) -> float:
    """Returns the weight of a process that has `count` of the images of a step (see `StepShare`)."""
    processes = current_processes()
    total = int(processes.total(torch.tensor(count)))
    return count * processes.count / total if total else 0.0
