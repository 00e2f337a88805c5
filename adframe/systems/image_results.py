"""What was said of the test images so far, and the image metrics that come from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adframe.contracts import Decision, Record
from adframe.metrics.image import decision_metrics, image_metrics
from adframe.stats.calibration_error import brier, calibration_error


@dataclass(slots=True)
class Tested:
    """A row an image; small, because it holds no map."""

    records: list[Record] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, record: Record, *, decision: Decision) -> None:
        """Takes in an image."""
        self.records.append(record)
        self.decisions.append(decision)

    def results(self, *, threshold: float) -> dict[str, float]:
        """All image metrics; those by zones and of probabilities where there are such."""
        labels = [record.label for record in self.records]
        table = image_metrics(
            scores=[decision.score for decision in self.decisions],
            labels=labels,
            subsets=[record.subset for record in self.records],
            conditions=[record.condition for record in self.records],
            reported=[bool(decision.reported) for decision in self.decisions],
            threshold=threshold,
        )
        by_zones, truth = _known([each.by_zones for each in self.decisions], labels)
        if len(by_zones):
            table |= {f"zones/{k}": v for k, v in decision_metrics(by_zones, labels=truth).items()}
        probabilities, truth = _known([each.probability for each in self.decisions], labels)
        if len(probabilities):
            table["image/ece"] = calibration_error(probabilities, truth)
            table["image/brier"] = brier(probabilities, truth)
        return table


def _known(values: Sequence[Any], labels: Sequence[int | None]) -> tuple[np.ndarray, np.ndarray]:
    """The values and labels (bool) of the images that have both."""
    pairs = [pair for pair in zip(values, labels, strict=True) if None not in pair]
    return np.array([value for value, _ in pairs]), np.array([bool(label) for _, label in pairs], dtype=bool)
