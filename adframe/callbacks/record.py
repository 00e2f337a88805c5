"""One row an image, for the ledger."""

from __future__ import annotations

from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, RECORD, SHIFT, Batch, Decision
from adframe.reports.ledger import row_of


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
            row = row_of(
                record,
                score=decision.score,
                size=geometry.original,
                milliseconds=outputs["milliseconds"],
                decision=decision,
                shift=drawn,
            )
            self.rows.append(row)
