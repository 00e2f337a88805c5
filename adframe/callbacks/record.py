"""One row an image, for the ledger."""

from __future__ import annotations

import json
from typing import Any

import lightning as L

from adframe.contracts import GEOMETRY, RECORD, SHIFT, Batch, Decision


class Recorder(L.Callback):
    """Writes down what was said of each test image; changes nothing."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        del trainer, pl_module
        self.rows = []

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
        decisions: list[Decision] = outputs["decisions"]
        images = zip(batch[RECORD], batch[GEOMETRY], batch[SHIFT], decisions, strict=True)
        for record, geometry, drawn, decision in images:
            self.rows.append(
                {
                    "path": str(record.path),
                    "category": record.category,
                    "split": record.split,
                    "subset": record.subset,
                    "defect": record.defect,
                    "part": record.part,
                    "condition": record.condition,
                    "group": record.group,
                    "shift": json.dumps(drawn) if drawn else "",
                    "label": record.label,
                    "score": decision.score,
                    "decision": decision.anomalous,
                    "threshold": decision.threshold,
                    "milliseconds": outputs["milliseconds"],
                    "height": geometry.original[0],
                    "width": geometry.original[1],
                }
            )
