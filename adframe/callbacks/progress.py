"""Shows the current stage and its progress in one line."""

from __future__ import annotations

from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ProgressLine(L.Callback):
    """Shows a progress bar with the stage: extracting, selecting, calibrating, testing.

    Args:
        title: name of the category.
        console: where to draw; None uses standard error, so that piped tables stay clean.

    Example:
        >>> ProgressLine(title="tray").title
        'tray'
    """

    def __init__(self, *, title: str, console: Console | None = None) -> None:
        self.title = title
        # The name of a category may contain brackets.
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = console or Console(stderr=True)
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task: TaskID | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Starts the bar, and connects the progress of a coreset selection to it."""
        del trainer, stage
        detector: Any = getattr(pl_module, "detector", None)
        if hasattr(detector, "progress"):
            detector.progress = lambda done, total: self._show("selecting coreset", done, total)
        self._bar.start()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Removes the bar."""
        del trainer, pl_module, stage
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Removes the bar, so that it does not cover the error message."""
        del trainer, pl_module, exception
        self._stop()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Shows the progress of the training pass."""
        del pl_module, outputs, batch
        self._show("extracting features", batch_idx + 1, int(trainer.num_training_batches))

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
        self._show("calibrating", batch_idx + 1, int(trainer.num_val_batches[0]))

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
        self._show("testing", batch_idx + 1, int(trainer.num_test_batches[0]))

    def _show(self, stage: str, done: int, total: int) -> None:
        text = f"{self.title}: {stage}"
        if self._task is None:
            self._task = self._bar.add_task(text)
        self._bar.update(self._task, description=text, completed=done, total=total)

    def _stop(self) -> None:
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
