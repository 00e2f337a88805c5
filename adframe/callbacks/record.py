"""One row an image, for the ledger."""

from __future__ import annotations

import json
from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, RECORD, SHIFT, Batch, Decision


class Recorder(TestObserver):
    """Writes down what was said of each test image; changes nothing."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def start(self) -> None:
        """Forgets earlier tests."""
        self.rows = []

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Takes in one batch."""
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
