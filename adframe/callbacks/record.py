"""One row per image, for the ledger."""

from __future__ import annotations

from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, RECORD, REGIONS, SHIFT, Batch, Decision
from adframe.ops.defect_size import extent
from adframe.results.predictions import prediction_row


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
        truths = batch[REGIONS] or [None] * len(decisions)  # None where nobody in the batch is annotated
        images = zip(batch[RECORD], batch[GEOMETRY], batch[SHIFT], decisions, truths, strict=True)
        for record, geometry, drawn, decision, regions in images:
            row = prediction_row(
                record,
                score=decision.score,
                size=geometry.original,
                milliseconds=outputs["milliseconds"],
                decision=decision,
                shift=drawn,
                defects=extent(regions, frame=geometry.original),
            )
            self.rows.append(row)
