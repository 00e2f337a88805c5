"""Records one prediction row per test image."""

from __future__ import annotations

from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, INDEX, RECORD, REGIONS, SHIFT, Batch, Decision
from adframe.io.processes import Processes
from adframe.ops.defect_size import extent
from adframe.results.predictions import prediction_row


class Recorder(TestObserver):
    """Records the decision about each test image.

    Example:
        >>> Recorder().rows
        []
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Discards the rows of earlier tests."""
        self.rows: list[dict[str, Any]] = []
        self._places: list[int] = []  # of the rows in the dataset

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Adds the rows of one batch.

        Args:
            batch: the batch.
            outputs: result of `DetectionSystem.test_step`.
        """
        decisions: list[Decision] = outputs["decisions"]
        # None where no image of the batch has ground truth
        truths = batch[REGIONS] or [None] * len(decisions)
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
        self._places += batch[INDEX].tolist()

    def merge(self, processes: Processes) -> None:
        """Adds the rows of the other processes, in the order of the dataset.

        Args:
            processes: the processes that share the images.
        """
        self.rows = processes.in_order(zip(self._places, self.rows, strict=True))
