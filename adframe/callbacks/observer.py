"""What observers of a test have in common: start afresh, then see batch after batch."""

from __future__ import annotations

from typing import Any

import lightning as L

from adframe.contracts import Batch


class TestObserver(L.Callback):
    """Sees every batch of a test with what was said of it; changes neither."""

    __test__ = False  # no test of ours, whatever pytest makes of the name

    def start(self) -> None:
        """Forgets earlier tests."""
        raise NotImplementedError

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """One batch and what `DetectionSystem.test_step` returned for it."""
        raise NotImplementedError

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
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
        del trainer, pl_module, batch_idx, dataloader_idx
        self.see(batch, outputs)
