"""Records the losses of every training epoch."""

from __future__ import annotations

import time
from pathlib import Path

import lightning as L

from adframe.reporting.training_curves import Epoch, read_epochs, write_epochs

LEARNING_RATE, SECONDS = "learning_rate", "seconds"


class LearningCurve(L.Callback):
    """Writes `learning/<unit>.csv` after every epoch; a resumed training continues it.

    Args:
        folder: folder of the run.
        unit: name of the fitted category.

    Example:
        >>> LearningCurve(Path("run"), unit="tray").unit
        'tray'
    """

    def __init__(self, folder: Path, *, unit: str) -> None:
        self.folder, self.unit = folder, unit
        # By number, so that a repeated epoch counts once.
        self._epochs: dict[int, Epoch] = {}
        self._start = 0.0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reads the epochs of an interrupted training where this one continues it.

        Args:
            trainer: Lightning's trainer.
            pl_module: not used.
        """
        del pl_module
        self._epochs = read_epochs(self.folder, unit=self.unit) if trainer.ckpt_path else {}

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of an epoch."""
        del trainer, pl_module
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Records the epoch. Held-out losses are known already, because Lightning validates inside the epoch;
        after an epoch without validation, Lightning has those of an earlier one, which are not recorded.

        Args:
            trainer: Lightning's trainer.
            pl_module: not used.
        """
        del pl_module
        if not trainer.is_global_zero:
            return
        known = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        spent = {LEARNING_RATE: max(rates), SECONDS: time.perf_counter() - self._start}
        checked = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        stages = ("train/", "val/") if checked else ("train/",)
        terms = {name: value for name, value in known.items() if name.startswith(stages)}
        self._epochs[trainer.current_epoch + 1] = terms | spent
        write_epochs(self.folder, self._epochs, unit=self.unit)
