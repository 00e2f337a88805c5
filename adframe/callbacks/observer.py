"""Defines the base of callbacks that observe a test."""

from __future__ import annotations

from typing import Any

import lightning as L

from adframe.contracts import Batch
from adframe.io.processes import Processes, current_processes


class TestObserver(L.Callback):
    """Observes every batch of a test with its results; changes neither.

    Example:
        >>> from adframe.callbacks.record import Recorder
        >>> isinstance(Recorder(), TestObserver)
        True
    """

    # pytest would otherwise collect it by its name.
    __test__ = False

    def start(self) -> None:
        """Discards the results of earlier tests."""
        raise NotImplementedError

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Observes one batch.

        Args:
            batch: the batch.
            outputs: result of `DetectionSystem.test_step`.
        """
        raise NotImplementedError

    def merge(self, processes: Processes) -> None:
        """Adds what the other processes have observed; all of them call it.

        Args:
            processes: the processes that share the images.
        """
        raise NotImplementedError

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Calls `start`."""
        del trainer, pl_module
        self.start()

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Calls `see` with the batch and the outputs of the test step; a stand-in has none."""
        del trainer, pl_module, batch_idx, dataloader_idx
        if outputs is not None:
            self.see(batch, outputs)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Calls `merge` where several processes share the images."""
        del trainer, pl_module
        processes = current_processes()
        if processes.count > 1:
            self.merge(processes)
