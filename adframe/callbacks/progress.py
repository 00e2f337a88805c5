"""Draws the stages of a run while they run."""

from __future__ import annotations

from typing import Any

import lightning as L
from rich.console import Console
from rich.live import Live

from adframe.callbacks.stages import StageTree, current_stages
from adframe.systems.gradient import GradientSystem


class StageProgress(L.Callback):
    """Draws the tree of stages in a terminal: training images, coreset, validation, test.

    Args:
        title: name of the category.
        console: where to draw; None uses standard error, so that piped tables stay clean.
        stages: the tree; None takes that of the run.

    Example:
        >>> StageProgress(title="tray").title
        'tray'
    """

    def __init__(
        self, *, title: str, console: Console | None = None, stages: StageTree | None = None
    ) -> None:
        self.title, self.stages = title, stages or current_stages()
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._first_epoch = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Starts to draw, and connects the progress of a coreset selection."""
        del trainer, stage
        detector: Any = getattr(pl_module, "detector", None)
        if hasattr(detector, "progress"):
            detector.progress = lambda done, total: self._step("coreset", done, total)
        if self._console.is_terminal:
            # Drawn by a thread of its own, a few times a second, whatever the number of steps.
            self._live = Live(self.stages, console=self._console, transient=True, refresh_per_second=4)
            self._live.start()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Removes the tree."""
        del trainer, pl_module, stage
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Removes the tree, so that it does not cover the error message."""
        del trainer, pl_module, exception
        self._stop()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the epoch with which a training begins or goes on."""
        del pl_module
        self._first_epoch = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Shows the progress of the training pass."""
        del outputs, batch
        batches = int(trainer.num_training_batches)
        if not isinstance(pl_module, GradientSystem):
            self._step("training images", batch_idx + 1, batches)
            return
        done = trainer.current_epoch * batches + batch_idx + 1
        self._step("training", done, (trainer.max_epochs or 1) * batches, before=self._first_epoch * batches)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Shows the progress of the validation pass."""
        del pl_module, outputs, batch, dataloader_idx
        self._step("validation", batch_idx + 1, int(trainer.num_val_batches[0]))

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Shows the progress of the test pass."""
        del pl_module, outputs, batch, dataloader_idx
        self._step("test", batch_idx + 1, int(trainer.num_test_batches[0]))

    def _step(self, stage: str, done: int, total: int, *, before: int = 0) -> None:
        self.stages.step(self.title, stage, done=done, total=total, before=before)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
